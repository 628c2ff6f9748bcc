#include <turbojpeg.h>

#include <cstring>
#include <memory>

#include "octet/images/formats.h"
#include "octet/support/error.h"

namespace octet::images {
namespace {

using Handle = std::unique_ptr<void, int (*)(tjhandle)>;

// The smallest of the decoder's eighths, quarters and halves that keeps both sides at `least` or more.
tjscalingfactor scale_for(int width, int height, int64_t least) {
  for (const int denominator : {8, 4, 2}) {
    const tjscalingfactor scale{1, denominator};
    if (least > 0 && TJSCALED(width, scale) >= least && TJSCALED(height, scale) >= least) return scale;
  }
  return {1, 1};
}

// libjpeg says what it mends; a picture that is cut off is no picture, extra bytes are nothing.
bool is_cut_off(const char* warning) {
  return std::strstr(warning, "Premature end") != nullptr || std::strstr(warning, "end of") != nullptr;
}

// Inverted, as Adobe's programs write them: 0 is all ink.
void from_cmyk(const std::vector<uint8_t>& cmyk, Image& image) {
  for (size_t i = 0; i < image.rgb.size() / 3; ++i) {
    const int black = cmyk[4 * i + 3];
    for (size_t c = 0; c < 3; ++c) image.rgb[3 * i + c] = static_cast<uint8_t>((cmyk[4 * i + c] * black + 127) / 255);
  }
}

}  // namespace

Image decode_jpeg(std::string_view bytes, const std::string& name, int64_t least_side) {
  const Handle handle(tjInitDecompress(), tjDestroy);
  if (!handle) throw Error(name, "no memory for a JPEG decoder");
  const auto* data = reinterpret_cast<const unsigned char*>(bytes.data());
  const auto size = static_cast<unsigned long>(bytes.size());
  int width = 0, height = 0, subsampling = 0, colors = 0;
  if (tjDecompressHeader3(handle.get(), data, size, &width, &height, &subsampling, &colors) != 0) {
    throw Error(name, str("is a damaged JPEG: ", tjGetErrorStr2(handle.get())));
  }
  check_sizes(height, width, name);
  const tjscalingfactor scale = scale_for(width, height, least_side);
  Image image = make_image(TJSCALED(height, scale), TJSCALED(width, scale));
  const bool is_cmyk = colors == TJCS_CMYK || colors == TJCS_YCCK;
  std::vector<uint8_t> cmyk(is_cmyk ? image.rgb.size() / 3 * 4 : 0);
  uint8_t* to = is_cmyk ? cmyk.data() : image.rgb.data();
  const int format = is_cmyk ? TJPF_CMYK : TJPF_RGB;
  const int failed = tjDecompress2(handle.get(), data, size, to, static_cast<int>(image.width), 0,
                                   static_cast<int>(image.height), format, TJFLAG_ACCURATEDCT | TJFLAG_LIMITSCANS);
  if (failed != 0) {
    const char* what = tjGetErrorStr2(handle.get());
    if (tjGetErrorCode(handle.get()) == TJERR_FATAL || is_cut_off(what)) {
      throw Error(name, str("is a damaged JPEG: ", what));
    }
  }
  if (is_cmyk) from_cmyk(cmyk, image);
  return upright(std::move(image), exif_orientation(bytes));
}

}  // namespace octet::images

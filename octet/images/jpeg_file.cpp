#include <turbojpeg.h>

#include <cstring>
#include <memory>

#include "octet/images/formats.h"
#include "octet/support/error.h"

namespace octet::images {
namespace {

using Handle = std::unique_ptr<void, int (*)(tjhandle)>;

// What stands before the picture.
struct Header {
  int width = 0;
  int height = 0;
  int colors = 0;
};

Header read_header(tjhandle handle, std::string_view bytes, const std::string& name) {
  Header header;
  int subsampling = 0;
  if (tjDecompressHeader3(handle, reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size(), &header.width,
                          &header.height, &subsampling, &header.colors) != 0) {
    throw Error(name, str("is a damaged JPEG: ", tjGetErrorStr2(handle)));
  }
  check_sizes(header.height, header.width, name);
  return header;
}

Handle make_decoder(const std::string& name) {
  Handle handle(tjInitDecompress(), tjDestroy);
  if (!handle) throw Error(name, "no memory for a JPEG decoder");
  return handle;
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

ImageSize jpeg_size(std::string_view bytes, const std::string& name) {
  const Handle handle = make_decoder(name);
  const Header header = read_header(handle.get(), bytes, name);
  const bool exchanges = exif_orientation(bytes) >= 5;
  return {exchanges ? header.width : header.height, exchanges ? header.height : header.width};
}

Image decode_jpeg(std::string_view bytes, const std::string& name, int shrink) {
  const Handle handle = make_decoder(name);
  const Header header = read_header(handle.get(), bytes, name);
  const tjscalingfactor scale{1, shrink == 2 || shrink == 4 || shrink == 8 ? shrink : 1};
  Image image = make_image(TJSCALED(header.height, scale), TJSCALED(header.width, scale));
  const bool is_cmyk = header.colors == TJCS_CMYK || header.colors == TJCS_YCCK;
  std::vector<uint8_t> cmyk(is_cmyk ? image.rgb.size() / 3 * 4 : 0);
  uint8_t* to = is_cmyk ? cmyk.data() : image.rgb.data();
  const int format = is_cmyk ? TJPF_CMYK : TJPF_RGB;
  const int failed = tjDecompress2(handle.get(), reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size(), to,
                                   static_cast<int>(image.width), 0, static_cast<int>(image.height), format,
                                   TJFLAG_ACCURATEDCT | TJFLAG_LIMITSCANS);
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

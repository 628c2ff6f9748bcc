#include "octet/images/formats.h"
#include "octet/support/error.h"

#ifdef OCTET_HAS_WEBP
#include <webp/decode.h>
#endif

namespace octet::images {

#ifdef OCTET_HAS_WEBP

namespace {

const uint8_t* data_of(std::string_view bytes) { return reinterpret_cast<const uint8_t*>(bytes.data()); }

}  // namespace

ImageSize webp_size(std::string_view bytes, const std::string& name) {
  WebPBitstreamFeatures features;
  if (WebPGetFeatures(data_of(bytes), bytes.size(), &features) != VP8_STATUS_OK) throw Error(name, "is a damaged WebP");
  if (features.has_animation != 0) throw Error(name, "is a WebP of several pictures; octet reads those of one");
  check_sizes(features.height, features.width, name);
  return {features.height, features.width};
}

Image decode_webp(std::string_view bytes, const std::string& name, int) {
  const ImageSize size = webp_size(bytes, name);
  Image image = make_image(size.height, size.width);
  if (WebPDecodeRGBInto(data_of(bytes), bytes.size(), image.rgb.data(), image.rgb.size(),
                        static_cast<int>(size.width * 3)) == nullptr) {
    throw Error(name, "is a damaged WebP");
  }
  return image;
}

#else

ImageSize webp_size(std::string_view, const std::string& name) {
  throw Error(name, "is a WebP, and this octet was built without libwebp").hint("install libwebp-dev and build again");
}

Image decode_webp(std::string_view bytes, const std::string& name, int) {
  webp_size(bytes, name);
  return {};
}

#endif

}  // namespace octet::images

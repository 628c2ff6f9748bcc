#pragma once

#include <string>
#include <string_view>

#include "octet/images/image.h"
#include "octet/support/api.h"

namespace octet::images {

/// A picture of more pixels is refused, as by PIL: a small file may say that it is large.
inline constexpr int64_t kMostPixels = 178'956'970;

struct DecodeOptions {
  /// 2, 4 or 8: a JPEG comes at that part of its size, for which its decoder skips most of its work. Other pictures
  /// come whole.
  int shrink = 1;
};

struct ImageSize {
  int64_t height = 0;
  int64_t width = 0;
};

/// The sizes that decode_image gives, from the header alone. Throws as it does.
OCTET_API ImageSize image_size(std::string_view bytes, const std::string& name);

/// The picture in the bytes of a JPEG (baseline, progressive; YCbCr, greyscale, RGB, CMYK), a PNG (all types; alpha is
/// left out, of 16 bits the upper 8 stay) or, where octet was built with libwebp, a WebP (one picture; alpha is left
/// out), told by their content; a JPEG is turned as EXIF says. Throws octet::Error naming
/// `name` for anything else, and for what is damaged or cut off.
OCTET_API Image decode_image(std::string_view bytes, const std::string& name, const DecodeOptions& options = {});
/// The same of a file, of up to 256 MB.
OCTET_API Image read_image(const std::string& path, const DecodeOptions& options = {});

/// The bytes of such a file.
OCTET_API std::string read_image_file(const std::string& path);

inline constexpr const char* kImageEndings = ".jpg, .jpeg, .png, .webp";
/// True for these endings in either case.
OCTET_API bool is_image_name(std::string_view path);

}  // namespace octet::images

#pragma once

#include <string>
#include <string_view>

#include "octet/images/image.h"
#include "octet/support/api.h"

namespace octet::images {

/// A picture of more pixels is refused, as by PIL: a small file may say that it is large.
inline constexpr int64_t kMostPixels = 178'956'970;

struct DecodeOptions {
  /// A JPEG may come at an eighth, a quarter or half of its size as long as both sides keep at least so many pixels:
  /// its decoder then skips most of its work. 0: whole.
  int64_t least_side = 0;
};

/// The picture in the bytes of a JPEG (baseline, progressive; YCbCr, greyscale, RGB, CMYK) or PNG (all types; alpha is
/// left out, of 16 bits the upper 8 stay), told by their content, and turned as EXIF says. Throws octet::Error naming
/// `name` for anything else, and for what is damaged or cut off.
OCTET_API Image decode_image(std::string_view bytes, const std::string& name, const DecodeOptions& options = {});
/// The same of a file.
OCTET_API Image read_image(const std::string& path, const DecodeOptions& options = {});

/// True for the endings .jpg, .jpeg and .png in either case.
OCTET_API bool is_image_name(std::string_view path);

}  // namespace octet::images

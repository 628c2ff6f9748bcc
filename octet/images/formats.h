#pragma once
// Internal to octet/images: functions of a format. Only a JPEG comes smaller by `shrink`.

#include <string>
#include <string_view>

#include "octet/images/image_file.h"

namespace octet::images {

Image decode_jpeg(std::string_view bytes, const std::string& name, int shrink);
ImageSize jpeg_size(std::string_view bytes, const std::string& name);
Image decode_png(std::string_view bytes, const std::string& name, int shrink);
ImageSize png_size(std::string_view bytes, const std::string& name);
/// Without libwebp both throw an error that says so.
Image decode_webp(std::string_view bytes, const std::string& name, int shrink);
ImageSize webp_size(std::string_view bytes, const std::string& name);

/// Throws octet::Error naming `name` for sizes that are none, or more than kMostPixels.
void check_sizes(int64_t height, int64_t width, const std::string& name);

/// EXIF's orientation of a JPEG, 1 to 8; 1 where it says none.
int exif_orientation(std::string_view jpeg);
/// The image turned upright: 2 to 4 mirror and turn, 5 to 8 exchange rows and columns too.
Image upright(Image image, int orientation);

}  // namespace octet::images

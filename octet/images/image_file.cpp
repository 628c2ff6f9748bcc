#include "octet/images/image_file.h"

#include <algorithm>
#include <cctype>

#include "octet/images/formats.h"
#include "octet/support/byte_source.h"
#include "octet/support/error.h"

namespace octet::images {
namespace {

constexpr uint64_t kMostBytes = uint64_t{256} << 20;  // of one picture's file

bool begins_with(std::string_view bytes, std::string_view head) { return bytes.substr(0, head.size()) == head; }

struct Format {
  ImageSize (*size)(std::string_view bytes, const std::string& name);
  Image (*decode)(std::string_view bytes, const std::string& name, int shrink);
};

Format format_of(std::string_view bytes, const std::string& name) {
  if (begins_with(bytes, "\xff\xd8\xff")) return {jpeg_size, decode_jpeg};
  if (begins_with(bytes, "\x89PNG\r\n\x1a\n")) return {png_size, decode_png};
  if (begins_with(bytes, "RIFF") && bytes.size() >= 12 && bytes.substr(8, 4) == "WEBP") return {webp_size, decode_webp};
  throw Error(name, bytes.empty() ? "is empty" : "is no picture that octet reads: neither JPEG nor PNG nor WebP");
}

}  // namespace

void check_sizes(int64_t height, int64_t width, const std::string& name) {
  if (height < 1 || width < 1 || width > kMostPixels / height) {
    throw expected(name, "size", str("1 to ", kMostPixels, " pixels"), str(width, " x ", height));
  }
}

ImageSize image_size(std::string_view bytes, const std::string& name) {
  return format_of(bytes, name).size(bytes, name);
}

Image decode_image(std::string_view bytes, const std::string& name, const DecodeOptions& options) {
  return format_of(bytes, name).decode(bytes, name, options.shrink);
}

std::string read_image_file(const std::string& path) { return read_file(path, kMostBytes); }

Image read_image(const std::string& path, const DecodeOptions& options) {
  return decode_image(read_image_file(path), path, options);
}

bool is_image_name(std::string_view path) {
  const size_t dot = path.rfind('.');
  if (dot == std::string_view::npos) return false;
  std::string ending(path.substr(dot));
  std::transform(ending.begin(), ending.end(), ending.begin(), [](unsigned char c) { return std::tolower(c); });
  return ending == ".jpg" || ending == ".jpeg" || ending == ".png" || ending == ".webp";
}

}  // namespace octet::images

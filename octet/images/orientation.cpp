#include "octet/images/formats.h"

namespace octet::images {
namespace {

// Numbers of a TIFF header, in its byte order; 0 beyond the end.
class Tiff {
 public:
  explicit Tiff(std::string_view bytes) : bytes_(bytes), is_little_(bytes.substr(0, 2) == "II") {}
  bool is_one() const { return is_little_ || bytes_.substr(0, 2) == "MM"; }
  uint32_t number(size_t at, size_t bytes) const {
    if (at > bytes_.size() || bytes > bytes_.size() - at) return 0;
    uint32_t value = 0;
    for (size_t i = 0; i < bytes; ++i) {
      const size_t from = is_little_ ? at + bytes - 1 - i : at + i;
      value = value << 8 | static_cast<uint8_t>(bytes_[from]);
    }
    return value;
  }

 private:
  std::string_view bytes_;
  bool is_little_;
};

// Of the first directory's tag 0x0112.
int orientation_in(std::string_view exif) {
  constexpr uint32_t kOrientation = 0x0112;
  const Tiff tiff(exif);
  if (!tiff.is_one()) return 1;
  const size_t directory = tiff.number(4, 4);
  const uint32_t entries = tiff.number(directory, 2);
  for (uint32_t i = 0; i < entries; ++i) {
    const size_t entry = directory + 2 + size_t{12} * i;
    if (entry + 12 > exif.size()) return 1;
    if (tiff.number(entry, 2) != kOrientation) continue;
    const uint32_t value = tiff.number(entry + 8, 2);
    return value >= 1 && value <= 8 ? static_cast<int>(value) : 1;
  }
  return 1;
}

}  // namespace

int exif_orientation(std::string_view jpeg) {
  constexpr std::string_view kExif("Exif\0\0", 6);
  size_t at = 2;
  while (at + 4 <= jpeg.size() && jpeg[at] == '\xff') {
    const auto marker = static_cast<uint8_t>(jpeg[at + 1]);
    if (marker == 0xff) {  // fill bytes
      ++at;
      continue;
    }
    if (marker == 0xda || marker == 0xd9) break;  // the picture itself, or its end
    const size_t length =
        static_cast<size_t>(static_cast<uint8_t>(jpeg[at + 2])) << 8 | static_cast<uint8_t>(jpeg[at + 3]);
    if (length < 2 || length > jpeg.size() - at - 2) break;
    const std::string_view segment = jpeg.substr(at + 4, length - 2);
    if (marker == 0xe1 && segment.substr(0, kExif.size()) == kExif) return orientation_in(segment.substr(kExif.size()));
    at += 2 + length;
  }
  return 1;
}

Image upright(Image image, int orientation) {
  if (orientation <= 1 || orientation > 8) return image;
  const bool exchanges = orientation >= 5;
  const int64_t height = exchanges ? image.width : image.height, width = exchanges ? image.height : image.width;
  // Whether the stored rows run from the bottom, and their pixels from the right.
  const bool from_bottom = orientation == 3 || orientation == 4 || orientation == 7 || orientation == 8;
  const bool from_right = orientation == 2 || orientation == 3 || orientation == 6 || orientation == 7;
  Image turned = make_image(height, width);
  for (int64_t y = 0; y < height; ++y) {
    for (int64_t x = 0; x < width; ++x) {
      const int64_t v = from_bottom ? height - 1 - y : y, u = from_right ? width - 1 - x : x;
      const uint8_t* from = exchanges ? image.at(u, v) : image.at(v, u);
      uint8_t* to = turned.at(y, x);
      for (int c = 0; c < 3; ++c) to[c] = from[c];
    }
  }
  return turned;
}

}  // namespace octet::images

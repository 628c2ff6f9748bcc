#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace octet::images {

/// Pixels in rows from the top, three bytes each: red, green, blue.
struct Image {
  int64_t height = 0;
  int64_t width = 0;
  std::vector<uint8_t> rgb;

  const uint8_t* at(int64_t y, int64_t x) const { return rgb.data() + (y * width + x) * 3; }
  uint8_t* at(int64_t y, int64_t x) { return rgb.data() + (y * width + x) * 3; }
};

/// Of these sizes, black.
inline Image make_image(int64_t height, int64_t width) {
  return {height, width, std::vector<uint8_t>(static_cast<size_t>(height * width * 3))};
}

}  // namespace octet::images

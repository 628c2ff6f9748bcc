#include "octet/images/augment.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "octet/support/mix_seed.h"

namespace octet::images {
namespace {

// From `other` towards `value`, and beyond it for factors above 1; as PIL's Image.blend, which cuts off digits.
uint8_t blend(uint8_t other, uint8_t value, double factor) {
  const auto f = static_cast<float>(factor);
  const float mixed =
      static_cast<float>(other) + f * static_cast<float>(static_cast<int>(value) - static_cast<int>(other));
  return static_cast<uint8_t>(std::clamp(mixed, 0.0F, 255.0F));
}

}  // namespace

double Draws::uniform(double low, double high) {
  return low + (high - low) * static_cast<double>(mix_seed(seed_, drawn_++) >> 11) * 0x1.0p-53;
}

int64_t Draws::below(int64_t count) {
  return static_cast<int64_t>(mix_seed(seed_, drawn_++) % static_cast<uint64_t>(count));
}

Box random_box(int64_t height, int64_t width, Draws& draws, double least_scale, double most_scale, double least_ratio,
               double most_ratio) {
  const double area = static_cast<double>(height) * static_cast<double>(width);
  for (int attempt = 0; attempt < 10; ++attempt) {
    const double wanted = area * draws.uniform(least_scale, most_scale);
    const double ratio = std::exp(draws.uniform(std::log(least_ratio), std::log(most_ratio)));
    const int64_t w = std::llrint(std::sqrt(wanted * ratio)), h = std::llrint(std::sqrt(wanted / ratio));
    if (w < 1 || h < 1 || w > width || h > height) continue;
    const int64_t top = draws.below(height - h + 1);
    return {top, draws.below(width - w + 1), h, w};
  }
  const double ratio = static_cast<double>(width) / static_cast<double>(height);
  int64_t h = height, w = width;
  if (ratio < least_ratio) h = std::llrint(static_cast<double>(w) / least_ratio);
  if (ratio > most_ratio) w = std::llrint(static_cast<double>(h) * most_ratio);
  h = std::clamp<int64_t>(h, 1, height);
  w = std::clamp<int64_t>(w, 1, width);
  return {(height - h) / 2, (width - w) / 2, h, w};
}

void mirror(Image& image) {
  for (int64_t y = 0; y < image.height; ++y) {
    for (int64_t left = 0, right = image.width - 1; left < right; ++left, --right)
      std::swap_ranges(image.at(y, left), image.at(y, left) + 3, image.at(y, right));
  }
}

void adjust_brightness(Image& image, double factor) {
  for (uint8_t& value : image.rgb) value = blend(0, value, factor);
}

void adjust_contrast(Image& image, double factor) {
  uint64_t sum = 0;
  const size_t count = image.rgb.size() / 3;
  for (size_t i = 0; i < count; ++i) sum += luminance(image.rgb.data() + 3 * i);
  const auto mean = static_cast<uint8_t>(static_cast<double>(sum) / static_cast<double>(count) + 0.5);
  for (uint8_t& value : image.rgb) value = blend(mean, value, factor);
}

void adjust_saturation(Image& image, double factor) {
  for (size_t i = 0; i + 2 < image.rgb.size(); i += 3) {
    const uint8_t grey = luminance(image.rgb.data() + i);
    for (size_t c = 0; c < 3; ++c) image.rgb[i + c] = blend(grey, image.rgb[i + c], factor);
  }
}

void color_jitter(Image& image, const Jitter& jitter, Draws& draws) {
  std::array<int, 3> order = {0, 1, 2};
  for (size_t i = order.size(); i > 1; --i)
    std::swap(order[i - 1], order[static_cast<size_t>(draws.below(static_cast<int64_t>(i)))]);
  const auto factor = [&](double most) { return draws.uniform(std::max(0.0, 1.0 - most), 1.0 + most); };
  for (const int change : order) {
    if (change == 0 && jitter.brightness > 0) adjust_brightness(image, factor(jitter.brightness));
    if (change == 1 && jitter.contrast > 0) adjust_contrast(image, factor(jitter.contrast));
    if (change == 2 && jitter.saturation > 0) adjust_saturation(image, factor(jitter.saturation));
  }
}

}  // namespace octet::images

#include "octet/images/augment.h"

#include <algorithm>
#include <array>
#include <cmath>

namespace octet::images {
namespace {

// From `other` towards `value`, and beyond it for factors above 1; as PIL's Image.blend, which cuts off digits.
uint8_t blend(uint8_t other, uint8_t value, double factor) {
  const auto f = static_cast<float>(factor);
  const float mixed =
      static_cast<float>(other) + f * static_cast<float>(static_cast<int>(value) - static_cast<int>(other));
  return static_cast<uint8_t>(std::clamp(mixed, 0.0F, 255.0F));
}

struct Hsv {
  uint8_t hue = 0;
  uint8_t saturation = 0;
  uint8_t value = 0;
};

// As PIL converts: in floats, digits cut off.
Hsv hsv_of(const uint8_t* rgb) {
  const int red = rgb[0], green = rgb[1], blue = rgb[2];
  const int most = std::max({red, green, blue}), least = std::min({red, green, blue});
  if (most == least) return {0, 0, static_cast<uint8_t>(most)};
  const auto range = static_cast<float>(most - least);
  const auto share = [&](int color) { return static_cast<float>(most - color) / range; };
  float hue = 0.0F;  // in sixths of the circle
  if (red == most) {
    hue = share(blue) - share(green);
  } else if (green == most) {
    hue = static_cast<float>(2.0 + share(red) - share(blue));
  } else {
    hue = static_cast<float>(4.0 + share(green) - share(red));
  }
  hue = static_cast<float>(std::fmod(hue / 6.0 + 1.0, 1.0));
  const auto byte = [](double part) {
    return static_cast<uint8_t>(std::clamp(static_cast<int>(part * 255.0), 0, 255));
  };
  return {byte(hue), byte(range / static_cast<float>(most)), static_cast<uint8_t>(most)};
}

void to_rgb(const Hsv& hsv, uint8_t* rgb) {
  if (hsv.saturation == 0) {
    std::fill(rgb, rgb + 3, hsv.value);
    return;
  }
  const float turned = static_cast<float>(hsv.hue) * 6.0F;
  const auto sixth = static_cast<int>(turned / 255.0);
  const auto rest = static_cast<float>(turned / 255.0 - sixth);
  const auto saturation = static_cast<float>(hsv.saturation / 255.0);
  const auto scaled = [&](double part) {
    return static_cast<uint8_t>(std::clamp<int64_t>(std::lround(static_cast<float>(hsv.value) * part), 0, 255));
  };
  const uint8_t most = hsv.value, least = scaled(1.0 - saturation), falling = scaled(1.0 - saturation * rest),
                rising = scaled(1.0 - saturation * (1.0 - rest));
  const std::array<std::array<uint8_t, 3>, 6> sixths = {{{most, rising, least},
                                                         {falling, most, least},
                                                         {least, most, rising},
                                                         {least, falling, most},
                                                         {rising, least, most},
                                                         {most, least, falling}}};
  const std::array<uint8_t, 3>& chosen = sixths[static_cast<size_t>(sixth % 6)];
  std::copy(chosen.begin(), chosen.end(), rgb);
}

// PIL's filter SMOOTH: a mean of nine pixels in which the middle one counts five; the border stays.
Image smooth(const Image& image) {
  constexpr int kMiddle = 5, kSum = 13;
  Image made = image;
  const int64_t row = image.width * 3;
  for (int64_t y = 1; y + 1 < image.height; ++y) {
    const uint8_t* from = image.at(y, 0);
    uint8_t* to = made.at(y, 0);
    for (int64_t x = 3; x < row - 3; ++x) {
      int sum = (kMiddle - 1) * from[x];
      for (const int64_t line : {x - row, x, x + row}) sum += from[line - 3] + from[line] + from[line + 3];
      to[x] = static_cast<uint8_t>((2 * sum + kSum) / (2 * kSum));
    }
  }
  return made;
}

}  // namespace

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

void adjust_sharpness(Image& image, double factor) {
  const Image soft = smooth(image);
  for (size_t i = 0; i < image.rgb.size(); ++i) image.rgb[i] = blend(soft.rgb[i], image.rgb[i], factor);
}

void adjust_hue(Image& image, double part) {
  const auto turn = static_cast<uint8_t>(static_cast<int32_t>(part * 255));  // over the end and on
  for (size_t i = 0; i + 2 < image.rgb.size(); i += 3) {
    Hsv hsv = hsv_of(image.rgb.data() + i);
    hsv.hue = static_cast<uint8_t>(hsv.hue + turn);
    to_rgb(hsv, image.rgb.data() + i);
  }
}

void color_jitter(Image& image, const Jitter& jitter, Draws& draws) {
  std::array<int, 4> order = {0, 1, 2, 3};
  for (size_t i = jitter.hue > 0 ? 4 : 3; i > 1; --i)
    std::swap(order[i - 1], order[static_cast<size_t>(draws.below(static_cast<int64_t>(i)))]);
  const auto factor = [&](double most) { return draws.uniform(std::max(0.0, 1.0 - most), 1.0 + most); };
  for (const int change : order) {
    if (change == 0 && jitter.brightness > 0) adjust_brightness(image, factor(jitter.brightness));
    if (change == 1 && jitter.contrast > 0) adjust_contrast(image, factor(jitter.contrast));
    if (change == 2 && jitter.saturation > 0) adjust_saturation(image, factor(jitter.saturation));
    if (change == 3 && jitter.hue > 0) adjust_hue(image, draws.uniform(-jitter.hue, jitter.hue));
  }
}

}  // namespace octet::images

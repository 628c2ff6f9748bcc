#include "octet/images/rand_augment.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "octet/images/augment.h"

namespace octet::images {
namespace {

// Where a pixel comes from: x' = a x + b y + c, y' = d x + e y + f, of the pixels' middles.
struct Affine {
  double a = 1.0, b = 0.0, c = 0.0;
  double d = 0.0, e = 1.0, f = 0.0;
};

// With places of 16 fractional bits, as PIL has them.
Image moved(const Image& image, const Affine& from, const Color& fill) {
  constexpr int kFraction = 16;
  const auto fixed = [](double value) { return static_cast<int64_t>(std::floor(value * (1 << kFraction) + 0.5)); };
  const int64_t a = fixed(from.a), b = fixed(from.b), d = fixed(from.d), e = fixed(from.e);
  const int64_t c = fixed(from.c + from.a * 0.5 + from.b * 0.5), f = fixed(from.f + from.d * 0.5 + from.e * 0.5);
  Image made = make_image(image.height, image.width);
  for (int64_t y = 0; y < image.height; ++y) {
    int64_t u = c + b * y, v = f + e * y;
    for (int64_t x = 0; x < image.width; ++x, u += a, v += d) {
      const int64_t column = u >> kFraction, row = v >> kFraction;
      const bool inside = column >= 0 && column < image.width && row >= 0 && row < image.height;
      std::copy_n(inside ? image.at(row, column) : fill.data(), 3, made.at(y, x));
    }
  }
  return made;
}

// PIL's rotate(): about the middle, cosine and sine rounded to 15 digits.
Affine rotation(double degrees, int64_t height, int64_t width) {
  const double angle = -std::fmod(degrees + 360.0, 360.0) * (std::numbers::pi / 180.0);
  const auto rounded = [](double value) { return std::nearbyint(value * 1e15) / 1e15; };
  const double x = static_cast<double>(width) / 2.0, y = static_cast<double>(height) / 2.0;
  Affine from{rounded(std::cos(angle)),  rounded(std::sin(angle)), 0,
              rounded(-std::sin(angle)), rounded(std::cos(angle)), 0};
  from.c = from.a * -x + from.b * -y + x;
  from.f = from.d * -x + from.e * -y + y;
  return from;
}

using Table = std::array<uint8_t, 256>;

void look_up(Image& image, const Table& table, size_t channel) {
  for (size_t i = channel; i < image.rgb.size(); i += 3) image.rgb[i] = table[image.rgb[i]];
}

// Each channel by a table of its own, made of how often its levels occur.
template <typename Make>
void by_histogram(Image& image, const Make& make) {
  for (size_t channel = 0; channel < 3; ++channel) {
    std::array<int64_t, 256> counts{};
    for (size_t i = channel; i < image.rgb.size(); i += 3) ++counts[image.rgb[i]];
    Table table;
    for (size_t i = 0; i < table.size(); ++i) table[i] = static_cast<uint8_t>(i);
    make(counts, table);
    look_up(image, table, channel);
  }
}

// PIL's ImageOps.autocontrast: the least level becomes 0, the greatest 255.
void stretch(const std::array<int64_t, 256>& counts, Table& table) {
  size_t least = 0, most = 255;
  while (least < 255 && counts[least] == 0) ++least;
  while (most > 0 && counts[most] == 0) --most;
  if (most <= least) return;
  const double scale = 255.0 / static_cast<double>(most - least);
  const double offset = -static_cast<double>(least) * scale;
  for (size_t i = 0; i < table.size(); ++i) {
    table[i] = static_cast<uint8_t>(std::clamp(static_cast<int>(static_cast<double>(i) * scale + offset), 0, 255));
  }
}

// PIL's ImageOps.equalize: levels in the order of their ranks.
void equalize(const std::array<int64_t, 256>& counts, Table& table) {
  int64_t sum = 0, levels = 0, last = 0;
  for (const int64_t count : counts) {
    if (count == 0) continue;
    sum += count;
    last = count;
    ++levels;
  }
  const int64_t step = (sum - last) / 255;
  if (levels <= 1 || step == 0) return;
  int64_t rank = step / 2;
  for (size_t i = 0; i < table.size(); ++i) {
    table[i] = static_cast<uint8_t>(std::min<int64_t>(rank / step, 255));
    rank += counts[i];
  }
}

// Level by level, the same in all channels.
template <typename Level>
void by_level(Image& image, const Level& level) {
  for (uint8_t& value : image.rgb) value = level(value);
}

// torch.linspace(0, end, bins)[place], in its float32.
double along(double end, int64_t place, int64_t bins) {
  const auto last = static_cast<float>(end);
  const float step = last / static_cast<float>(bins - 1);
  return place < bins / 2 ? step * static_cast<float>(place) : last - step * static_cast<float>(bins - 1 - place);
}

}  // namespace

double strength(Change change, int64_t magnitude, int64_t bins, int64_t height, int64_t width) {
  constexpr double kFarthest = 150.0 / 331.0;  // of a side, as AutoAugment moved pictures of 331
  switch (change) {
    case Change::kShearX:
    case Change::kShearY:
      return along(0.3, magnitude, bins);
    case Change::kTranslateX:
      return along(kFarthest * static_cast<double>(width), magnitude, bins);
    case Change::kTranslateY:
      return along(kFarthest * static_cast<double>(height), magnitude, bins);
    case Change::kRotate:
      return along(30.0, magnitude, bins);
    case Change::kBrightness:
    case Change::kColor:
    case Change::kContrast:
    case Change::kSharpness:
      return along(0.9, magnitude, bins);
    case Change::kPosterize: {
      const float quarter = static_cast<float>(bins - 1) / 4.0F;
      return 8.0 - static_cast<double>(std::nearbyint(static_cast<float>(magnitude) / quarter));
    }
    case Change::kSolarize:
      return along(255.0, bins - 1 - magnitude, bins);
    case Change::kIdentity:
    case Change::kAutoContrast:
    case Change::kEqualize:
      return 0.0;
  }
  return 0.0;
}

bool goes_both_ways(Change change) { return change >= Change::kShearX && change <= Change::kSharpness; }

void apply(Image& image, Change change, double strength, const Color& fill) {
  switch (change) {
    case Change::kIdentity:
      return;
    case Change::kShearX:
      image = moved(image, {.b = strength}, fill);
      return;
    case Change::kShearY:
      image = moved(image, {.d = strength}, fill);
      return;
    case Change::kTranslateX:
      image = moved(image, {.c = -std::trunc(strength)}, fill);
      return;
    case Change::kTranslateY:
      image = moved(image, {.f = -std::trunc(strength)}, fill);
      return;
    case Change::kRotate:
      image = moved(image, rotation(strength, image.height, image.width), fill);
      return;
    case Change::kBrightness:
      return adjust_brightness(image, 1.0 + strength);
    case Change::kColor:
      return adjust_saturation(image, 1.0 + strength);
    case Change::kContrast:
      return adjust_contrast(image, 1.0 + strength);
    case Change::kSharpness:
      return adjust_sharpness(image, 1.0 + strength);
    case Change::kPosterize: {
      const auto kept = static_cast<uint8_t>(0xff << (8 - std::clamp(static_cast<int>(strength), 0, 8)));
      return by_level(image, [&](uint8_t value) { return static_cast<uint8_t>(value & kept); });
    }
    case Change::kSolarize:
      return by_level(image,
                      [&](uint8_t value) { return value < strength ? value : static_cast<uint8_t>(255 - value); });
    case Change::kAutoContrast:
      return by_histogram(image, stretch);
    case Change::kEqualize:
      return by_histogram(image, equalize);
  }
}

void rand_augment(Image& image, const RandAugment& options, Draws& draws) {
  for (int64_t i = 0; i < options.changes; ++i) {
    const auto change = static_cast<Change>(draws.below(kChanges));
    double far = strength(change, options.magnitude, options.bins, image.height, image.width);
    if (goes_both_ways(change) && draws.below(2) == 1) far = -far;
    apply(image, change, far, options.fill);
  }
}

}  // namespace octet::images

#include "octet/images/resample.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "octet/support/error.h"

namespace octet::images {
namespace {

constexpr int kBits = 22;  // of a weight: eight of a pixel and the sum of two stay within 32

double bilinear(double x) { return std::max(0.0, 1.0 - std::abs(x)); }

double bicubic(double x) {
  constexpr double a = -0.5;
  x = std::abs(x);
  if (x < 1.0) return ((a + 2.0) * x - (a + 3.0)) * x * x + 1;
  if (x < 2.0) return (((x - 5) * x + 8) * x - 4) * a;
  return 0.0;
}

// What each place along one side is made of: pixels from `first` on, with these weights.
struct Taps {
  struct Range {
    int64_t first = 0;
    int64_t count = 0;
  };
  std::vector<Range> ranges;
  std::vector<int32_t> weights;  // `most` a place
  int64_t most = 0;
};

Taps taps(int64_t from, int64_t begin, int64_t length, int64_t to, Filter filter) {
  const double scale = static_cast<double>(length) / static_cast<double>(to);
  const double wide = std::max(scale, 1.0);
  const double support = (filter == Filter::kBicubic ? 2.0 : 1.0) * wide;
  Taps made;
  made.most = static_cast<int64_t>(std::ceil(support)) * 2 + 1;
  made.weights.assign(static_cast<size_t>(made.most * to), 0);
  std::vector<double> shares(static_cast<size_t>(made.most));
  for (int64_t place = 0; place < to; ++place) {
    const double center = static_cast<double>(begin) + (static_cast<double>(place) + 0.5) * scale;
    const int64_t first = std::max<int64_t>(static_cast<int64_t>(center - support + 0.5), 0);
    const int64_t last = std::min(static_cast<int64_t>(center + support + 0.5), from);
    const int64_t count = last - first;
    double sum = 0.0;
    for (int64_t i = 0; i < count; ++i) {
      const double x = (static_cast<double>(i + first) - center + 0.5) * (1.0 / wide);
      shares[static_cast<size_t>(i)] = filter == Filter::kBicubic ? bicubic(x) : bilinear(x);
      sum += shares[static_cast<size_t>(i)];
    }
    for (int64_t i = 0; i < count; ++i) {
      const double share = sum != 0.0 ? shares[static_cast<size_t>(i)] / sum : shares[static_cast<size_t>(i)];
      made.weights[static_cast<size_t>(place * made.most + i)] =
          static_cast<int32_t>((share < 0 ? -0.5 : 0.5) + share * (1 << kBits));
    }
    made.ranges.push_back({first, count});
  }
  return made;
}

uint8_t pixel(int32_t sum) { return static_cast<uint8_t>(std::clamp(sum >> kBits, 0, 255)); }

// Rows `first` to `last` of the image, each brought to the taps' width.
Image along_rows(const Image& image, const Taps& taps, int64_t first, int64_t last) {
  const auto width = static_cast<int64_t>(taps.ranges.size());
  Image made = make_image(last - first, width);
  for (int64_t y = first; y < last; ++y) {
    for (int64_t x = 0; x < width; ++x) {
      const Taps::Range range = taps.ranges[static_cast<size_t>(x)];
      const int32_t* weight = taps.weights.data() + x * taps.most;
      const uint8_t* from = image.at(y, range.first);
      int32_t red = 1 << (kBits - 1), green = red, blue = red;
      for (int64_t i = 0; i < range.count; ++i, from += 3) {
        red += from[0] * weight[i];
        green += from[1] * weight[i];
        blue += from[2] * weight[i];
      }
      uint8_t* to = made.at(y - first, x);
      to[0] = pixel(red);
      to[1] = pixel(green);
      to[2] = pixel(blue);
    }
  }
  return made;
}

// The image's rows begin at row `first` of what the taps were made for.
Image along_columns(const Image& image, const Taps& taps, int64_t first) {
  const auto height = static_cast<int64_t>(taps.ranges.size());
  Image made = make_image(height, image.width);
  std::vector<int32_t> sums(static_cast<size_t>(image.width * 3));
  for (int64_t y = 0; y < height; ++y) {
    const Taps::Range range = taps.ranges[static_cast<size_t>(y)];
    std::fill(sums.begin(), sums.end(), 1 << (kBits - 1));
    for (int64_t i = 0; i < range.count; ++i) {
      const int32_t weight = taps.weights[static_cast<size_t>(y * taps.most + i)];
      const uint8_t* from = image.at(range.first + i - first, 0);
      for (size_t x = 0; x < sums.size(); ++x) sums[x] += from[x] * weight;
    }
    uint8_t* to = made.at(y, 0);
    for (size_t x = 0; x < sums.size(); ++x) to[x] = pixel(sums[x]);
  }
  return made;
}

}  // namespace

Image resize(const Image& image, const Box& box, int64_t height, int64_t width, Filter filter) {
  const bool inside = box.top >= 0 && box.left >= 0 && box.height > 0 && box.width > 0 &&
                      box.height <= image.height - box.top && box.width <= image.width - box.left;
  if (!inside || height < 1 || width < 1) {
    throw expected("resize", "box", str("within ", image.width, " x ", image.height),
                   str(box.width, " x ", box.height, " at ", box.left, ", ", box.top));
  }
  const bool keeps_width = box.width == width, keeps_height = box.height == height;
  if (keeps_width && keeps_height) return crop(image, box);
  const Taps rows = taps(image.height, box.top, box.height, height, filter);
  const int64_t first = keeps_height ? box.top : rows.ranges.front().first;
  const int64_t last = keeps_height ? box.top + box.height : rows.ranges.back().first + rows.ranges.back().count;
  const Image narrow = keeps_width
                           ? crop(image, {first, box.left, last - first, width})
                           : along_rows(image, taps(image.width, box.left, box.width, width, filter), first, last);
  return keeps_height ? narrow : along_columns(narrow, rows, first);
}

Image resize(const Image& image, int64_t height, int64_t width, Filter filter) {
  return resize(image, {0, 0, image.height, image.width}, height, width, filter);
}

Image resize_shorter(const Image& image, int64_t size, Filter filter) {
  const int64_t shorter = std::min(image.height, image.width), longer = std::max(image.height, image.width);
  if (shorter == size) return image;
  const int64_t other = size * longer / shorter;
  return image.width <= image.height ? resize(image, other, size, filter) : resize(image, size, other, filter);
}

Image crop(const Image& image, const Box& box) {
  Image made = make_image(box.height, box.width);
  for (int64_t y = 0; y < box.height; ++y)
    std::memcpy(made.at(y, 0), image.at(box.top + y, box.left), static_cast<size_t>(box.width * 3));
  return made;
}

Image center_crop(const Image& image, int64_t height, int64_t width) {
  if (height > image.height || width > image.width) {
    // Black on all sides, the odd pixel behind.
    const int64_t down = std::max<int64_t>(height - image.height, 0),
                  across = std::max<int64_t>(width - image.width, 0);
    Image wide = make_image(image.height + down, image.width + across);
    for (int64_t y = 0; y < image.height; ++y)
      std::memcpy(wide.at(down / 2 + y, across / 2), image.at(y, 0), static_cast<size_t>(image.width * 3));
    return center_crop(wide, height, width);
  }
  // Half an odd difference is rounded to the even number, as Python does.
  const auto half = [](int64_t difference) { return std::llrint(static_cast<double>(difference) / 2.0); };
  return crop(image, {half(image.height - height), half(image.width - width), height, width});
}

}  // namespace octet::images

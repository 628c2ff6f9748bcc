#include <ATen/Functions.h>

#include <algorithm>
#include <limits>

#include "octet/formats/dtype.h"
#include "octet/formats/onnx/operators.h"

namespace octet::onnx {
namespace {

using Sizes = std::vector<int64_t>;

/// How a window moves over the last dimensions of its input.
struct Window {
  Sizes kernel;
  Sizes strides;
  Sizes dilations;
  Sizes before;  // padding
  Sizes after;

  size_t dimensions() const { return kernel.size(); }
  bool is_padded() const { return before != Sizes(dimensions(), 0) || after != before; }
};

Sizes spatial(const Sizes& sizes) { return {sizes.begin() + 2, sizes.end()}; }

Sizes given_sizes(const Step& step, const char* name, size_t dimensions, int64_t missing) {
  Sizes sizes = step.integers(name, Sizes(dimensions, missing));
  if (sizes.size() != dimensions) step.refuse(name, str(dimensions, " numbers"), str(sizes.size()));
  for (const int64_t size : sizes) {
    if (size < 1 || size > std::numeric_limits<int32_t>::max()) step.refuse(name, "numbers from 1", str(size));
  }
  return sizes;
}

// The padding that auto_pad asks for, so that an output has ceil(size / stride) places.
void pad_to_same(const Step& step, Window& window, bool upper) {
  const Sizes sizes = spatial(step.sizes(0));
  for (size_t i = 0; i < window.dimensions(); ++i) {
    const int64_t places = (sizes[i] + window.strides[i] - 1) / window.strides[i];
    const int64_t reach = (places - 1) * window.strides[i] + (window.kernel[i] - 1) * window.dilations[i] + 1;
    const int64_t all = std::max<int64_t>(0, reach - sizes[i]);
    window.before[i] = upper ? all / 2 : all - all / 2;
    window.after[i] = all - window.before[i];
  }
}

enum class Reach { kAny, kWithinWindow };

Window read_window(const Step& step, const Sizes& kernel, Reach of_padding) {
  const size_t dimensions = kernel.size();
  if (step.rank(0) != static_cast<int64_t>(dimensions) + 2)
    step.refuse("input", str(dimensions + 2, " dimensions"), sizes_text(step.sizes(0)));
  Window window{kernel, given_sizes(step, "strides", dimensions, 1), given_sizes(step, "dilations", dimensions, 1),
                Sizes(dimensions, 0), Sizes(dimensions, 0)};
  const std::string mode = step.text("auto_pad", "NOTSET");
  if (mode == "SAME_UPPER" || mode == "SAME_LOWER") {
    pad_to_same(step, window, mode == "SAME_UPPER");
  } else if (mode == "NOTSET" || mode.empty()) {
    const Sizes pads = step.integers("pads", Sizes(2 * dimensions, 0));
    if (pads.size() != 2 * dimensions) step.refuse("pads", str(2 * dimensions, " numbers"), str(pads.size()));
    for (size_t i = 0; i < pads.size(); ++i) {
      const int64_t reach = of_padding == Reach::kAny ? std::numeric_limits<int32_t>::max()
                                                      : (kernel[i % dimensions] - 1) * window.dilations[i % dimensions];
      if (pads[i] < 0 || pads[i] > reach) step.refuse("pads", str("0 to ", reach), str(pads[i]));
    }
    std::copy_n(pads.begin(), dimensions, window.before.begin());
    std::copy_n(pads.begin() + static_cast<int64_t>(dimensions), dimensions, window.after.begin());
  } else if (mode != "VALID") {
    step.refuse("auto_pad", "NOTSET, SAME_UPPER, SAME_LOWER or VALID", mode);
  }
  return window;
}

// An operator of its own for padding that ATen's window has not; none is left in the window then.
Value pad_apart(Step& step, const Value& image, Window& window, double value) {
  Sizes pads;
  for (size_t i = window.dimensions(); i-- > 0;) {
    pads.push_back(window.before[i]);
    pads.push_back(window.after[i]);
  }
  window.before.assign(window.dimensions(), 0);
  window.after = window.before;
  return step.call("aten.pad.default", {image, pads, "constant", value});
}

Sizes kernel_of_weight(const Step& step) {
  const Sizes sizes = step.sizes(1);
  if (sizes.size() < 3 || sizes.size() > 5) step.refuse("weight", "three to five dimensions", sizes_text(sizes));
  const Sizes kernel = spatial(sizes);
  if (const Sizes said = step.integers("kernel_shape", kernel); said != kernel)
    step.refuse("kernel_shape", sizes_text(kernel) + ", as the weight has it", sizes_text(said));
  return kernel;
}

Operand bias_of(const Step& step) { return step.has(2) ? Operand(step.parameter(2, "bias")) : Operand(Arg()); }

}  // namespace

void build_conv(Step& step) {
  Window window = read_window(step, kernel_of_weight(step), Reach::kAny);
  Value x = step.in(0);
  if (window.before != window.after) x = pad_apart(step, x, window, 0.0);
  step.give(step.call(str("aten.conv", window.dimensions(), "d.default"),
                      {x, step.parameter(1, "weight"), bias_of(step), window.strides, window.before, window.dilations,
                       step.integer("group", 1)}));
}

void build_conv_transpose(Step& step) {
  Window window = read_window(step, kernel_of_weight(step), Reach::kAny);
  const size_t dimensions = window.dimensions();
  const std::string mode = step.text("auto_pad", "NOTSET");
  const Sizes wanted = step.integers("output_shape");
  Sizes extra = step.integers("output_padding", Sizes(dimensions, 0));
  if (extra.size() != dimensions) step.refuse("output_padding", str(dimensions, " numbers"), str(extra.size()));
  const Sizes sizes = spatial(step.sizes(0));
  for (size_t i = 0; i < dimensions; ++i) {
    const int64_t whole =
        window.strides[i] * (sizes[i] - 1) + extra[i] + (window.kernel[i] - 1) * window.dilations[i] + 1;
    const bool same = mode == "SAME_UPPER" || mode == "SAME_LOWER";
    if (wanted.empty() && !same) continue;
    const size_t front = wanted.size() == dimensions + 2 ? 2 : 0;
    if (!wanted.empty() && wanted.size() != dimensions + front)
      step.refuse("output_shape", str(dimensions, " numbers"), str(wanted.size()));
    if (!wanted.empty() && wanted[i + front] < 1) step.refuse("output_shape", "numbers from 1", sizes_text(wanted));
    const int64_t all = whole - (wanted.empty() ? sizes[i] * window.strides[i] : wanted[i + front]);
    if (all < 0) {  // what lies beyond the last window
      extra[i] -= all;
      window.before[i] = window.after[i] = 0;
      continue;
    }
    window.before[i] = mode == "SAME_UPPER" ? all / 2 : all - all / 2;
    window.after[i] = all - window.before[i];
  }
  // ATen pads both sides alike: what one has more is cut off, behind from the output's own padding first.
  Sizes padding(dimensions);
  for (size_t i = 0; i < dimensions; ++i) padding[i] = std::min(window.before[i], window.after[i]);
  Sizes behind(dimensions);
  for (size_t i = 0; i < dimensions; ++i) {
    behind[i] = window.after[i] - padding[i];
    const int64_t taken = std::min(behind[i], extra[i]);
    behind[i] -= taken;
    extra[i] -= taken;
  }
  Value result = step.call(str("aten.conv_transpose", dimensions, "d.", dimensions == 1 ? "default" : "input"),
                           {step.in(0), step.parameter(1, "weight"), bias_of(step), window.strides, padding, extra,
                            step.integer("group", 1), window.dilations});
  for (size_t i = 0; i < dimensions; ++i) {
    const int64_t front = window.before[i] - padding[i];
    if (front == 0 && behind[i] == 0) continue;
    const int64_t end = behind[i] == 0 ? std::numeric_limits<int64_t>::max() : -behind[i];
    result = step.call("aten.slice.Tensor", {result, static_cast<int64_t>(i) + 2, front, end, 1});
  }
  step.give(result);
}

namespace {

Window pool_window(const Step& step) {
  const Sizes kernel = step.integers("kernel_shape");
  if (kernel.empty() || kernel.size() > 3) step.refuse("kernel_shape", "one to three numbers", str(kernel.size()));
  return read_window(step, given_sizes(step, "kernel_shape", kernel.size(), 1), Reach::kWithinWindow);
}

// ATen pads by at most half a window.
bool aten_pads(const Window& window) {
  for (size_t i = 0; i < window.dimensions(); ++i) {
    if (window.before[i] != window.after[i] || 2 * window.before[i] > window.kernel[i]) return false;
  }
  return true;
}

}  // namespace

void build_max_pool(Step& step) {
  if (step.wants(1))
    step.refuse("the places of the maxima (output 1) are read, which octet does not take", "leave them out");
  Window window = pool_window(step);
  Value x = step.in(0);
  if (window.is_padded() && !aten_pads(window)) {
    if (!at::isFloatingType(step.dtype(0))) step.refuse("pads", "the same on both sides", "others");
    x = pad_apart(step, x, window, -std::numeric_limits<double>::infinity());
  }
  step.give(step.call(
      str("aten.max_pool", window.dimensions(), "d.default"),
      {x, window.kernel, window.strides, window.before, window.dilations, step.integer("ceil_mode", 0) != 0}));
}

namespace {

// How many places a window of ATen has that is padded alike on both sides, and may hang over with `ceil`.
int64_t pool_places(int64_t size, int64_t before, int64_t after, int64_t kernel, int64_t stride, bool ceil) {
  const int64_t room = size + before + after - kernel;
  if (room < 0) return 0;
  const int64_t count = (room + (ceil ? stride - 1 : 0)) / stride + 1;
  return ceil && (count - 1) * stride >= size + before ? count - 1 : count;
}

// Padding that is not counted may as well hang over, where the windows stay the same ones.
bool may_hang_over(const Step& step, const Window& window, bool ceil) {
  const Sizes sizes = spatial(step.sizes(0));
  for (size_t i = 0; i < window.dimensions(); ++i) {
    const int64_t before = window.before[i];
    const int64_t kernel = window.kernel[i];
    const int64_t stride = window.strides[i];
    if (2 * before > kernel || before > window.after[i]) return false;
    if (pool_places(sizes[i], before, before, kernel, stride, true) !=
        pool_places(sizes[i], before, window.after[i], kernel, stride, ceil))
      return false;
  }
  return true;
}

Value average_of(Step& step, const Value& x, const Window& window, bool ceil, bool counted) {
  return step.call(str("aten.avg_pool", window.dimensions(), "d.default"),
                   {x, window.kernel, window.strides, window.before, ceil, counted});
}

}  // namespace

void build_average_pool(Step& step) {
  Window window = pool_window(step);
  if (window.dilations != Sizes(window.dimensions(), 1))
    step.refuse("dilations", "1, which is what ATen has", sizes_text(window.dilations), "write it as a Conv");
  const bool counts_padding = step.integer("count_include_pad", 0) != 0;
  const bool ceil = step.integer("ceil_mode", 0) != 0;
  const Value& x = step.in(0);
  if (!window.is_padded() || aten_pads(window)) {
    // Without padding nothing is left out; torch writes it as counted.
    return step.give(average_of(step, x, window, ceil, counts_padding || !window.is_padded()));
  }
  if (counts_padding) {
    const Value padded = pad_apart(step, x, window, 0.0);
    return step.give(average_of(step, padded, window, ceil, true));
  }
  if (may_hang_over(step, window, ceil)) return step.give(average_of(step, x, window, true, false));
  if (ceil) {
    step.refuse("pads", "the same on both sides where padding is not counted and the last window hangs over",
                str(sizes_text(window.before), " and ", sizes_text(window.after)));
  }
  // The mean that counts all, by the share of each window that lies in the image.
  Sizes of_image = step.sizes(0);
  of_image[0] = of_image[1] = 1;
  step.charge_constant(of_image, at::kFloat);
  Window same = window;
  const Value ones = pad_apart(step, step.constant(at::ones(of_image)), same, 0.0);
  const Value shares = step.call("aten.reciprocal.default", {average_of(step, ones, same, false, true)});
  const Value padded = pad_apart(step, x, window, 0.0);
  step.give(step.call("aten.mul.Tensor", {average_of(step, padded, window, false, true), shares}));
}

void build_global_average_pool(Step& step) {
  const int64_t rank = step.rank(0);
  if (rank < 3 || rank > 5) step.refuse("input", "three to five dimensions", sizes_text(step.sizes(0)));
  step.give(step.call(str("aten.adaptive_avg_pool", rank - 2, "d.default"),
                      {step.in(0), Sizes(static_cast<size_t>(rank - 2), 1)}));
}

void build_global_max_pool(Step& step) {
  Sizes dims;
  for (int64_t i = 2; i < step.rank(0); ++i) dims.push_back(i);
  if (dims.empty()) step.refuse("input", "three dimensions or more", sizes_text(step.sizes(0)));
  step.give(step.call("aten.amax.default", {step.in(0), dims, true}));
}

}  // namespace octet::onnx

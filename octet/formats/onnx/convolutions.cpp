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

Window read_window(const Step& step, const Sizes& kernel) {
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
      const int64_t reach = (kernel[i % dimensions] - 1) * window.dilations[i % dimensions];
      if (pads[i] < 0 || pads[i] > reach) step.refuse("pads", str("0 to ", reach, ", within the window"), str(pads[i]));
    }
    std::copy_n(pads.begin(), dimensions, window.before.begin());
    std::copy_n(pads.begin() + static_cast<int64_t>(dimensions), dimensions, window.after.begin());
  } else if (mode != "VALID") {
    step.refuse("auto_pad", "NOTSET, SAME_UPPER, SAME_LOWER or VALID", mode);
  }
  return window;
}

// An operator of its own for padding that is not the same on both sides.
Value pad_input(Step& step, Window& window, double value) {
  Sizes pads;
  for (size_t i = window.dimensions(); i-- > 0;) {
    pads.push_back(window.before[i]);
    pads.push_back(window.after[i]);
  }
  window.before.assign(window.dimensions(), 0);
  window.after = window.before;
  return step.call("aten.pad.default", {step.in(0), pads, "constant", value});
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
  Window window = read_window(step, kernel_of_weight(step));
  Value x = step.in(0);
  if (window.before != window.after) x = pad_input(step, window, 0.0);
  step.give(step.call(str("aten.conv", window.dimensions(), "d.default"),
                      {x, step.parameter(1, "weight"), bias_of(step), window.strides, window.before, window.dilations,
                       step.integer("group", 1)}));
}

void build_conv_transpose(Step& step) {
  Window window = read_window(step, kernel_of_weight(step));
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
  return read_window(step, given_sizes(step, "kernel_shape", kernel.size(), 1));
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
    x = pad_input(step, window, -std::numeric_limits<double>::infinity());
  }
  step.give(step.call(
      str("aten.max_pool", window.dimensions(), "d.default"),
      {x, window.kernel, window.strides, window.before, window.dilations, step.integer("ceil_mode", 0) != 0}));
}

void build_average_pool(Step& step) {
  Window window = pool_window(step);
  if (window.dilations != Sizes(window.dimensions(), 1))
    step.refuse("dilations", "1, which is what ATen has", sizes_text(window.dilations), "write it as a Conv");
  const bool counts_padding = step.integer("count_include_pad", 0) != 0;
  const bool ceil = step.integer("ceil_mode", 0) != 0;
  Value x = step.in(0);
  if (window.is_padded() && !aten_pads(window)) {
    if (!counts_padding)
      step.refuse("pads", "the same on both sides where padding is not counted, by half a window at most",
                  str(sizes_text(window.before), " and ", sizes_text(window.after)), "pad by a Pad of its own");
    x = pad_input(step, window, 0.0);
  }
  // Without padding nothing is left out; torch writes it as counted.
  const bool counted = counts_padding || !window.is_padded();
  step.give(step.call(str("aten.avg_pool", window.dimensions(), "d.default"),
                      {x, window.kernel, window.strides, window.before, ceil, counted}));
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

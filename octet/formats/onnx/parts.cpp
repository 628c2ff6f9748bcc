#include <ATen/Functions.h>

#include <algorithm>
#include <limits>
#include <numeric>

#include "octet/formats/dtype.h"
#include "octet/formats/onnx/operators.h"

namespace octet::onnx {
namespace {

using Sizes = std::vector<int64_t>;

// Elements of a dimension by their places: a slice where these are evenly spaced, which more targets have.
Value pick(Step& step, int64_t axis, const at::Tensor& places) {
  const at::Tensor list = places.contiguous();
  const auto* at = list.const_data_ptr<int64_t>();
  const int64_t count = list.numel();
  const int64_t stride = count > 1 ? at[1] - at[0] : 1;
  bool even = count > 0 && stride > 0 && at[0] >= 0 && at[count - 1] < step.sizes(0)[static_cast<size_t>(axis)];
  for (int64_t i = 1; i < count && even; ++i) even = at[i] - at[i - 1] == stride;
  if (even) return step.call("aten.slice.Tensor", {step.in(0), axis, at[0], at[count - 1] + 1, stride});
  return step.call("aten.index_select.default", {step.in(0), axis, step.constant(list)});
}

}  // namespace

void build_concat(Step& step) {
  const int64_t axis = step.axis(step.integer("axis", 0), step.rank(0));
  if (step.count() == 1) return step.give(step.in(0));
  step.give(step.call("aten.cat.default", {step.all(), axis}));
}

void build_split(Step& step) {
  const int64_t axis = step.axis(step.integer("axis", 0), step.rank(0));
  const int64_t size = step.sizes(0)[static_cast<size_t>(axis)];
  Sizes parts;
  if (step.has(1)) {
    parts = step.integers(1, "split");
  } else {
    const int64_t count = step.integer("num_outputs", static_cast<int64_t>(step.outputs()));
    if (count < 1 || count > size) step.refuse("num_outputs", str("at most ", size), str(count));
    const int64_t each = (size + count - 1) / count;
    for (int64_t left = size; left > 0; left -= each) parts.push_back(std::min(each, left));
  }
  if (parts.size() != step.outputs()) step.refuse("split", str(step.outputs(), " sizes"), sizes_text(parts));
  const std::vector<Value> given = step.call_several("aten.split_with_sizes.default", {step.in(0), parts, axis});
  for (size_t i = 0; i < given.size(); ++i) step.give(i, given[i]);
}

void build_slice(Step& step) {
  const int64_t rank = step.rank(0);
  const Sizes starts = step.integers(1, "starts");
  const Sizes ends = step.integers(2, "ends");
  Sizes axes(starts.size());
  std::iota(axes.begin(), axes.end(), 0);
  if (step.has(3)) axes = step.integers(3, "axes");
  const Sizes steps = step.has(4) ? step.integers(4, "steps") : Sizes(starts.size(), 1);
  if (ends.size() != starts.size() || axes.size() != starts.size() || steps.size() != starts.size())
    step.refuse("starts, ends, axes and steps", "as many of each", "others");
  Value result = step.in(0);
  for (size_t i = 0; i < starts.size(); ++i) {
    const int64_t axis = step.axis(axes[i], rank);
    const int64_t size = step.sizes(result)[static_cast<size_t>(axis)];
    if (steps[i] == 0) step.refuse("steps", "numbers other than 0", "0");
    const auto place = [&](int64_t at, int64_t low, int64_t high) {
      return std::clamp(at < 0 ? at + size : at, low, high);
    };
    if (steps[i] > 0) {
      const int64_t begin = place(starts[i], 0, size);
      const int64_t end = place(ends[i], 0, size);
      if (begin == 0 && end == size && steps[i] == 1) continue;
      // Of an open end, as torch writes it.
      const int64_t written = end == size ? std::numeric_limits<int64_t>::max() : end;
      result = step.call("aten.slice.Tensor", {result, axis, begin, written, steps[i]});
      continue;
    }
    Sizes places;
    const int64_t end = place(ends[i], -1, size - 1);
    const int64_t begin = size == 0 ? end : place(starts[i], 0, size - 1);
    for (int64_t at = begin; at > end; at += std::max(steps[i], -size - 1)) {
      places.push_back(at);
    }
    if (static_cast<int64_t>(places.size()) == size) {
      result = step.call("aten.flip.default", {result, Sizes{axis}});
    } else {
      result = step.call("aten.index_select.default", {result, axis, step.constant(at::tensor(places, at::kLong))});
    }
  }
  step.give(result);
}

void build_pad(Step& step) {
  const Sizes pads = step.integers(1, "pads");
  const std::string mode = step.text("mode", "constant");
  const Sizes sizes = step.sizes(0);
  Sizes axes(sizes.size());
  std::iota(axes.begin(), axes.end(), 0);
  if (step.has(3)) axes = step.integers(3, "axes");
  if (pads.size() != 2 * axes.size()) step.refuse("pads", str(2 * axes.size(), " numbers"), str(pads.size()));
  Sizes before(sizes.size(), 0);
  Sizes after(sizes.size(), 0);
  for (size_t i = 0; i < axes.size(); ++i) {
    const auto axis = static_cast<size_t>(step.axis(axes[i], static_cast<int64_t>(sizes.size())));
    before[axis] = pads[i];
    after[axis] = pads[i + axes.size()];
  }
  // ATen counts from the last dimension, and needs no more than the padded ones.
  size_t first = 0;
  while (first < sizes.size() && before[first] == 0 && after[first] == 0) ++first;
  if (first == sizes.size()) return step.give(step.in(0));
  const char* const ways[][2] = {
      {"constant", "constant"}, {"reflect", "reflect"}, {"edge", "replicate"}, {"wrap", "circular"}};
  const auto* way = std::find_if(std::begin(ways), std::end(ways), [&](const auto& each) { return mode == each[0]; });
  if (way == std::end(ways)) step.refuse("mode", "constant, reflect, edge or wrap", mode);
  const bool is_constant = mode == "constant";
  // ATen reflects and repeats up to three dimensions, behind one or two that it leaves alone.
  if (!is_constant) {
    if (first < 1) step.refuse("pads", "none of the first dimension in mode " + mode, sizes_text(pads));
    first = std::max(first, std::min<size_t>(2, sizes.size() - 1));
    for (size_t i = 0; i < first; ++i) {
      if (before[i] != 0 || after[i] != 0)
        step.refuse("pads", "none of the channels in mode " + mode, sizes_text(pads));
    }
  }
  Sizes flat;
  for (size_t i = sizes.size(); i-- > first;) flat.insert(flat.end(), {before[i], after[i]});
  Operand value = Arg();
  if (is_constant && step.has(2)) value = step.number(2, "constant_value");
  if (is_constant && !step.has(2)) value = 0.0;
  if (step.in(0).known()) {
    Sizes whole = sizes;
    for (size_t i = 0; i < whole.size(); ++i) {
      if (__builtin_add_overflow(whole[i], before[i], &whole[i]) ||
          __builtin_add_overflow(whole[i], after[i], &whole[i]))
        step.refuse("pads", "sizes that fit", sizes_text(pads));
      whole[i] = std::max<int64_t>(whole[i], 0);
    }
    step.charge_constant(whole, step.dtype(0));
  }
  step.give(step.call("aten.pad.default", {step.in(0), flat, (*way)[1], value}));
}

void build_gather(Step& step) {
  const std::vector<int64_t> sizes = step.sizes(0);
  const int64_t axis = step.axis(step.integer("axis", 0), step.rank(0));
  const int64_t size = sizes[static_cast<size_t>(axis)];
  const Value& places = step.in(1);
  if (places.known() && at::isIntegralType(places.constant.scalar_type(), false)) {
    const at::Tensor wide = places.constant.to(at::kLong);
    const at::Tensor from_front = at::where(wide.lt(0), wide + size, wide);
    if (wide.dim() == 0) {
      return step.give(step.call("aten.select.int", {step.in(0), axis, wide.item<int64_t>()}));
    }
    const Value picked = pick(step, axis, from_front.reshape({-1}));
    if (wide.dim() == 1) return step.give(picked);
    Sizes wanted(sizes.begin(), sizes.begin() + axis);
    wanted.insert(wanted.end(), wide.sizes().begin(), wide.sizes().end());
    wanted.insert(wanted.end(), sizes.begin() + axis + 1, sizes.end());
    return step.give(step.call("aten.reshape.default", {picked, wanted}));
  }
  // Rows of a table by numbers that the program is given: counted from the front, which is all that exporters write.
  if (axis == 0 && sizes.size() == 2) return step.give(step.call("aten.embedding.default", {step.in(0), places}));
  const Value flat = step.call("aten.reshape.default", {places, Sizes{-1}});
  const Value picked = step.call("aten.index_select.default", {step.in(0), axis, flat});
  if (step.sizes(1).size() == 1) return step.give(picked);
  Sizes wanted(sizes.begin(), sizes.begin() + axis);
  const Sizes of_places = step.sizes(1);
  wanted.insert(wanted.end(), of_places.begin(), of_places.end());
  wanted.insert(wanted.end(), sizes.begin() + axis + 1, sizes.end());
  step.give(step.call("aten.reshape.default", {picked, wanted}));
}

void build_gather_elements(Step& step) {
  const int64_t axis = step.axis(step.integer("axis", 0), step.rank(0));
  Value places = step.in(1);
  if (places.known()) {
    const int64_t size = step.sizes(0)[static_cast<size_t>(axis)];
    const at::Tensor wide = places.constant.to(at::kLong);
    places = step.constant(at::where(wide.lt(0), wide + size, wide));
  }
  step.give(step.call("aten.gather.default", {step.in(0), axis, places}));
}

}  // namespace octet::onnx

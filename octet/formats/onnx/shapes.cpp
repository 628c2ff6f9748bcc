#include <algorithm>
#include <numeric>

#include "octet/formats/dtype.h"
#include "octet/formats/onnx/operators.h"

namespace octet::onnx {
namespace {

using Sizes = std::vector<int64_t>;

Value reshaped(Step& step, const Value& value, const Sizes& sizes) {
  return step.call("aten.reshape.default", {value, sizes});
}

}  // namespace

void build_reshape(Step& step) {
  Sizes sizes = step.integers(1, "shape");
  const Sizes from = step.sizes(0);
  const bool zero_is_zero = step.integer("allowzero", 0) != 0;
  for (size_t i = 0; i < sizes.size(); ++i) {
    if (sizes[i] != 0 || zero_is_zero) continue;
    if (i >= from.size()) step.refuse("shape", str("at most ", from.size(), " sizes taken over"), sizes_text(sizes));
    sizes[i] = from[i];
  }
  step.give(reshaped(step, step.in(0), sizes));
}

void build_flatten(Step& step) {
  const Sizes sizes = step.sizes(0);
  const auto rank = static_cast<int64_t>(sizes.size());
  const int64_t axis = step.integer("axis", 1);
  if (axis < -rank || axis > rank) step.refuse("axis", str("a dimension of ", rank), str(axis));
  const int64_t at = axis < 0 ? axis + rank : axis;
  if (at == 1 && rank > 1) return step.give(step.call("aten.flatten.using_ints", {step.in(0), 1}));
  const int64_t before = std::accumulate(sizes.begin(), sizes.begin() + at, int64_t{1}, std::multiplies<>());
  step.give(reshaped(step, step.in(0), {before, -1}));
}

void build_transpose(Step& step) {
  const int64_t rank = step.rank(0);
  Sizes order(static_cast<size_t>(rank));
  std::iota(order.rbegin(), order.rend(), 0);
  order = step.integers("perm", order);
  if (static_cast<int64_t>(order.size()) != rank) step.refuse("perm", str(rank, " dimensions"), sizes_text(order));
  step.axes(order, rank);
  step.give(step.call("aten.permute.default", {step.in(0), order}));
}

void build_squeeze(Step& step) {
  const int64_t rank = step.rank(0);
  Sizes axes = step.has(1) ? step.integers(1, "axes") : step.integers("axes");
  const Sizes sizes = step.sizes(0);
  if (axes.empty()) {
    for (int64_t i = 0; i < rank; ++i) {
      if (sizes[static_cast<size_t>(i)] == 1) axes.push_back(i);
    }
  }
  axes = step.axes(axes, rank);
  for (const int64_t axis : axes) {
    if (sizes[static_cast<size_t>(axis)] != 1) step.refuse("axes", "dimensions of size 1", sizes_text(sizes));
  }
  if (axes.size() == 1) return step.give(step.call("aten.squeeze.dim", {step.in(0), axes[0]}));
  step.give(step.call("aten.squeeze.dims", {step.in(0), axes}));
}

void build_unsqueeze(Step& step) {
  const Sizes given = step.integers(1, "axes");
  const Sizes axes = step.axes(given, step.rank(0) + static_cast<int64_t>(given.size()));
  Value result = step.in(0);
  for (const int64_t axis : axes) result = step.call("aten.unsqueeze.default", {result, axis});
  step.give(result);
}

void build_expand(Step& step) {
  Sizes wanted = step.integers(1, "shape");
  Sizes sizes = step.sizes(0);
  const size_t rank = std::max(sizes.size(), wanted.size());
  sizes.insert(sizes.begin(), rank - sizes.size(), 1);
  wanted.insert(wanted.begin(), rank - wanted.size(), 1);
  for (size_t i = 0; i < rank; ++i) {
    if (wanted[i] == 1 || sizes[i] != 1) {
      if (wanted[i] != 1 && wanted[i] != sizes[i]) step.refuse("shape", sizes_text(sizes), sizes_text(wanted));
      wanted[i] = sizes[i];
    }
  }
  if (wanted == step.sizes(0)) return step.give(step.in(0));
  step.give(step.call("aten.expand.default", {step.in(0), wanted}));
}

void build_tile(Step& step) {
  const Sizes repeats = step.integers(1, "repeats");
  Sizes sizes = step.sizes(0);
  if (repeats.size() != sizes.size()) step.refuse("repeats", str(sizes.size(), " numbers"), str(repeats.size()));
  for (size_t i = 0; i < sizes.size(); ++i) {
    if (repeats[i] < 0 || __builtin_mul_overflow(sizes[i], repeats[i], &sizes[i]))
      step.refuse("repeats", "numbers that fit", sizes_text(repeats));
  }
  if (step.in(0).known()) step.charge_constant(sizes, step.dtype(0));
  step.give(step.call("aten.repeat.default", {step.in(0), repeats}));
}

namespace {

int64_t block_size(const Step& step) {
  const int64_t block = step.integer("blocksize", 0);
  if (step.rank(0) != 4) step.refuse("input", "four dimensions", sizes_text(step.sizes(0)));
  if (block < 1 || block > 1 << 15) step.refuse("blocksize", "a number from 1", str(block));
  return block;
}

}  // namespace

void build_depth_to_space(Step& step) {
  const int64_t block = block_size(step);
  const Sizes sizes = step.sizes(0);
  const std::string mode = step.text("mode", "DCR");
  if (mode == "CRD") return step.give(step.call("aten.pixel_shuffle.default", {step.in(0), block}));
  if (mode != "DCR") step.refuse("mode", "DCR or CRD", mode);
  if (sizes[1] % (block * block) != 0) step.refuse("channels", str("a multiple of ", block * block), str(sizes[1]));
  const int64_t depth = sizes[1] / (block * block);
  const Value split = reshaped(step, step.in(0), {sizes[0], block, block, depth, sizes[2], sizes[3]});
  const Value turned = step.call("aten.permute.default", {split, Sizes{0, 3, 4, 1, 5, 2}});
  step.give(reshaped(step, turned, {sizes[0], depth, sizes[2] * block, sizes[3] * block}));
}

void build_space_to_depth(Step& step) {
  const int64_t block = block_size(step);
  const Sizes sizes = step.sizes(0);
  if (sizes[2] % block != 0 || sizes[3] % block != 0)
    step.refuse("height and width", str("multiples of ", block), sizes_text(sizes));
  const Value split =
      reshaped(step, step.in(0), {sizes[0], sizes[1], sizes[2] / block, block, sizes[3] / block, block});
  const Value turned = step.call("aten.permute.default", {split, Sizes{0, 3, 5, 1, 2, 4}});
  step.give(reshaped(step, turned, {sizes[0], sizes[1] * block * block, sizes[2] / block, sizes[3] / block}));
}

// Exporters keep one tensor for parameters that are equal, and name the others by Identity.
void build_identity(Step& step) {
  Value value = step.in(0);
  if (value.known()) {
    value = step.derived(value, value.constant.clone());
    value.name = step.output_name(0);
  }
  step.give(value);
}

// Of a network that was exported to be trained, the layer itself; else nothing is left of it.
void build_dropout(Step& step) {
  if (step.wants(1)) step.refuse("the mask (output 1) is read, which octet does not take");
  const bool trains = step.has(2) && step.number(2, "training_mode") != 0;
  if (!trains) return step.give(step.in(0));
  const double share = step.has(1) ? step.number(1, "ratio") : 0.5;
  step.give(step.call("aten.dropout.default", {step.in(0), share, false}));
}

}  // namespace octet::onnx

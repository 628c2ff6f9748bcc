#include <algorithm>
#include <functional>
#include <numeric>

#include "octet/lowering/layout.h"
#include "octet/targets/engine/passes/memory.h"
#include "octet/targets/engine/passes/passes.h"
#include "octet/targets/engine/passes/rewrite.h"

namespace octet::targets {
namespace {

using Sizes = std::vector<int64_t>;

// Every `step`-th element of a dimension, from `start` on, `count` of them.
struct Stride {
  size_t dim = 0;
  int64_t start = 0;
  int64_t step = 1;
  int64_t count = 0;
};

// Along other dimensions than the batch, by numbers that are known.
std::optional<Stride> stride_of(const Node& node) {
  if (!node.is_call("aten.slice.Tensor") || !node.meta() || node.meta()->numel() == 0) return std::nullopt;
  const Node* input = node.arg("self").node();
  if (input == nullptr || !input->meta() || is_static(input)) return std::nullopt;
  for (const char* argument : {"dim", "start", "end", "step"}) {
    if (!node.arg(argument).is_constant()) return std::nullopt;
  }
  const int64_t dim = positive_dim(node.arg("dim").to_int(), node.meta()->rank());
  const int64_t step = node.arg("step").to_int();
  if (dim == 0 || step <= 1) return std::nullopt;
  const auto at = static_cast<size_t>(dim);
  const int64_t length = input->sizes().at(at);
  const int64_t start = node.arg("start").is_none() ? 0 : node.arg("start").to_int();
  return Stride{at, std::clamp(start < 0 ? start + length : start, int64_t{0}, length), step, node.sizes()[at]};
}

// A maximum over one element takes every step-th of an image.
Node* by_maxima(const Node& slice, const Stride& by) {
  Node* x = slice.arg("self").node();
  const int64_t last = by.start + (by.count - 1) * by.step + 1;
  x = add_slice(x, static_cast<int64_t>(by.dim), by.start, last, slice);
  const Sizes stride = by.dim == 2 ? Sizes{by.step, 1} : Sizes{1, by.step};
  return add_call("aten.max_pool2d.default", {x, Sizes{1, 1}, stride}, slice.sizes(), slice);
}

// The dimension becomes rows of `step`, of which a column is taken.
Node* by_rows(const Node& slice, const Stride& by) {
  Node* x = slice.arg("self").node();
  const int64_t length = x->sizes()[by.dim], whole = by.count * by.step;
  // Rows that start earlier may end within the dimension.
  const int64_t column = std::clamp(by.start + whole - length, int64_t{0}, std::min(by.start, by.step - 1));
  const int64_t begin = by.start - column;
  const int64_t missing = std::max<int64_t>(begin + whole - length, 0);
  x = add_slice(x, static_cast<int64_t>(by.dim), begin, begin + whole - missing, slice);
  if (missing > 0) {
    Sizes padding(2 * (x->sizes().size() - by.dim), 0);  // from the last dimension on
    padding.back() = missing;
    Sizes sizes = x->sizes();
    sizes[by.dim] = whole;
    x = add_call("aten.pad.default", {x, padding}, sizes, slice);
  }
  const auto dim = x->sizes().begin() + static_cast<ptrdiff_t>(by.dim);
  const int64_t before = std::accumulate(x->sizes().begin(), dim, int64_t{1}, std::multiplies<>());
  const int64_t behind = std::accumulate(dim + 1, x->sizes().end(), int64_t{1}, std::multiplies<>());
  x = add_reshape(x, {before, by.count, by.step * behind}, 0, slice);
  x = add_slice(x, 2, column * behind, (column + 1) * behind, slice);
  return add_reshape(x, slice.sizes(), 0, slice);
}

}  // namespace

bool decompose_strided_slices(GraphModule& module) {
  std::vector<Node*> found = calls_where(module.graph(), [](const Node& node) { return stride_of(node).has_value(); });
  if (found.empty()) return false;
  const Memory memory(module.graph());
  std::erase_if(found, [&](const Node* slice) { return memory.is_written_behind(*slice, *slice); });
  const auto images = lowering::channels_first_values(module.graph());
  std::vector<bool> of_image;
  for (const Node* slice : found) {
    of_image.push_back(slice->meta()->rank() == 4 && slice->meta()->dtype == at::kFloat &&
                       images.count(slice->arg("self").node()) > 0);
  }
  for (size_t i = 0; i < found.size(); ++i) {
    const Stride by = *stride_of(*found[i]);
    const auto here = module.graph().inserting_before(found[i]);
    replace_by_parts(found[i], of_image[i] && by.dim >= 2 ? by_maxima(*found[i], by) : by_rows(*found[i], by));
  }
  return !found.empty();
}

}  // namespace octet::targets

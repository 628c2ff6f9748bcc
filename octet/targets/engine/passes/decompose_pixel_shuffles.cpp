#include <functional>
#include <numeric>

#include "octet/targets/engine/passes/passes.h"
#include "octet/targets/engine/passes/rewrite.h"

namespace octet::targets {
namespace {

using Sizes = std::vector<int64_t>;

// [.., C r r, H, W] and [.., C, H r, W r]: first the columns of a cell move behind its place, then the rows, or back.
Node* by_transposes(const Node& shuffle, bool spreads, int64_t r) {
  Node* x = shuffle.arg("self").node();
  const Sizes& packed = spreads ? x->sizes() : shuffle.sizes();
  const int64_t height = packed.end()[-2], width = packed.back();
  const int64_t images = std::accumulate(packed.begin(), packed.end() - 2, int64_t{1}, std::multiplies<>()) / (r * r);
  const Sizes swap = {0, 2, 1}, swap_rows = {0, 2, 1, 3};
  if (spreads) {
    x = add_permute(add_reshape(x, {images * r, r, height * width}, 0, shuffle), swap, shuffle);
    x = add_permute(add_reshape(x, {images, r, height, width * r}, 0, shuffle), swap_rows, shuffle);
  } else {
    x = add_permute(add_reshape(x, {images, height, r, width * r}, 0, shuffle), swap_rows, shuffle);
    x = add_permute(add_reshape(x, {images * r, height * width, r}, 0, shuffle), swap, shuffle);
  }
  return add_reshape(x, shuffle.sizes(), 0, shuffle);
}

}  // namespace

bool decompose_pixel_shuffles(GraphModule& module) {
  bool changed = false;
  for (Node* node : calls_where(module.graph(), [](const Node& n) {
         return n.is_call("aten.pixel_shuffle.default") || n.is_call("aten.pixel_unshuffle.default");
       })) {
    const bool spreads = node->is_call("aten.pixel_shuffle.default");
    const Node* x = node->arg("self").node();
    const int64_t r = node->arg(spreads ? "upscale_factor" : "downscale_factor").to_int();
    // By 1 it would be a view of what it reads.
    if (x == nullptr || !x->meta() || !node->meta() || node->meta()->numel() == 0 || r < 2) continue;
    const auto here = module.graph().inserting_before(node);
    replace_by_parts(node, by_transposes(*node, spreads, r));
    changed = true;
  }
  return changed;
}

}  // namespace octet::targets

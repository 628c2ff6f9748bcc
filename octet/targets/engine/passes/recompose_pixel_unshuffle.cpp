#include "octet/support/error.h"
#include "octet/targets/engine/passes/passes.h"
#include "octet/targets/engine/passes/rewrite.h"

namespace octet::targets {
namespace {

bool is_view(const Node* node) {
  return node != nullptr && (node->is_call("aten.view.default") || node->is_call("aten.reshape.default"));
}

// The image that view, permute, reshape make smaller and deeper, [N, C, H f, W f] to [N, C f f, H, W]; 0: they do not.
int64_t unshuffled_by(const Node& reshape, const Node& permute, const Node& view) {
  if (!reshape.meta() || !view.meta() || !view.arg("self").node()->meta()) return 0;
  const std::vector<int64_t>& parts = view.sizes();
  const std::vector<int64_t>& result = reshape.sizes();
  const std::vector<int64_t>& image = view.arg("self").node()->sizes();
  if (parts.size() != 6 || result.size() != 4 || image.size() != 4) return 0;
  const int64_t factor = parts[3];
  const bool cut = parts[0] == image[0] && parts[1] == image[1] && parts[2] * factor == image[2] &&
                   parts[4] * factor == image[3] && parts[5] == factor;
  const bool joined = result == std::vector<int64_t>{parts[0], parts[1] * factor * factor, parts[2], parts[4]};
  std::vector<int64_t> order = permute.arg("dims").to_ints();
  for (int64_t& dim : order) dim = positive_dim(dim, 6);
  const bool moved = order == std::vector<int64_t>{0, 1, 3, 5, 2, 4};
  return cut && joined && moved && factor > 1 ? factor : 0;
}

}  // namespace

bool recompose_pixel_unshuffle(GraphModule& module) {
  bool changed = false;
  for (Node* reshape : calls_where(module.graph(), [](const Node& node) { return is_view(&node); })) {
    Node* permute = reshape->arg("self").node();
    if (permute == nullptr || !permute->is_call("aten.permute.default")) continue;
    Node* view = permute->arg("self").node();
    if (!is_view(view)) continue;
    const int64_t factor = unshuffled_by(*reshape, *permute, *view);
    if (factor == 0) continue;
    const auto here = module.graph().inserting_before(reshape);
    replace_by_parts(reshape,
                     add_call("aten.pixel_unshuffle.default", {view->arg("self"), factor}, reshape->sizes(), *reshape));
    changed = true;
  }
  return changed;
}

}  // namespace octet::targets

#include <utility>

#include "octet/lowering/layout.h"
#include "octet/targets/engine/passes/passes.h"
#include "octet/targets/engine/passes/rewrite.h"

namespace octet::targets {

bool turn_softmax(GraphModule& module) {
  const auto found = calls_where(module.graph(), [](const Node& node) { return node.is_call("aten.softmax.int"); });
  if (found.empty()) return false;
  const std::unordered_set<const Node*> images = lowering::channels_first_values(module.graph());
  bool changed = false;
  for (Node* softmax : found) {
    Node* input = softmax->arg("self").node();
    if (input == nullptr || !input->meta() || !softmax->meta() || softmax->meta()->rank() < 2) continue;
    const int64_t rank = softmax->meta()->rank();
    const int64_t dim = positive_dim(softmax->arg("dim").to_int(), rank);
    if (dim == (images.count(softmax) > 0 ? 1 : rank - 1)) continue;
    const auto here = module.graph().inserting_before(softmax);
    std::vector<int64_t> order;
    for (int64_t d = 0; d < rank; ++d) {
      if (d != dim) order.push_back(d);
    }
    order.push_back(dim);
    // The width of an image is last already: any other order makes it one of values without channels.
    if (dim == rank - 1) std::swap(order[order.size() - 3], order[order.size() - 2]);
    std::vector<int64_t> back(order.size());
    for (size_t i = 0; i < order.size(); ++i) back[static_cast<size_t>(order[i])] = static_cast<int64_t>(i);
    Node* turned = add_permute(input, order, *softmax);
    std::vector<Arg> args = softmax->args();
    args[0] = turned;
    Node* result = add_call("aten.softmax.int", std::move(args), turned->sizes(), *softmax);
    result->set_arg("dim", rank - 1);
    replace_by_parts(softmax, add_permute(result, back, *softmax));
    changed = true;
  }
  return changed;
}

}  // namespace octet::targets

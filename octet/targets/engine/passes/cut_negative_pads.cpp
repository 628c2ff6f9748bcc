#include "octet/targets/engine/passes/passes.h"
#include "octet/targets/engine/passes/rewrite.h"

namespace octet::targets {
namespace {

using Ints = std::vector<int64_t>;

// The padding of a constant pad that cuts somewhere; empty for other nodes.
Ints negative_padding(const Node& node) {
  const bool is_pad = node.is_call("aten.pad.default") && node.arg("mode").to_string() == "constant";
  if (!is_pad && !node.is_call("aten.constant_pad_nd.default")) return {};
  const Node* input = node.arg("self").node();
  if (input == nullptr || !input->meta() || !node.meta() || !node.arg("pad").is_constant()) return {};
  const Ints pad = node.arg("pad").to_ints();
  const bool fits = pad.size() % 2 == 0 && pad.size() / 2 <= input->sizes().size();
  const bool cuts = std::any_of(pad.begin(), pad.end(), [](int64_t by) { return by < 0; });
  return fits && cuts ? pad : Ints{};
}

}  // namespace

bool cut_negative_pads(GraphModule& module) {
  Graph& graph = module.graph();
  bool changed = false;
  for (Node* pad : graph.nodes()) {
    Ints by = negative_padding(*pad);
    if (by.empty()) continue;
    const auto here = graph.inserting_before(pad);
    Node* value = pad->arg("self").node();
    Ints sizes = value->sizes();
    for (size_t i = 0; i < by.size() / 2; ++i) {
      const size_t dim = sizes.size() - 1 - i;  // from the last dimension on
      const int64_t begin = std::max<int64_t>(-by[2 * i], 0), end = sizes[dim] + std::min<int64_t>(by[2 * i + 1], 0);
      value = add_slice(value, static_cast<int64_t>(dim), begin, end, *pad);
    }
    for (int64_t& each : by) each = std::max<int64_t>(each, 0);
    const bool pads = std::any_of(by.begin(), by.end(), [](int64_t each) { return each > 0; });
    if (pads) {
      std::vector<Arg> args = pad->args();
      args[0] = value;
      args[1] = by;
      value = add_call(pad->target(), std::move(args), pad->sizes(), *pad);
    }
    replace_node(pad, value);
    changed = true;
  }
  return changed;
}

}  // namespace octet::targets

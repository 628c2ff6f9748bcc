#include "octet/targets/engine/passes/passes.h"
#include "octet/targets/engine/passes/rewrite.h"

namespace octet::targets {
namespace {

bool is_pool(const Node& node) {
  return node.is_call("aten.adaptive_avg_pool2d.default") || node.is_call("aten.avg_pool2d.default") ||
         node.is_call("aten.max_pool2d.default");
}

}  // namespace

bool add_batch_to_pools(GraphModule& module) {
  Graph& graph = module.graph();
  bool changed = false;
  for (Node* pool : graph.nodes()) {
    if (!is_pool(*pool)) continue;
    Node* input = pool->arg("self").node();
    if (input == nullptr || !input->meta() || input->meta()->rank() != 3 || !pool->meta()) continue;
    const std::vector<int64_t> out = pool->sizes();
    const auto with_batch = [](std::vector<int64_t> sizes) {
      sizes.insert(sizes.begin(), 1);
      return sizes;
    };
    Node* batched = nullptr;
    {
      const auto here = graph.inserting_before(pool);
      const std::vector<int64_t> sizes = with_batch(input->sizes());
      batched = add_call("aten.reshape.default", {input, sizes}, sizes, *pool);
    }
    pool->set_arg("self", batched);
    pool->set_meta(TensorMeta{pool->meta()->dtype, with_batch(out)});
    const auto here = graph.inserting_after(pool);
    Node* result = add_call("aten.reshape.default", {pool, out}, out, *pool);
    pool->replace_all_uses_with(result);
    changed = true;
  }
  return changed;
}

}  // namespace octet::targets

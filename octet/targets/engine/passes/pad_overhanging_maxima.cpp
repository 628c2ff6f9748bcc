#include <algorithm>
#include <limits>

#include "octet/targets/engine/passes/passes.h"
#include "octet/targets/engine/passes/pools.h"
#include "octet/targets/engine/passes/rewrite.h"

namespace octet::targets {
namespace {

bool overhangs(const Node& node) {
  if (!is_any_pool(node) || is_average_pool(node) || !node.arg("ceil_mode").to_bool()) return false;
  const std::vector<int64_t> dilation = node.arg("dilation").to_ints();
  const bool is_dense = std::all_of(dilation.begin(), dilation.end(), [](int64_t each) { return each == 1; });
  const std::vector<int64_t> by = overhang(node);
  return is_dense && node.meta() && node.meta()->dtype == at::kFloat &&
         std::any_of(by.begin(), by.end(), [](int64_t each) { return each > 0; });
}

}  // namespace

bool pad_overhanging_maxima(GraphModule& module) {
  const std::vector<Node*> found = calls_where(module.graph(), overhangs);
  for (Node* pool : found) {
    const auto here = module.graph().inserting_before(pool);
    pool->set_arg("self", padded_behind(*pool, overhang(*pool), -std::numeric_limits<double>::infinity()));
    pool->set_arg("ceil_mode", false);
  }
  return !found.empty();
}

}  // namespace octet::targets

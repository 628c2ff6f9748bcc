#include <algorithm>

#include "octet/targets/engine/passes/passes.h"
#include "octet/targets/engine/passes/pools.h"
#include "octet/targets/engine/passes/rewrite.h"

namespace octet::targets {
namespace {

// True where the windows that fit whole are all that there are.
bool rounds_nothing_up(const Node& pool) {
  const std::vector<int64_t> by = overhang(pool);
  return !by.empty() && std::all_of(by.begin(), by.end(), [](int64_t each) { return each <= 0; });
}

bool leaves_no_padding_out(const Node& pool) {
  const std::vector<int64_t> padding = pool.arg("padding").to_ints();
  return std::all_of(padding.begin(), padding.end(), [](int64_t each) { return each == 0; });
}

}  // namespace

bool drop_pool_flags(GraphModule& module) {
  bool changed = false;
  for (Node* pool : calls_where(module.graph(), is_any_pool)) {
    if (pool->arg("ceil_mode").to_bool() && rounds_nothing_up(*pool)) {
      pool->set_arg("ceil_mode", false);
      changed = true;
    }
    const bool overhangs = pool->arg("ceil_mode").to_bool();  // such windows are divided by what lies inside
    if (pool->has_arg("count_include_pad") && !pool->arg("count_include_pad").to_bool() && !overhangs &&
        leaves_no_padding_out(*pool)) {
      pool->set_arg("count_include_pad", true);
      changed = true;
    }
  }
  return changed;
}

}  // namespace octet::targets

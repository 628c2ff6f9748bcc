#include "octet/targets/engine/passes/passes.h"
#include "octet/targets/engine/passes/rewrite.h"

namespace octet::targets {
namespace {

bool is_any_pool(const Node& node) {
  return node.is_call("aten.max_pool1d.default") || node.is_call("aten.max_pool2d.default") ||
         node.is_call("aten.avg_pool1d.default") || node.is_call("aten.avg_pool2d.default");
}

// The number along dimension `d` of an argument of one number, or one a dimension; `missing` where the list is empty.
int64_t along(const Node& pool, const char* argument, size_t d, int64_t missing) {
  if (!pool.has_arg(argument)) return missing;
  const std::vector<int64_t> numbers = pool.arg(argument).to_ints();
  return numbers.empty() ? missing : numbers[std::min(d, numbers.size() - 1)];
}

// True where the windows that fit whole are all that there are.
bool rounds_nothing_up(const Node& pool) {
  const Node* input = pool.arg("self").node();
  if (input == nullptr || !input->meta() || !pool.meta()) return false;
  const size_t dims = pool.is_call("aten.max_pool1d.default") || pool.is_call("aten.avg_pool1d.default") ? 1 : 2;
  const std::vector<int64_t>& in = input->sizes();
  const std::vector<int64_t>& out = pool.sizes();
  for (size_t d = 0; d < dims; ++d) {
    const int64_t kernel = along(pool, "kernel_size", d, 1);
    const int64_t stride = along(pool, "stride", d, kernel);
    const int64_t reach = along(pool, "dilation", d, 1) * (kernel - 1) + 1;
    const int64_t room = in.at(in.size() - dims + d) + 2 * along(pool, "padding", d, 0) - reach;
    if (room < 0 || stride < 1 || room / stride + 1 != out.at(out.size() - dims + d)) return false;
  }
  return true;
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

#include <ATen/Functions.h>

#include "octet/support/error.h"
#include "octet/targets/engine/passes/passes.h"
#include "octet/targets/engine/passes/rewrite.h"

namespace octet::targets {
namespace {

// Sizes without samples and channels, of one or two dimensions.
std::vector<int64_t> places(const Node& node, size_t dims) {
  return {node.sizes().end() - static_cast<ptrdiff_t>(dims), node.sizes().end()};
}

// An average over what lies inside of the image alone, where part of a window lies beside it.
bool leaves_padding_out(const Node& pool) {
  const bool is_one = pool.is_call("aten.avg_pool1d.default");
  if (!is_one && !pool.is_call("aten.avg_pool2d.default")) return false;
  const Node* input = pool.arg("self").node();
  const size_t dims = is_one ? 1 : 2;
  if (input == nullptr || !input->meta() || !pool.meta() || pool.meta()->rank() < static_cast<int64_t>(dims) + 1) {
    return false;
  }
  const std::vector<int64_t> padding = pool.arg("padding").to_ints();
  const bool pads = std::any_of(padding.begin(), padding.end(), [](int64_t each) { return each > 0; });
  const bool has_own_divisor = pool.has_arg("divisor_override") && !pool.arg("divisor_override").is_none();
  return pads && !pool.arg("count_include_pad").to_bool() && !pool.arg("ceil_mode").to_bool() && !has_own_divisor &&
         input->meta()->dtype == at::kFloat;
}

// What the pool gives for an image of ones, with its padding counted: the share of each window that lies inside.
at::Tensor shares(const Node& pool) {
  const auto numbers = [&](const char* argument) { return pool.arg(argument).to_ints(); };
  const auto stride = pool.has_arg("stride") ? numbers("stride") : numbers("kernel_size");
  if (pool.is_call("aten.avg_pool1d.default")) {
    const std::vector<int64_t> size = places(*pool.arg("self").node(), 1);
    return at::avg_pool1d(at::ones({1, 1, size[0]}), numbers("kernel_size"), stride, numbers("padding"), false,
                          true)[0][0];
  }
  const std::vector<int64_t> size = places(*pool.arg("self").node(), 2);
  return at::avg_pool2d(at::ones({1, 1, size[0], size[1]}), numbers("kernel_size"), stride, numbers("padding"), false,
                        true)[0][0];
}

}  // namespace

bool scale_padded_averages(GraphModule& module) {
  bool changed = false;
  for (Node* pool : calls_where(module.graph(), leaves_padding_out)) {
    const at::Tensor factors = shares(*pool).reciprocal();
    const auto here = module.graph().inserting_after(pool);
    pool->set_arg("count_include_pad", true);
    Node* factor = add_attr(module, octet::str("window_", pool->name()), factors, AttrKind::kConstant);
    Node* scaled = add_call("aten.mul.Tensor", {pool, factor}, pool->sizes(), *pool);
    scaled->notes()[kFloatNameNote] = float_name(*pool);
    pool->replace_all_uses_with(scaled);
    changed = true;
  }
  return changed;
}

}  // namespace octet::targets

#include <ATen/Functions.h>

#include <algorithm>

#include "octet/support/error.h"
#include "octet/targets/engine/passes/passes.h"
#include "octet/targets/engine/passes/pools.h"
#include "octet/targets/engine/passes/rewrite.h"

namespace octet::targets {
namespace {

bool is_positive(int64_t each) { return each > 0; }

bool has_own_divisor(const Node& pool) {
  return pool.has_arg("divisor_override") && !pool.arg("divisor_override").is_none();
}

bool overhangs_in(const Node& pool, const std::vector<int64_t>& by) {
  return pool.arg("ceil_mode").to_bool() && std::any_of(by.begin(), by.end(), is_positive);
}

// An average that is no sum of the whole window, padding and all, over the window's size.
bool divides_by_another_count(const Node& pool) {
  if (!is_average_pool(pool) || overhang(pool).empty() || pool.arg("self").node()->meta()->dtype != at::kFloat) {
    return false;
  }
  const std::vector<int64_t> padding = pool.arg("padding").to_ints();
  const bool leaves_padding_out =
      std::any_of(padding.begin(), padding.end(), is_positive) && !pool.arg("count_include_pad").to_bool();
  return leaves_padding_out || has_own_divisor(pool) || overhangs_in(pool, overhang(pool));
}

// What the pool gives for this image.
at::Tensor pooled(const Node& pool, const at::Tensor& image) {
  const auto numbers = [&](const char* argument) { return pool.arg(argument).to_ints(); };
  const bool ceil = pool.arg("ceil_mode").to_bool(), counts = pool.arg("count_include_pad").to_bool();
  if (is_pool_of_a_line(pool)) {
    return at::avg_pool1d(image, numbers("kernel_size"), numbers("stride"), numbers("padding"), ceil, counts);
  }
  const std::optional<int64_t> divisor =
      has_own_divisor(pool) ? std::optional(pool.arg("divisor_override").to_int()) : std::nullopt;
  return at::avg_pool2d(image, numbers("kernel_size"), numbers("stride"), numbers("padding"), ceil, counts, divisor);
}

// An image of ones, with zeros behind its end.
at::Tensor ones(const std::vector<int64_t>& sizes, const std::vector<int64_t>& zeros) {
  std::vector<int64_t> shape = {1, 1};
  std::vector<int64_t> padding;
  for (size_t d = 0; d < sizes.size(); ++d) {
    shape.push_back(sizes[d]);
    padding.insert(padding.begin(), {0, zeros.empty() ? 0 : std::max<int64_t>(zeros[d], 0)});
  }
  return at::constant_pad_nd(at::ones(shape), padding);
}

}  // namespace

bool scale_padded_averages(GraphModule& module) {
  bool changed = false;
  for (Node* pool : calls_where(module.graph(), divides_by_another_count)) {
    const std::vector<int64_t> sizes = pooled_sizes(*pool);
    const std::vector<int64_t> by = overhangs_in(*pool, overhang(*pool)) ? overhang(*pool) : std::vector<int64_t>{};
    const at::Tensor wanted = pooled(*pool, ones(sizes, {}));
    {
      const auto here = module.graph().inserting_before(pool);
      pool->set_arg("self", padded_behind(*pool, by, 0.0));
    }
    pool->set_arg("ceil_mode", false);
    pool->set_arg("count_include_pad", true);
    if (has_own_divisor(*pool)) pool->set_arg("divisor_override", Arg());
    const at::Tensor factors = (wanted / pooled(*pool, ones(sizes, by)))[0][0];
    const bool is_one = (factors == factors.flatten()[0]).all().item<bool>();
    const auto here = module.graph().inserting_after(pool);
    Node* factor = add_attr(module, octet::str("window_", pool->name()), is_one ? factors.flatten()[0] : factors,
                            AttrKind::kConstant);
    Node* scaled = add_call("aten.mul.Tensor", {pool, factor}, pool->sizes(), *pool);
    scaled->notes()[kFloatNameNote] = float_name(*pool);
    pool->notes()[kFloatNameNote] = pool->name() + "/window";  // by its own name it would be the whole
    pool->replace_all_uses_with(scaled);
    changed = true;
  }
  return changed;
}

}  // namespace octet::targets

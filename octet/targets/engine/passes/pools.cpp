#include "octet/targets/engine/passes/pools.h"

#include <algorithm>

#include "octet/targets/engine/passes/rewrite.h"

namespace octet::targets {
namespace {

size_t pooled_dims(const Node& pool) { return is_pool_of_a_line(pool) ? 1 : 2; }

// The number along dimension `d` of an argument of one number, or one a dimension; `missing` where the list is empty.
int64_t along(const Node& pool, const char* argument, size_t d, int64_t missing) {
  if (!pool.has_arg(argument)) return missing;
  const std::vector<int64_t> numbers = pool.arg(argument).to_ints();
  return numbers.empty() ? missing : numbers[std::min(d, numbers.size() - 1)];
}

}  // namespace

bool is_pool_of_a_line(const Node& node) {
  return node.is_call("aten.max_pool1d.default") || node.is_call("aten.avg_pool1d.default");
}

bool is_average_pool(const Node& node) {
  return node.is_call("aten.avg_pool1d.default") || node.is_call("aten.avg_pool2d.default");
}

bool is_any_pool(const Node& node) {
  return is_average_pool(node) || node.is_call("aten.max_pool1d.default") || node.is_call("aten.max_pool2d.default");
}

std::vector<int64_t> pooled_sizes(const Node& pool) {
  const std::vector<int64_t>& in = pool.arg("self").node()->sizes();
  return {in.end() - static_cast<ptrdiff_t>(pooled_dims(pool)), in.end()};
}

std::vector<int64_t> overhang(const Node& pool) {
  const Node* input = pool.arg("self").node();
  const size_t dims = pooled_dims(pool);
  if (input == nullptr || !input->meta() || !pool.meta() || input->sizes().size() < dims ||
      pool.sizes().size() != input->sizes().size()) {
    return {};
  }
  std::vector<int64_t> by;
  for (size_t d = 0; d < dims; ++d) {
    const int64_t kernel = along(pool, "kernel_size", d, 1);
    const int64_t stride = along(pool, "stride", d, kernel);
    const int64_t reach = along(pool, "dilation", d, 1) * (kernel - 1) + 1;
    const int64_t room = pooled_sizes(pool)[d] + 2 * along(pool, "padding", d, 0);
    if (reach > room || stride < 1) return {};
    by.push_back((pool.sizes()[pool.sizes().size() - dims + d] - 1) * stride + reach - room);
  }
  return by;
}

Node* padded_behind(const Node& pool, const std::vector<int64_t>& by, double value) {
  Node* image = pool.arg("self").node();
  std::vector<int64_t> sizes = image->sizes();
  std::vector<int64_t> padding;  // from the last dimension on
  for (size_t back = 1; back <= by.size(); ++back) {
    const int64_t behind = std::max<int64_t>(by[by.size() - back], 0);
    sizes[sizes.size() - back] += behind;
    padding.insert(padding.end(), {0, behind});
  }
  if (sizes == image->sizes()) return image;
  return add_call("aten.pad.default", {image, padding, "constant", value}, sizes, pool);
}

}  // namespace octet::targets

#include <ATen/ops/zeros.h>

#include <algorithm>

#include "octet/targets/engine/passes/passes.h"
#include "octet/targets/engine/passes/rewrite.h"

namespace octet::targets {
namespace {

constexpr int64_t kMostSpread = int64_t{1} << 22;  // with the zeros between

// One number for each dimension that a kernel has; empty where nothing is to be spread, and above the limit.
std::vector<int64_t> dilation_of(const Node& conv) {
  if (!conv.is(Trait::kTransposed) || !conv.has_arg("dilation") || !conv.arg("dilation").is_constant()) return {};
  const Node* weight = conv.arg("weight").node();
  if (!is_static(weight) || !weight->meta() || weight->meta()->rank() < 3 || weight->meta()->numel() == 0) return {};
  const std::vector<int64_t>& sizes = weight->sizes();
  std::vector<int64_t> dilation = conv.arg("dilation").to_ints();
  if (dilation.size() == 1) dilation.resize(sizes.size() - 2, dilation[0]);
  if (dilation.size() != sizes.size() - 2) return {};
  int64_t room = kMostSpread / sizes[0] / sizes[1];
  for (size_t i = 0; i < dilation.size(); ++i) {
    if (dilation[i] < 1 || dilation[i] > kMostSpread) return {};
    room /= (sizes[i + 2] - 1) * dilation[i] + 1;
  }
  const bool is_dilated = std::any_of(dilation.begin(), dilation.end(), [](int64_t step) { return step > 1; });
  return is_dilated && room > 0 ? dilation : std::vector<int64_t>();
}

at::Tensor spread(const at::Tensor& weight, const std::vector<int64_t>& dilation) {
  std::vector<int64_t> sizes = weight.sizes().vec();
  for (size_t i = 0; i < dilation.size(); ++i) sizes[i + 2] = (sizes[i + 2] - 1) * dilation[i] + 1;
  at::Tensor wide = at::zeros(sizes, weight.options());
  at::Tensor places = wide;
  for (size_t i = 0; i < dilation.size(); ++i) {
    places = places.slice(static_cast<int64_t>(i) + 2, 0, std::nullopt, dilation[i]);
  }
  places.copy_(weight);
  return wide;
}

}  // namespace

bool spread_transposed_kernels(GraphModule& module) {
  const auto is_dilated = [](const Node& conv) { return !dilation_of(conv).empty(); };
  const std::vector<Node*> dilated = calls_where(module.graph(), is_dilated);
  for (Node* conv : dilated) {
    const Node* weight = conv->arg("weight").node();
    const std::vector<int64_t> dilation = dilation_of(*conv);
    const auto here = module.graph().inserting_before(conv);
    const at::Tensor wide = spread(module.attr(weight->target()).detach(), dilation);
    conv->set_arg("weight",
                  add_attr(module, octet::str(weight->target(), "_spread"), wide, module.attr_kind(weight->target())));
    conv->set_arg("dilation", std::vector<int64_t>(dilation.size(), 1));
  }
  return !dilated.empty();
}

}  // namespace octet::targets

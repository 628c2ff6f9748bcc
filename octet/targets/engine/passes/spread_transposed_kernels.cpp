#include <ATen/ops/zeros.h>

#include <algorithm>

#include "octet/targets/engine/passes/passes.h"
#include "octet/targets/engine/passes/rewrite.h"

namespace octet::targets {
namespace {

// One number for each dimension that a kernel has.
std::vector<int64_t> dilation_of(const Node& conv) {
  std::vector<int64_t> dilation = conv.arg("dilation").to_ints();
  const size_t dimensions = static_cast<size_t>(conv.arg("weight").node()->meta()->rank()) - 2;
  if (dilation.size() == 1) dilation.resize(dimensions, dilation[0]);
  return dilation;
}

bool is_dilated(const Node& conv) {
  if (!conv.is(Trait::kTransposed) || !conv.has_arg("dilation") || !conv.arg("dilation").is_constant()) return false;
  const Node* weight = conv.arg("weight").node();
  if (!is_static(weight) || !weight->meta() || weight->meta()->rank() < 3) return false;
  const std::vector<int64_t> dilation = dilation_of(conv);
  return std::any_of(dilation.begin(), dilation.end(), [](int64_t step) { return step > 1; });
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

#include "octet/quantize/freeze.h"

#include <ATen/core/grad_mode.h>

#include "octet/quantize/accumulator.h"
#include "octet/quantize/fake_quantize.h"
#include "octet/quantize/prepare.h"
#include "octet/quantize/qat_conv_bn.h"
#include "octet/quantize/qat_rewrite.h"
#include "octet/quantize/small_work.h"
#include "octet/support/error.h"

namespace octet {
namespace {

class Freezer {
 public:
  explicit Freezer(GraphModule& module) : module_(module), graph_(module.graph()) {}

  void run() {
    make_room(module_);
    for (Node* node : graph_.nodes()) {
      if (node->kind() != NodeKind::kCallModule) continue;
      const auto callable = module_.callable(node->target());
      if (const auto* simulated = dynamic_cast<const QatConvBn*>(callable.get())) {
        put_folded_convolution(module_, node, *simulated, [&](Node* value, ObserverBase& quantizer) {
          return rounded(value, quantizer, value->target());
        });
      } else if (const auto* observer = dynamic_cast<const ObserverBase*>(callable.get())) {
        Node* value = node->arg(0).node();
        const auto point = graph_.inserting_before(node);
        node->replace_all_uses_with(rounded(value, *observer, node->target()));
        graph_.erase(node);
      } else {
        throw Error(node->where(), "is a submodule that is no observer");
      }
    }
  }

 private:
  // `value` on the grid of a fake quantizer; itself behind a plain observer and behind one that is off.
  Node* rounded(Node* value, const ObserverBase& observer, const std::string& name) {
    const auto* fake = dynamic_cast<const FakeQuantizeBase*>(&observer);
    if (fake == nullptr || !fake->is_fake_quant_enabled() || !fake->has_data()) return value;
    const QParams grid = fake->calculate_qparams();
    if (at::isFloatingType(grid.zero_point.scalar_type())) {
      throw Error(value->where(),
                  "is quantized with zero points that are no integers, for which PyTorch has no operator");
    }
    const at::ScalarType dtype = value->meta() ? value->meta()->dtype : at::kFloat;
    Node* input = dtype == at::kFloat ? value : cast(value, at::kFloat);
    Node* result = fake->is_per_channel() ? per_channel(input, *fake, grid, name) : per_tensor(input, *fake, grid);
    if (value->meta()) result->set_meta(TensorMeta{at::kFloat, value->meta()->sizes});
    return dtype == at::kFloat ? result : cast(result, dtype);
  }

  Node* per_tensor(Node* value, const FakeQuantizeBase& fake, const QParams& grid) {
    return graph_.call("aten.fake_quantize_per_tensor_affine.default",
                       {Arg(value), Arg(static_cast<double>(grid.scale.item<float>())),
                        Arg(grid.zero_point.item<int64_t>()), Arg(fake.quant_min), Arg(fake.quant_max)});
  }

  Node* per_channel(Node* value, const FakeQuantizeBase& fake, const QParams& grid, const std::string& name) {
    Node* scale = buffer(name + "_scale", grid.scale);
    Node* zero_point = buffer(name + "_zero_point", grid.zero_point.to(at::kInt));  // what the operator takes
    return graph_.call(
        "aten.fake_quantize_per_channel_affine.default",
        {Arg(value), Arg(scale), Arg(zero_point), Arg(fake.ch_axis), Arg(fake.quant_min), Arg(fake.quant_max)});
  }

  Node* cast(Node* value, at::ScalarType dtype) {
    Node* made = graph_.call("aten.to.dtype", {Arg(value), Arg(dtype)});
    if (value->meta()) made->set_meta(TensorMeta{dtype, value->meta()->sizes});
    return made;
  }

  Node* buffer(const std::string& base, const at::Tensor& value) {
    const std::string name = module_.free_name(base);
    module_.set_attr(name, value.detach().clone(), AttrKind::kBuffer);
    Node* read = graph_.get_attr(name);
    read->set_meta(TensorMeta{value.scalar_type(), value.sizes().vec()});
    return read;
  }

  GraphModule& module_;
  Graph& graph_;
};

}  // namespace

std::shared_ptr<GraphModule> frozen(const GraphModule& prepared) {
  const at::NoGradGuard no_grad;
  const SmallWork alone(prepared);
  auto model = prepared.copy();
  model->eval();
  Freezer(*model).run();
  drop_batch_counters(model->graph(), *model);
  model->graph().eliminate_dead_code();
  model->erase_unused();
  model->graph().verify();
  const auto stage = model->facts().find(kStageFact);
  if (stage != model->facts().end() && stage->second != kConverted) model->facts().erase(stage);
  return model;
}

}  // namespace octet

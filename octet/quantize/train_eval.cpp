#include "octet/quantize/frozen_layers.h"
#include "octet/quantize/observer.h"
#include "octet/quantize/qat_conv_bn.h"
#include "octet/quantize/quantize_pt2e.h"
#include "octet/support/error.h"

namespace octet {
namespace {

void set_frozen(torch::nn::Module& module, bool on) {
  if (auto* simulated = dynamic_cast<QatConvBn*>(&module)) simulated->freeze_bn_stats(on);
  if (auto* program = dynamic_cast<GraphModule*>(&module)) {
    for (Node* node : program->graph().nodes()) hold_batch_norm(*node, on);
    for (const std::string& name : program->callable_names()) set_frozen(*program->callable(name), on);
  }
}

std::shared_ptr<GraphModule> switched(std::shared_ptr<GraphModule> model, bool on) {
  if (!model) throw Error("train and eval", "no model is given");
  model->train(on);
  return model;
}

}  // namespace

std::vector<const Node*> nodes_in_train_mode(const GraphModule& model) {
  std::vector<const Node*> found;
  for (const Node* node : model.graph().nodes()) {
    if (!node->is_call() || (node->has_arg("running_mean") && node->arg("running_mean").is_none())) continue;
    for (const char* flag : {"training", "train"}) {
      if (node->has_arg(flag) && node->arg(flag).is_constant() && node->arg(flag).constant().isBool() &&
          node->arg(flag).to_bool()) {
        found.push_back(node);
      }
    }
  }
  return found;
}

void freeze_bn_stats(torch::nn::Module& module) { set_frozen(module, true); }
void unfreeze_bn_stats(torch::nn::Module& module) { set_frozen(module, false); }

std::shared_ptr<GraphModule> move_exported_model_to_train(std::shared_ptr<GraphModule> model) {
  return switched(std::move(model), true);
}
std::shared_ptr<GraphModule> move_exported_model_to_eval(std::shared_ptr<GraphModule> model) {
  return switched(std::move(model), false);
}

}  // namespace octet

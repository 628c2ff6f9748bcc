#include "octet/quantize/frozen_prefix.h"

#include <algorithm>
#include <unordered_map>

#include "octet/quantize/accumulator.h"
#include "octet/quantize/fake_quantize.h"
#include "octet/quantize/qat_conv_bn.h"

namespace octet {
namespace {

// What a value depends on.
enum class Depends {
  kNothing,  // constants alone: it is there wherever it is read
  kInputs,   // and inputs of the program
  kTraining  // and what training changes, or what each run draws
};

CallableModule* callable_of(const GraphModule& module, const Node& node) {
  return node.kind() == NodeKind::kCallModule ? module.callable(node.target()).get() : nullptr;
}

// A fake quantizer that gives the same for the same from now on; also where there is none.
bool is_settled(CallableModule* quantizer) {
  if (quantizer == nullptr) return true;
  if (const auto* derived = dynamic_cast<const DerivedFakeQuantize*>(quantizer)) {
    return derived->is_fake_quant_enabled() && derived->has_data();
  }
  const FakeQuantize* known = known_rounding(quantizer);
  if (known == nullptr || !known->is_fake_quant_enabled() || !known->has_data()) return false;
  return !known->is_observer_enabled() || dynamic_cast<const FixedQParamsFakeQuantize*>(known) != nullptr;
}

bool is_off(const Node& node, const char* mode) {
  return node.has_arg(mode) && node.arg(mode).is_constant() && node.arg(mode).constant().isBool() &&
         !node.arg(mode).to_bool();
}

// A step that computes the same of the same inputs, and changes nothing else.
bool is_settled_step(const GraphModule& module, const Node& node) {
  if (CallableModule* called = callable_of(module, node)) {
    if (const auto* pair = dynamic_cast<const QatConvBn*>(called)) {
      return !pair->normalizes_batch() && is_settled(pair->weight_fake_quant().get()) &&
             is_settled(pair->bias_fake_quant().get());
    }
    return dynamic_cast<const AccumulatorRoom*>(called) != nullptr || is_settled(called);
  }
  if (!node.is_call()) return true;
  if (node.is(Trait::kRandom)) return is_off(node, "train") || is_off(node, "training");
  if (node.is(Trait::kBatchNorm)) return is_off(node, "training");
  if (!node.op().mutates()) return true;
  for (size_t i = 0; i < node.args().size(); ++i) {
    const Node* written = node.op().writes_argument(i) ? node.args()[i].node() : nullptr;
    if (written != nullptr && (written->is_get_attr() || written->kind() == NodeKind::kPlaceholder)) return false;
  }
  return true;
}

bool may_end_prefix(const GraphModule& module, const Node& node) {
  const auto* rounding = dynamic_cast<const FakeQuantize*>(callable_of(module, node));
  if (rounding == nullptr || (rounding->dtype != at::kChar && rounding->dtype != at::kByte)) return false;
  return rounding->qscheme == at::kPerTensorAffine || rounding->qscheme == at::kPerTensorSymmetric;
}

bool is_layer_of(const GraphModule& module, const Node& node) {
  return node.is(Trait::kConvolution) || node.is(Trait::kLinear) ||
         dynamic_cast<const QatConvBn*>(callable_of(module, node)) != nullptr;
}

}  // namespace

std::vector<const Node*> frozen_boundary(const GraphModule& prepared) {
  const std::vector<Node*> nodes = prepared.graph().nodes();
  std::unordered_map<const Node*, Depends> depends;
  const auto of_inputs = [&](const Node& node) {
    Depends most = Depends::kNothing;
    for (const Node* input : node.inputs()) most = std::max(most, depends.at(input));
    return most;
  };
  for (const Node* node : nodes) {
    if (node->kind() == NodeKind::kPlaceholder) {
      depends[node] = Depends::kInputs;
    } else if (node->is_get_attr()) {
      depends[node] = prepared.attr(node->target()).requires_grad() ? Depends::kTraining : Depends::kNothing;
    } else {
      depends[node] = is_settled_step(prepared, *node) ? of_inputs(*node) : Depends::kTraining;
    }
  }
  const auto is_read_behind = [&](const Node& node) {
    const std::vector<Node*> users = node.users();
    return std::any_of(users.begin(), users.end(), [&](const Node* user) {
      return user->kind() == NodeKind::kOutput || depends.at(user) == Depends::kTraining;
    });
  };
  const auto in_prefix = [&](const Node& node) {
    return depends.at(&node) == Depends::kInputs && node.kind() != NodeKind::kPlaceholder &&
           node.kind() != NodeKind::kOutput;
  };
  // A value that the rest reads and that lies on no grid is computed there, with all that reads it.
  for (bool changed = true; changed;) {
    changed = false;
    for (auto node = nodes.rbegin(); node != nodes.rend(); ++node) {
      if (!in_prefix(**node) || may_end_prefix(prepared, **node) || !is_read_behind(**node)) continue;
      depends[*node] = Depends::kTraining;
      changed = true;
    }
    for (const Node* node : nodes) {
      if (in_prefix(*node) && of_inputs(*node) == Depends::kTraining) {
        depends[node] = Depends::kTraining;
        changed = true;
      }
    }
  }
  std::vector<const Node*> boundary;
  bool has_layer = false;
  for (const Node* node : nodes) {
    if (!in_prefix(*node)) continue;
    has_layer = has_layer || is_layer_of(prepared, *node);
    if (is_read_behind(*node)) boundary.push_back(node);
  }
  return has_layer ? boundary : std::vector<const Node*>();
}

}  // namespace octet

#include "octet/quantize/calibrate.h"

#include <ATen/core/grad_mode.h>

#include "octet/graph/memory_order.h"
#include "octet/graph/state_guard.h"
#include "octet/graph/written_buffers.h"
#include "octet/quantize/constant_fold.h"
#include "octet/quantize/fake_quantize.h"
#include "octet/quantize/histogram_observer.h"
#include "octet/quantize/observers.h"
#include "octet/quantize/prepare.h"
#include "octet/support/error.h"
#include "octet/support/log.h"

namespace octet {
namespace {

// An average that starts from the whole set, and what sees the set for it.
struct Start {
  FakeQuantize* rounding;
  MovingAverageMinMaxObserver* average;
  std::shared_ptr<HistogramObserver> seen;
};
using Starts = std::unordered_map<const CallableModule*, Start>;

// Of values that depend on an input: a weight's range is known whole at once.
Starts find_starts(GraphModule& prepared) {
  Starts starts;
  std::unordered_set<const Node*> computed;
  for (const Node* node : prepared.graph().nodes()) {
    const std::vector<Node*> inputs = node->inputs();
    const bool follows = node->kind() == NodeKind::kPlaceholder ||
                         std::any_of(inputs.begin(), inputs.end(), [&](Node* in) { return computed.count(in) > 0; });
    if (!follows) continue;
    computed.insert(node);
    if (node->kind() != NodeKind::kCallModule) continue;
    auto* rounding = dynamic_cast<FakeQuantize*>(prepared.callable(node->target()).get());
    if (rounding == nullptr || !rounding->is_observer_enabled()) continue;
    auto* average = dynamic_cast<MovingAverageMinMaxObserver*>(rounding->observer().get());
    if (average == nullptr || average->averaging() != Averaging::kEachRun || average->is_dynamic) continue;
    auto& start = starts.try_emplace(rounding, Start{rounding, average, nullptr}).first->second;
    if (start.seen) continue;  // its places share one
    start.seen = std::make_shared<HistogramObserver>(average->args(), average->eps());
    start.seen->to(average->min_val.device());
    start.seen->reading = average->reading;
  }
  return starts;
}

// While it stands, the model is in eval mode and rounds nothing, and the averages rest.
class InFloat {
 public:
  InFloat(GraphModule& model, const Starts& starts) : model_(model), starts_(starts), training_(model.is_training()) {
    model_.train(false);
    for (const auto& module : model_.modules(/*include_self=*/false)) {
      auto* fake = dynamic_cast<FakeQuantizeBase*>(module.get());
      if (fake == nullptr || !fake->is_fake_quant_enabled()) continue;
      fake->enable_fake_quant(false);
      rounding_.push_back(fake);
    }
    for (const auto& [module, start] : starts_) start.rounding->enable_observer(false);
  }
  ~InFloat() {
    for (FakeQuantizeBase* fake : rounding_) fake->enable_fake_quant(true);
    for (const auto& [module, start] : starts_) start.rounding->enable_observer(true);
    model_.train(training_);
  }
  InFloat(const InFloat&) = delete;
  InFloat& operator=(const InFloat&) = delete;

 private:
  GraphModule& model_;
  const Starts& starts_;
  bool training_;
  std::vector<FakeQuantizeBase*> rounding_;
};

bool holds_nan(const c10::IValue& value) {
  if (!value.isTensor() || !value.toTensor().defined() || !value.toTensor().is_floating_point()) return false;
  return at::isnan(value.toTensor()).any().item<bool>();
}

// Runs the sample again, up to the node that gives the first NaN. Returns where there is none.
void find_nan(GraphModule& model, const std::vector<at::Tensor>& sample, size_t index) {
  const auto check = [&](const Node& node, const c10::IValue& value) {
    if (!holds_nan(value)) return;
    if (node.kind() == NodeKind::kPlaceholder) {
      throw Error(octet::str("input '", node.name(), "'"), octet::str("sample ", index, " holds NaN"))
          .hint("leave the sample out, or mend it");
    }
    if (node.is_get_attr()) throw no_number(model, node, "NaN");
    throw Error(node.where(), octet::str("gives NaN for sample ", index, " of the calibration; what it reads has none"))
        .hint("look for a division by 0, a root or a logarithm of what is negative, or infinities that meet");
  };
  model.run_observed(sample, check);
}

void run_sample(GraphModule& model, const std::vector<at::Tensor>& sample, size_t index, const Starts& starts) {
  const auto see = [&](const Node& node, const c10::IValue& value) {
    if (node.kind() != NodeKind::kCallModule) return;
    const auto start = starts.find(model.callable(node.target()).get());
    if (start != starts.end()) start->second.seen->forward(value.toTensor());
  };
  try {
    if (starts.empty()) {
      model.run(sample);
    } else {
      model.run_observed(sample, see);
    }
  } catch (const Error&) {
    find_nan(model, sample, index);
    throw;
  }
}

// Convolutions are faster on images in channels last.
std::vector<at::Tensor> in_channels_last(std::vector<at::Tensor> sample) {
  for (at::Tensor& input : sample) {
    if (input.dim() == 4) input = input.contiguous(at::MemoryFormat::ChannelsLast);
  }
  return sample;
}

void warn_of_infinities(const GraphModule& model, const Starts& starts) {
  std::set<const RangeObserver*> told;
  for (const Node* node : model.graph().nodes()) {
    if (node->kind() != NodeKind::kCallModule) continue;
    const auto callable = model.callable(node->target());
    const auto start = starts.find(callable.get());
    const RangeObserver* range =
        start != starts.end() ? start->second.seen.get() : range_observer(std::as_const(*callable));
    if (range == nullptr || !range->left_some_out() || !told.insert(range).second) continue;
    log::warn(node->arg(size_t{0}).node()->where(),
              ": infinite numbers, or such beyond 1e30, are left out of its range; they become the end of the grid");
  }
}

}  // namespace

bool needs_calibration(const GraphModule& prepared) {
  const std::unordered_set<const Node*> constant = constant_nodes(prepared.graph());
  const std::vector<Node*> nodes = prepared.graph().nodes();
  return std::any_of(nodes.begin(), nodes.end(), [&](const Node* node) {
    if (node->kind() != NodeKind::kCallModule) return false;
    const auto* observer = dynamic_cast<const ObserverBase*>(prepared.callable(node->target()).get());
    if (observer == nullptr || observer->is_dynamic || observer->has_data()) return false;
    return dynamic_cast<const DerivedObserver*>(observer) == nullptr &&
           dynamic_cast<const DerivedFakeQuantize*>(observer) == nullptr && constant.count(node->arg(0).node()) == 0;
  });
}

namespace {

// What the samples leave there is no part of the model.
std::vector<at::Tensor> states_of(const GraphModule& prepared) {
  std::vector<at::Tensor> states;
  for (const Node* buffer : written_buffers(prepared)) states.push_back(prepared.attr(buffer->target()));
  return states;
}

}  // namespace

void calibrate(GraphModule& prepared, const std::vector<std::vector<at::Tensor>>& samples) {
  const at::NoGradGuard no_grad;
  const StateGuard guard(states_of(prepared));
  const Starts starts = find_starts(prepared);
  const bool channels_last = takes_channels_last(prepared.graph());
  const auto run_all = [&] {
    for (size_t i = 0; i < samples.size(); ++i) {
      run_sample(prepared, channels_last ? in_channels_last(samples[i]) : samples[i], i, starts);
    }
  };
  if (starts.empty()) {
    run_all();
  } else {
    const InFloat in_float(prepared, starts);
    run_all();
  }
  warn_of_infinities(prepared, starts);
  for (const auto& [module, start] : starts) {
    if (!start.seen->has_data()) continue;
    const auto [low, high] = start.seen->search_range();
    start.average->start_from(low, high);
    start.rounding->refresh();
  }
}

}  // namespace octet

#include "octet/quantize/value_study.h"

#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "octet/quantize/compare.h"
#include "octet/quantize/qdq.h"
#include "octet/quantize/rows.h"

namespace octet {
namespace {

constexpr int64_t kBins = 64;
constexpr double kOutside = 0.001;  // share of the elements on each side that the middle leaves out

at::Tensor finite_of(const at::Tensor& value) {
  const at::Tensor flat = value.detach().to(at::kCPU, at::kFloat).flatten();
  const at::Tensor finite = at::isfinite(flat);
  return finite.all().item<bool>() ? flat : flat.masked_select(finite);
}

// From where to where all but kOutside of the elements lie on each side.
void find_middle(ValueStudy& study) {
  const Histogram& histogram = study.histogram;
  const double width = (histogram.high - histogram.low) / static_cast<double>(kBins);
  const auto left_out = static_cast<int64_t>(kOutside * static_cast<double>(study.elements));
  int64_t below = 0, above = 0, first = 0, last = kBins - 1;
  while (first < last && below + histogram.counts[static_cast<size_t>(first)] <= left_out) {
    below += histogram.counts[static_cast<size_t>(first++)];
  }
  while (last > first && above + histogram.counts[static_cast<size_t>(last)] <= left_out) {
    above += histogram.counts[static_cast<size_t>(last--)];
  }
  study.middle_low = histogram.low + static_cast<double>(first) * width;
  study.middle_high = histogram.low + static_cast<double>(last + 1) * width;
}

void take_histogram(ValueStudy& study, const at::Tensor& value) {
  const at::Tensor finite = finite_of(value);
  study.elements = finite.numel();
  if (finite.numel() == 0) return;
  study.histogram.low = finite.min().item<double>();
  study.histogram.high = finite.max().item<double>();
  if (study.histogram.low < study.histogram.high) {
    const at::Tensor counts = at::histc(finite, kBins, study.histogram.low, study.histogram.high);
    for (int64_t i = 0; i < kBins; ++i) {
      study.histogram.counts.push_back(static_cast<int64_t>(counts.const_data_ptr<float>()[i]));
    }
  } else {
    study.histogram.counts.assign(static_cast<size_t>(kBins), 0);
    study.histogram.counts[0] = finite.numel();
  }
  find_middle(study);
}

void take_grid(ValueStudy& study, const QuantRecord& grid) {
  study.scales = static_cast<int64_t>(grid.scale.size());
  for (size_t i = 0; i < grid.scale.size(); ++i) {
    const auto zero = static_cast<double>(grid.zero_point[std::min(i, grid.zero_point.size() - 1)]);
    study.grid_low = std::min(study.grid_low, (static_cast<double>(grid.quant_min) - zero) * grid.scale[i]);
    study.grid_high = std::max(study.grid_high, (static_cast<double>(grid.quant_max) - zero) * grid.scale[i]);
  }
}

// The quantize that alone reads the value, and its dequantize: what all readers see. Null where there is none.
std::pair<const Node*, const Node*> grid_behind(const Node& node) {
  const auto users = node.users();
  if (users.size() != 1 || !users.front()->is(Trait::kQuantize)) return {nullptr, nullptr};
  for (const Node* dequantize : users.front()->users()) {
    if (dequantize->is(Trait::kDequantize)) return {users.front(), dequantize};
  }
  return {nullptr, nullptr};
}

ValueStudy study_of_value(const GraphModule& quantized, const Node& node, const Node* quantize,
                          const at::Tensor& wanted, const at::Tensor& got) {
  ValueStudy study;
  study.name = node.name();
  study.where = node.where();
  take_histogram(study, wanted);
  if (quantize != nullptr) {
    const QuantRecord grid = grid_at(quantized, *quantize);
    if (!grid.scale.empty() && !grid.zero_point.empty()) {
      take_grid(study, grid);
      const double half = grid.scale.front() / 2;
      const at::Tensor finite = finite_of(wanted);
      const int64_t beyond =
          finite.lt(study.grid_low - half).logical_or(finite.gt(study.grid_high + half)).sum().item<int64_t>();
      study.clipped = finite.numel() > 0 ? static_cast<double>(beyond) / static_cast<double>(finite.numel()) : 0;
      study.used_levels =
          (std::min(study.histogram.high, study.grid_high) - std::max(study.histogram.low, study.grid_low)) /
          grid.scale.front();
    }
  }
  if (got.defined() && got.sizes() == wanted.sizes()) {
    const at::Tensor change = (got - wanted).to(at::kDouble);
    const double size = std::sqrt(change.square().mean().item<double>());
    if (std::isfinite(size) && size > 0) study.shift = change.mean().item<double>() / size;
  }
  return study;
}

ValueStudy study_of_weight(const GraphModule& quantized, const Node& dequantize, const at::Tensor& stored,
                           const at::Tensor& value) {
  ValueStudy study;
  study.is_weight = true;
  const auto users = dequantize.users();
  const Node* reader = users.empty() ? &dequantize : users.front();
  study.name = reader->name();
  study.where = reader->where();
  take_histogram(study, value);
  const QuantRecord grid = grid_at(quantized, dequantize);
  if (grid.scale.empty() || grid.zero_point.empty()) return study;
  take_grid(study, grid);
  const int64_t ends = stored.eq(grid.quant_min).logical_or(stored.eq(grid.quant_max)).sum().item<int64_t>();
  study.clipped = static_cast<double>(ends) / static_cast<double>(std::max<int64_t>(1, stored.numel()));
  if (value.dim() > 1) {
    const int64_t axis = grid.axis.value_or(0);
    study.channels = value.size(axis);
    const at::Tensor most = value.abs().transpose(0, axis).reshape({value.size(axis), -1}).amax(1);
    study.dead_channels = most.eq(0).sum().item<int64_t>();
  }
  return study;
}

}  // namespace

std::vector<ValueStudy> study_values(GraphModule& float_model, GraphModule& quantized,
                                     const std::vector<at::Tensor>& inputs) {
  const at::NoGradGuard no_grad;
  // What stands where, by the node of the float model.
  struct Watched {
    const Node* node;
    const Node* quantize;
    const Node* seen;
  };
  std::map<const Node*, std::vector<Watched>> by_source;
  const FloatNodes sources(float_model);
  std::map<const Node*, at::Tensor> got;
  std::vector<const Node*> order;
  std::set<const Node*> wanted_nodes, weights;
  for (const Node* node : quantized.graph().nodes()) {
    if (node->is(Trait::kDequantize) && node->arg(0).node() != nullptr && node->arg(0).node()->is_get_attr()) {
      weights.insert(node);
      order.push_back(node);
      continue;
    }
    if (node->kind() != NodeKind::kPlaceholder && !is_operator(*node)) continue;
    const auto [quantize, dequantize] = grid_behind(*node);
    const Node* seen = dequantize != nullptr ? dequantize : node;
    by_source[sources.of(*node)].push_back({node, quantize, seen});
    wanted_nodes.insert(seen);
    order.push_back(node);
  }
  std::map<const Node*, at::Tensor> stored;
  quantized.run_observed(inputs, [&](const Node& node, const c10::IValue& value) {
    if (!value.isTensor()) return;
    if (wanted_nodes.contains(&node)) got[&node] = value.toTensor();
    if (weights.contains(&node)) stored[&node] = value.toTensor();
  });
  std::map<const Node*, ValueStudy> studies;
  float_model.run_observed(inputs, [&](const Node& node, const c10::IValue& value) {
    const auto found = by_source.find(&node);
    if (found == by_source.end() || !value.isTensor() || !value.toTensor().is_floating_point()) return;
    for (const Watched& watched : found->second) {
      studies[watched.node] =
          study_of_value(quantized, *watched.node, watched.quantize, value.toTensor(), got[watched.seen]);
    }
  });
  std::vector<ValueStudy> all;
  for (const Node* node : order) {
    if (weights.contains(node)) {
      const at::Tensor value = stored[node];
      const at::Tensor levels = quantized.attr(node->arg(0).node()->target());
      if (value.defined() && levels.scalar_type() != at::kInt) {
        all.push_back(study_of_weight(quantized, *node, levels, value));
      }
    } else if (const auto found = studies.find(node); found != studies.end()) {
      all.push_back(found->second);
    }
  }
  return all;
}

}  // namespace octet

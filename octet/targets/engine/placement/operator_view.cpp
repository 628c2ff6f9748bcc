#include "octet/targets/engine/placement/operator_view.h"

#include "octet/graph/constant_value.h"
#include "octet/quantize/qdq.h"
#include "octet/support/error.h"

namespace octet::targets {
std::vector<const Node*> OperatorView::producers(std::string_view argument) const {
  std::vector<const Node*> found;
  if (node_.has_arg(argument)) {
    node_.arg(argument).for_each_node([&](const Node* producer) { found.push_back(producer); });
  }
  return found;
}

std::vector<std::optional<QuantRecord>> OperatorView::input_grids(std::string_view argument) const {
  std::vector<std::optional<QuantRecord>> grids;
  for (const Node* producer : producers(argument)) {
    const Node* dequantize = clusters_.dequantize_behind(*producer);
    grids.push_back(dequantize != nullptr ? std::optional(grid_at(module_, *dequantize)) : std::nullopt);
  }
  return grids;
}

std::optional<QuantRecord> OperatorView::input_grid(std::string_view argument) const {
  const auto grids = input_grids(argument);
  return grids.empty() ? std::nullopt : grids.front();
}

std::optional<QuantRecord> OperatorView::output_grid() const {
  const Node* quantize = clusters_.quantize_behind(node_);
  return quantize != nullptr ? std::optional(grid_at(module_, *quantize)) : std::nullopt;
}

const std::vector<int64_t>& OperatorView::sizes(std::string_view argument) const {
  const auto found = producers(argument);
  if (found.empty()) throw Error(node_.where(), octet::str("argument '", argument, "' is no tensor"));
  return found.front()->sizes();
}

bool OperatorView::is_none(std::string_view argument) const {
  return !node_.has_arg(argument) || node_.arg(argument).is_none();
}

bool OperatorView::is_static(std::string_view argument) const {
  const auto found = producers(argument);
  return !found.empty() && std::all_of(found.begin(), found.end(), [](const Node* n) { return is_constant_value(*n); });
}

at::Tensor OperatorView::static_value(std::string_view argument) const {
  const auto found = producers(argument);
  return found.empty() ? at::Tensor() : constant_value(module_, *found.front());
}

std::pair<int64_t, int64_t> OperatorView::pair(std::string_view argument, std::pair<int64_t, int64_t> missing) const {
  if (is_none(argument)) return missing;
  const std::vector<int64_t> values = node_.arg(argument).to_ints();
  if (values.empty()) return missing;
  return {values.front(), values.back()};
}

}  // namespace octet::targets

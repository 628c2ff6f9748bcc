#include "octet/targets/engine/shared_rows.h"

#include <set>
#include <utility>
#include <vector>

namespace octet::targets {
namespace {

const AnySpec* spec_at(const EdgeOrNode& place) {
  if (place.node == nullptr) return nullptr;
  const QuantizationAnnotation* note =
      annotation(std::as_const(place.consumer != nullptr ? *place.consumer : *place.node));
  if (note == nullptr) return nullptr;
  if (place.consumer != nullptr) return note->input(place.node);
  return note->output_qspec ? &*note->output_qspec : nullptr;
}

}  // namespace

const AnySpec* SharedRows::concrete_output(Node* producer) { return spec_at(end_of(EdgeOrNode(producer)).place); }

const FixedQParamsQuantizationSpec* SharedRows::fixed_grid(Node* producer) {
  const End end = end_of(EdgeOrNode(producer));
  const AnySpec* spec = end.through_edge ? nullptr : spec_at(end.place);
  return spec == nullptr ? nullptr : std::get_if<FixedQParamsQuantizationSpec>(spec);
}

SharedRows::End SharedRows::end_of(const EdgeOrNode& start) {
  std::vector<EdgeOrNode> row;
  std::set<EdgeOrNode> seen;
  End end{start, false};
  while (true) {
    const auto known = ends_.find(end.place);
    if (known != ends_.end()) {
      end = known->second;
      break;
    }
    const AnySpec* spec = spec_at(end.place);
    const auto* shared = spec == nullptr ? nullptr : std::get_if<SharedQuantizationSpec>(spec);
    if (shared == nullptr) break;
    if (!seen.insert(end.place).second) {  // a circle, which resolve_sharing will tell
      end = {};
      break;
    }
    row.push_back(end.place);
    end.place = shared->edge_or_node;
  }
  for (auto place = row.rbegin(); place != row.rend(); ++place) {
    const auto& next = std::get<SharedQuantizationSpec>(*spec_at(*place)).edge_or_node;
    end.through_edge = end.through_edge || next.consumer != nullptr;
    ends_[*place] = end;
  }
  return end;
}

}  // namespace octet::targets

#include "octet/targets/engine/fit_infinities.h"

#include <ATen/core/grad_mode.h>

#include <map>

#include "octet/quantize/observer.h"
#include "octet/quantize/spec.h"

namespace octet::targets {
namespace {

constexpr double kEndOfHalf = 65504.0;

const AnySpec* spec_of(const EdgeOrNode& place) {
  const Node* holder = place.consumer != nullptr ? place.consumer : place.node;
  const QuantizationAnnotation* note = holder == nullptr ? nullptr : annotation(*holder);
  if (note == nullptr) return nullptr;
  if (place.consumer != nullptr) return note->input(place.node);
  return note->output_qspec ? &*note->output_qspec : nullptr;
}

// How many levels lie between the ends of the grid of each result, asked along rows of shared specs once.
class Levels {
 public:
  int64_t of(Node* result) {
    std::vector<EdgeOrNode> row;
    std::set<EdgeOrNode> seen;
    EdgeOrNode place(result);
    int64_t found = 0;
    while (seen.insert(place).second) {
      const auto known = known_.find(place);
      if (known != known_.end()) {
        found = known->second;
        break;
      }
      row.push_back(place);
      const AnySpec* spec = spec_of(place);
      const auto* shared = spec == nullptr ? nullptr : std::get_if<SharedQuantizationSpec>(spec);
      if (shared == nullptr) {
        found = spec == nullptr ? 0 : levels(*spec);
        break;
      }
      place = shared->edge_or_node;
    }
    for (const EdgeOrNode& each : row) known_[each] = found;
    return found;
  }

 private:
  static int64_t levels(const AnySpec& spec) {
    return std::visit(
        [](const auto& kind) -> int64_t {
          if constexpr (requires { kind.quant_min; }) {
            const auto whole = dtype_range(kind.dtype);
            if (kind.quant_min && kind.quant_max) return *kind.quant_max - *kind.quant_min;
            return whole ? whole->second - whole->first : 0;
          } else {
            return 0;
          }
        },
        spec);
  }

  std::map<EdgeOrNode, int64_t> known_;
};

}  // namespace

void fit_infinities(GraphModule& module) {
  const at::NoGradGuard no_grad;
  Levels levels;
  std::map<std::string, int64_t> widest;  // by the constant's name
  for (Node* node : module.graph().nodes()) {
    if (!node->is_get_attr() || !node->meta() || !at::isFloatingType(node->meta()->dtype)) continue;
    for (Node* reader : node->users()) {
      int64_t& most = widest[node->target()];
      most = std::max(most, levels.of(reader));
    }
  }
  for (const auto& [name, most] : widest) {
    const at::Tensor value = module.attr(name).detach();
    if (most == 0 || value.numel() == 0) continue;
    const at::Tensor high = value >= kEndOfHalf;
    const at::Tensor low = value <= -kEndOfHalf;
    if (!high.logical_or(low).any().item<bool>()) continue;
    const auto end = static_cast<double>(most);
    module.set_attr(name, value.masked_fill(high, end).masked_fill(low, -end), module.attr_kind(name));
  }
}

}  // namespace octet::targets

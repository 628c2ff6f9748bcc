#include "octet/quantize/frozen_layers.h"

#include <charconv>
#include <cmath>
#include <map>
#include <optional>
#include <set>

#include "octet/quantize/observer.h"
#include "octet/quantize/qat_conv_bn.h"
#include "octet/support/error.h"

namespace octet {
namespace {

constexpr const char* kFreeze = "freeze";

// A number, and nothing else.
std::optional<double> share_of(const std::string& text) {
  double share = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), share);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return share;
}

std::vector<std::string> split_names(const std::string& text) {
  std::vector<std::string> names;
  size_t from = 0;
  while (from <= text.size()) {
    const size_t comma = std::min(text.find(',', from), text.size());
    if (comma > from) names.push_back(text.substr(from, comma - from));
    from = comma + 1;
  }
  return names;
}

// "features.1" names "features.1.conv.weight", not "features.10.conv.weight".
bool selects(const std::string& name, const std::string& parameter) {
  if (parameter.compare(0, name.size(), name) != 0) return false;
  return parameter.size() == name.size() || name.back() == '.' || parameter[name.size()] == '.';
}

const QatConvBn* simulated_pair(const GraphModule& module, const Node& node) {
  if (node.kind() != NodeKind::kCallModule) return nullptr;
  return dynamic_cast<const QatConvBn*>(module.callable(node.target()).get());
}

bool is_layer(const GraphModule& module, const Node& node) {
  return node.is(Trait::kConvolution) || node.is(Trait::kLinear) || simulated_pair(module, node) != nullptr;
}

// A fake quantizer or observer: what reads its result is what reads the parameter.
bool is_observer(const GraphModule& module, const Node& node) {
  return node.kind() == NodeKind::kCallModule &&
         dynamic_cast<const ObserverBase*>(module.callable(node.target()).get()) != nullptr;
}

// Where parameters are read, in the graph's order.
class Readers {
 public:
  explicit Readers(GraphModule& module) : module_(module), nodes_(module.graph().nodes()) {
    for (size_t i = 0; i < nodes_.size(); ++i) place_[nodes_[i]] = i;
    for (Node* node : nodes_) {
      if (is_layer(module_, *node)) layers_.push_back(place_.at(node));
      if (!node->is_get_attr() || module_.attr_kind(node->target()) != AttrKind::kParameter) continue;
      std::set<size_t>& readers = of_[node->target()];
      add_readers(*node, readers);
    }
  }

  const std::vector<size_t>& layers() const { return layers_; }
  const std::map<std::string, std::set<size_t>>& parameters() const { return of_; }
  Node& node(size_t place) const { return *nodes_[place]; }

 private:
  void add_readers(const Node& value, std::set<size_t>& readers) const {
    for (Node* user : value.users()) {
      if (is_observer(module_, *user)) {
        add_readers(*user, readers);
      } else {
        readers.insert(place_.at(user));
      }
    }
  }

  GraphModule& module_;
  std::vector<Node*> nodes_;
  std::map<const Node*, size_t> place_;
  std::vector<size_t> layers_;
  std::map<std::string, std::set<size_t>> of_;
};

std::set<std::string> first_share(const Readers& readers, double share) {
  if (!(share > 0) || !(share < 1)) {
    throw expected(kFreeze, "share", "over 0 and below 1", octet::str(share));
  }
  const auto count = static_cast<size_t>(std::floor(share * static_cast<double>(readers.layers().size())));
  std::set<std::string> chosen;
  if (count == 0) return chosen;
  const size_t next = readers.layers().at(count);
  for (const auto& [name, places] : readers.parameters()) {
    if (!places.empty() && *places.rbegin() < next) chosen.insert(name);
  }
  return chosen;
}

std::set<std::string> named(const Readers& readers, const std::string& which) {
  std::set<std::string> chosen;
  for (const std::string& name : split_names(which)) {
    bool known = false;
    for (const auto& [parameter, places] : readers.parameters()) {
      if (!selects(name, parameter)) continue;
      known = true;
      chosen.insert(parameter);
    }
    if (!known) {
      throw Error(kFreeze, octet::str("no parameter is called '", name, "' or lies in it"))
          .hint("octet inspect --graph names them");
    }
  }
  return chosen;
}

}  // namespace

void hold_batch_norm(Node& node, bool on) {
  if (!node.is(Trait::kBatchNorm) || !node.has_arg("training")) return;
  const bool* held = node.notes().find(kHeldModeNote);
  if (on && held == nullptr) {
    node.notes()[kHeldModeNote] = node.arg("training").to_bool();
    node.set_arg("training", Arg(false));
  } else if (!on && held != nullptr) {
    node.set_arg("training", Arg(*held));
    node.notes().erase(kHeldModeNote);
  }
}

FrozenLayers freeze_layers(GraphModule& module, const std::string& which) {
  const Readers readers(module);
  const std::optional<double> share = share_of(which);
  const std::set<std::string> chosen = share ? first_share(readers, *share) : named(readers, which);
  if (chosen.empty()) {
    throw Error(kFreeze, octet::str("'", which, "' freezes nothing of ", readers.layers().size(), " layers"))
        .hint("give a greater share, or names of parameters or modules");
  }
  if (chosen.size() == readers.parameters().size()) {
    throw Error(kFreeze, octet::str("'", which, "' leaves no parameter to train"));
  }
  FrozenLayers found;
  found.all_layers = static_cast<int64_t>(readers.layers().size());
  std::set<size_t> frozen;
  for (const std::string& name : chosen) {
    at::Tensor parameter = module.attr(name);
    if (parameter.requires_grad()) found.parameters.push_back(name);
    parameter.set_requires_grad(false);
    const std::set<size_t>& places = readers.parameters().at(name);
    frozen.insert(places.begin(), places.end());
  }
  for (const size_t place : frozen) {
    Node& node = readers.node(place);
    hold_batch_norm(node, true);
    if (simulated_pair(module, node) != nullptr) {
      dynamic_cast<QatConvBn&>(*module.callable(node.target())).freeze_bn_stats(true);
    }
    if (is_layer(module, node)) ++found.layers;
  }
  return found;
}

void unfreeze_layers(GraphModule& module, const FrozenLayers& frozen) {
  for (const std::string& name : frozen.parameters) {
    at::Tensor parameter = module.attr(name);
    parameter.set_requires_grad(true);
  }
}

}  // namespace octet

#include "octet/graph/graph_module.h"

#include "octet/support/error.h"

namespace octet {
namespace {

// The argument that says train or eval, or nullptr: batch_norm calls it `training`, dropout `train`.
const char* mode_argument(const Op& op) {
  for (const char* name : {"training", "train"}) {
    if (op.argument_index(name) >= 0) return name;
  }
  return nullptr;
}

at::Tensor detached_copy(const at::Tensor& tensor) {
  return tensor.detach().clone().set_requires_grad(tensor.requires_grad());
}

}  // namespace

GraphModule::GraphModule() : AttrTree("GraphModule"), graph_(std::make_unique<Graph>()) {}

const std::string& GraphModule::real_name(const std::string& name) const {
  const auto alias = aliases_.find(name);
  return alias == aliases_.end() ? name : alias->second;
}

at::Tensor* GraphModule::find_attr(const std::string& name) const {
  const std::string& real = real_name(name);
  if (!attrs_.count(real)) return nullptr;
  auto [folder, leaf] = const_cast<GraphModule*>(this)->walk(real);
  return folder->find_tensor(leaf);
}

void GraphModule::set_attr(const std::string& name, const at::Tensor& value, AttrKind kind) {
  const std::string real = real_name(name);
  if (!value.defined()) throw Error(name, "is given an undefined tensor");
  auto [folder, leaf] = walk(real);
  folder->put_tensor(leaf, value, kind == AttrKind::kParameter);
  if (!attrs_.count(real)) attr_order_.push_back(real);
  attrs_[real] = kind;
  graph_->touch();
}

void GraphModule::tie_attr(const std::string& alias, const std::string& name) {
  if (attrs_.count(alias)) throw Error(alias, "is a tensor already and cannot become another name of '" + name + "'");
  if (const auto further = aliases_.find(name); further != aliases_.end()) return tie_attr(alias, further->second);
  if (!attrs_.count(name)) throw Error(alias, "is tied to '" + name + "', which does not exist");
  std::string& tied = aliases_[alias];
  if (tied != name) {
    drop_other_name(tied, alias);
    tied = name;
    other_names_.emplace(name, alias);
  }
  graph_->touch();
}

bool GraphModule::has_attr(const std::string& name) const { return find_attr(name) != nullptr; }

at::Tensor GraphModule::attr(const std::string& name) const {
  const at::Tensor* found = find_attr(name);
  if (found == nullptr) throw Error(name, "the module has no such parameter, buffer or constant");
  return *found;
}

AttrKind GraphModule::attr_kind(const std::string& name) const {
  const auto found = attrs_.find(real_name(name));
  if (found == attrs_.end()) throw Error(name, "the module has no such parameter, buffer or constant");
  return found->second;
}

std::vector<std::string> GraphModule::attr_names() const { return attr_order_; }

void GraphModule::drop_other_name(const std::string& name, const std::string& alias) {
  const auto [first, last] = other_names_.equal_range(name);
  const auto found = std::find_if(first, last, [&](const auto& entry) { return entry.second == alias; });
  if (found != last) other_names_.erase(found);
}

void GraphModule::erase_attr(const std::string& name) {
  if (const auto alias = aliases_.find(name); alias != aliases_.end()) {
    drop_other_name(alias->second, name);
    aliases_.erase(alias);
    taken_suffixes_.clear();
    return graph_->touch();
  }
  if (!attrs_.count(name)) throw Error(name, "cannot be erased: there is no such tensor");
  erase_attrs({name});
}

void GraphModule::erase_attrs(const std::unordered_set<std::string>& names) {
  if (names.empty()) return;
  std::map<AttrTree*, std::unordered_set<std::string>> leaves;
  for (const std::string& name : names) {
    const auto [folder, leaf] = walk(name);
    leaves[folder].insert(leaf);
    const auto [first, last] = other_names_.equal_range(name);
    for (auto other = first; other != last; ++other) aliases_.erase(other->second);
    other_names_.erase(first, last);
    attrs_.erase(name);
  }
  for (const auto& [folder, dropped] : leaves) folder->drop_tensors(dropped);
  std::erase_if(attr_order_, [&](const std::string& name) { return names.count(name) > 0; });
  taken_suffixes_.clear();
  graph_->touch();
}

void GraphModule::erase_callables(const std::unordered_set<std::string>& names) {
  if (names.empty()) return;
  std::map<AttrTree*, std::unordered_set<std::string>> leaves;
  for (const std::string& name : names) {
    const auto [folder, leaf] = walk(name);
    leaves[folder].insert(leaf);
    callables_.erase(name);
  }
  for (const auto& [folder, dropped] : leaves) folder->drop_children(dropped);
  taken_suffixes_.clear();
  graph_->touch();
}

size_t GraphModule::reader_count(const std::string& name, size_t enough) const {
  const std::string& real = real_name(name);
  std::vector<std::string> names = {real};
  const auto [first, last] = other_names_.equal_range(real);
  for (auto other = first; other != last; ++other) names.push_back(other->second);
  size_t readers = 0;
  for (const std::string& each : names) {
    for (const Node* node : graph_->reads_of(each)) {
      readers += node->user_count();
      if (readers >= enough) return enough;
    }
  }
  return readers;
}

void GraphModule::erase_unused() {
  std::unordered_set<std::string> attrs;
  std::unordered_set<std::string> modules;
  for (const auto& [name, kind] : attrs_) attrs.insert(name);
  for (const auto& [name, module] : callables_) modules.insert(name);
  for (const Node* node : graph_->nodes()) {
    if (node->is_get_attr()) attrs.erase(real_name(node->target()));
    if (node->kind() == NodeKind::kCallModule) modules.erase(node->target());
  }
  erase_attrs(attrs);
  erase_callables(modules);
  prune();
}

std::string GraphModule::free_name(const std::string& base) const {
  const auto taken = [&](const std::string& name) {
    return attrs_.count(name) || aliases_.count(name) || callables_.count(name);
  };
  if (!taken(base)) return base;
  for (int64_t& suffix = taken_suffixes_[base];; ++suffix) {
    std::string name = base + "_" + std::to_string(suffix + 1);
    if (!taken(name)) return name;
  }
}

void GraphModule::set_callable(const std::string& name, std::shared_ptr<CallableModule> module) {
  if (!module) throw Error(name, "is given no module");
  auto [folder, leaf] = walk(name);
  folder->put_child(leaf, module);
  callables_[name] = std::move(module);
  graph_->touch();
}

std::shared_ptr<CallableModule> GraphModule::callable(const std::string& name) const {
  const auto found = callables_.find(name);
  if (found == callables_.end()) throw Error(name, "the module has no such submodule");
  return found->second;
}

std::vector<std::string> GraphModule::callable_names() const {
  std::vector<std::string> names;
  for (const auto& [name, module] : callables_) names.push_back(name);
  return names;
}

void GraphModule::train(bool on) {
  torch::nn::Module::train(on);
  for (Node* node : graph_->nodes()) {
    if (!node->is_call()) continue;
    const char* mode = mode_argument(node->op());
    if (mode == nullptr || !node->arg(mode).is_constant() || node->arg(mode).is_none()) continue;
    // Without running statistics BatchNorm knows only those of the batch, whatever the mode.
    if (node->has_arg("running_mean") && node->arg("running_mean").is_none()) continue;
    if (bool* held = node->notes().find(kHeldModeNote)) {
      *held = on;
    } else if (node->arg(mode).to_bool() != on) {
      node->set_arg(mode, Arg(on));
    }
  }
}

void GraphModule::verify() const {
  graph_->verify();
  for (const Node* node : graph_->nodes()) {
    if (node->kind() == NodeKind::kGetAttr && !has_attr(node->target())) {
      throw Error(node->where(), "reads '" + node->target() + "', which the module does not have",
                  ErrorCategory::kInternal);
    }
    if (node->kind() == NodeKind::kCallModule && !callables_.count(node->target())) {
      throw Error(node->where(), "calls '" + node->target() + "', which the module does not have",
                  ErrorCategory::kInternal);
    }
  }
}

std::shared_ptr<GraphModule> GraphModule::copy() const {
  auto copied = std::make_shared<GraphModule>();
  copied->graph_->copy_from(*graph_);
  for (const std::string& name : attr_order_) copied->set_attr(name, detached_copy(attr(name)), attrs_.at(name));
  copied->aliases_ = aliases_;
  copied->other_names_ = other_names_;
  // Before the submodules come in: they keep modes of their own, as the nodes' flags do.
  copied->torch::nn::Module::train(is_training());
  std::map<const CallableModule*, std::shared_ptr<CallableModule>> copies;  // one observer may have several names
  for (const auto& [name, module] : callables_) {
    auto& twin = copies[module.get()];
    if (!twin) twin = module->copy();
    copied->set_callable(name, twin);
  }
  for (const auto& [original, twin] : copies) {
    twin->relink([&](const CallableModule* module) {
      const auto found = copies.find(module);
      return found == copies.end() ? nullptr : found->second;
    });
  }
  copied->facts_ = facts_;
  return copied;
}

}  // namespace octet

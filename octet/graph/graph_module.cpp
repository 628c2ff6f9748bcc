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

at::Tensor* GraphModule::find_attr(const std::string& name) const {
  const auto alias = aliases_.find(name);
  const std::string& real = alias == aliases_.end() ? name : alias->second;
  if (!attrs_.count(real)) return nullptr;
  auto [folder, leaf] = const_cast<GraphModule*>(this)->walk(real);
  return folder->find_tensor(leaf);
}

void GraphModule::set_attr(const std::string& name, const at::Tensor& value, AttrKind kind) {
  const auto alias = aliases_.find(name);
  const std::string real = alias == aliases_.end() ? name : alias->second;
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
  aliases_[alias] = name;
  graph_->touch();
}

bool GraphModule::has_attr(const std::string& name) const { return find_attr(name) != nullptr; }

at::Tensor GraphModule::attr(const std::string& name) const {
  const at::Tensor* found = find_attr(name);
  if (found == nullptr) throw Error(name, "the module has no such parameter, buffer or constant");
  return *found;
}

AttrKind GraphModule::attr_kind(const std::string& name) const {
  const auto alias = aliases_.find(name);
  const auto found = attrs_.find(alias == aliases_.end() ? name : alias->second);
  if (found == attrs_.end()) throw Error(name, "the module has no such parameter, buffer or constant");
  return found->second;
}

std::vector<std::string> GraphModule::attr_names() const { return attr_order_; }

void GraphModule::erase_attr(const std::string& name) {
  if (aliases_.erase(name)) return graph_->touch();
  if (!attrs_.erase(name)) throw Error(name, "cannot be erased: there is no such tensor");
  auto [folder, leaf] = walk(name);
  folder->drop_tensor(leaf);
  attr_order_.erase(std::find(attr_order_.begin(), attr_order_.end(), name));
  for (auto it = aliases_.begin(); it != aliases_.end();) it = it->second == name ? aliases_.erase(it) : std::next(it);
  graph_->touch();
}

void GraphModule::erase_unused() {
  std::set<std::string> attrs;
  std::set<std::string> modules;
  for (const Node* node : graph_->nodes()) {
    if (node->kind() == NodeKind::kGetAttr) {
      const auto alias = aliases_.find(node->target());
      attrs.insert(alias == aliases_.end() ? node->target() : alias->second);
    }
    if (node->kind() == NodeKind::kCallModule) modules.insert(node->target());
  }
  for (const std::string& name : attr_names()) {
    if (!attrs.count(name)) erase_attr(name);
  }
  for (const std::string& name : callable_names()) {
    if (modules.count(name)) continue;
    auto [folder, leaf] = walk(name);
    folder->drop_child(leaf);
    callables_.erase(name);
  }
  prune();
}

std::string GraphModule::free_name(const std::string& base) const {
  const auto taken = [&](const std::string& name) {
    return attrs_.count(name) || aliases_.count(name) || callables_.count(name);
  };
  if (!taken(base)) return base;
  for (int64_t suffix = 1;; ++suffix) {
    const std::string name = base + "_" + std::to_string(suffix);
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
    const auto held = node->notes().find(kHeldModeNote);
    if (held != node->notes().end()) {
      held->second = on;
    } else if (node->arg(mode).to_bool() != on) {
      node->set_arg(mode, Arg(on));
    }
  }
}

void GraphModule::verify() const {
  graph_->verify();
  for (const Node* node : graph_->nodes()) {
    if (node->kind() == NodeKind::kGetAttr && !has_attr(node->target())) {
      throw Error(node->where(), "reads '" + node->target() + "', which the module does not have");
    }
    if (node->kind() == NodeKind::kCallModule && !callables_.count(node->target())) {
      throw Error(node->where(), "calls '" + node->target() + "', which the module does not have");
    }
  }
}

std::shared_ptr<GraphModule> GraphModule::copy() const {
  auto copied = std::make_shared<GraphModule>();
  copied->graph_->copy_from(*graph_);
  for (const std::string& name : attr_order_) copied->set_attr(name, detached_copy(attr(name)), attrs_.at(name));
  copied->aliases_ = aliases_;
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

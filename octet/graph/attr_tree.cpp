#include "octet/graph/attr_tree.h"

#include <torch/nn/cloneable.h>

#include "octet/support/error.h"

namespace octet {
namespace {
struct AttrTreeAccess;
}
}  // namespace octet

// torch::nn::Module has no way to replace or drop a buffer. It befriends Cloneable, whose specialization for a type of
// ours is therefore allowed to reach its dictionaries.
template <>
class torch::nn::Cloneable<octet::AttrTreeAccess> {
 public:
  static OrderedDict<std::string, at::Tensor>& buffers(Module& module) { return module.buffers_; }
  static OrderedDict<std::string, std::shared_ptr<Module>>& children(Module& module) { return module.children_; }
};

namespace octet {
namespace {
using Access = torch::nn::Cloneable<AttrTreeAccess>;

// An OrderedDict renumbers itself with every erase.
template <typename Dict>
void drop_from(Dict& dict, const std::unordered_set<std::string>& keys) {
  const auto is_dropped = [&](const auto& item) { return keys.count(item.key()) > 0; };
  if (std::none_of(dict.begin(), dict.end(), is_dropped)) return;
  Dict kept(dict.key_description());
  for (const auto& item : dict) {
    if (!is_dropped(item)) kept.insert(item.key(), item.value());
  }
  dict = std::move(kept);
}
}  // namespace

void AttrTree::put_tensor(const std::string& leaf, const at::Tensor& value, bool is_parameter) {
  const bool was_parameter = parameters_.contains(leaf);
  if (was_parameter != is_parameter) drop_tensor(leaf);
  if (Access::children(*this).contains(leaf)) throw Error(leaf, "names both a module and a tensor");
  if (at::Tensor* existing = find_tensor(leaf)) {
    *existing = value;
  } else if (is_parameter) {
    register_parameter(leaf, value, value.requires_grad());
  } else {
    register_buffer(leaf, value);
  }
}

void AttrTree::drop_tensor(const std::string& leaf) {
  if (parameters_.contains(leaf)) parameters_.erase(leaf);
  if (Access::buffers(*this).contains(leaf)) Access::buffers(*this).erase(leaf);
}

void AttrTree::drop_tensors(const std::unordered_set<std::string>& leaves) {
  drop_from(parameters_, leaves);
  drop_from(Access::buffers(*this), leaves);
}

void AttrTree::drop_children(const std::unordered_set<std::string>& leaves) {
  drop_from(Access::children(*this), leaves);
}

at::Tensor* AttrTree::find_tensor(const std::string& leaf) {
  if (at::Tensor* found = parameters_.find(leaf)) return found;
  return Access::buffers(*this).find(leaf);
}

void AttrTree::put_child(const std::string& leaf, std::shared_ptr<torch::nn::Module> module) {
  if (Access::children(*this).contains(leaf)) {
    replace_module(leaf, std::move(module));
  } else {
    register_module(leaf, std::move(module));
  }
}

std::pair<AttrTree*, std::string> AttrTree::walk(const std::string& dotted) {
  constexpr std::ptrdiff_t kMaxDepth = 64;  // torch walks modules by recursion
  if (std::count(dotted.begin(), dotted.end(), '.') > kMaxDepth) {
    throw Error(dotted, str("lies in more than ", kMaxDepth, " modules"));
  }
  AttrTree* folder = this;
  size_t start = 0;
  for (size_t dot = dotted.find('.'); dot != std::string::npos; dot = dotted.find('.', start)) {
    const std::string part = dotted.substr(start, dot - start);
    if (part.empty()) break;
    if (!Access::children(*folder).contains(part)) folder->register_module(part, std::make_shared<AttrTree>());
    auto* next = dynamic_cast<AttrTree*>(Access::children(*folder).find(part)->get());
    if (next == nullptr) throw Error(dotted, str("'", part, "' is a callable module and cannot hold tensors"));
    folder = next;
    start = dot + 1;
  }
  std::string leaf = dotted.substr(start);
  if (leaf.empty() || leaf.find('.') != std::string::npos) throw Error(dotted, "is no dotted name of an attribute");
  return {folder, std::move(leaf)};
}

bool AttrTree::empty() const {
  auto& self = const_cast<AttrTree&>(*this);
  return parameters_.is_empty() && Access::buffers(self).is_empty() && Access::children(self).is_empty();
}

void AttrTree::prune() {
  std::unordered_set<std::string> empty_children;
  for (const auto& child : Access::children(*this)) {
    auto* tree = dynamic_cast<AttrTree*>(child.value().get());
    if (tree == nullptr) continue;
    tree->prune();
    if (tree->empty()) empty_children.insert(child.key());
  }
  drop_children(empty_children);
}

}  // namespace octet

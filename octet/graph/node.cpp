#include "octet/graph/node.h"

#include <algorithm>
#include <sstream>
#include <unordered_set>

#include "octet/graph/graph.h"
#include "octet/support/error.h"

namespace octet {

int64_t TensorMeta::numel() const {
  int64_t count = 1;
  for (const int64_t size : sizes) count *= size;
  return count;
}

namespace {

// Python's names of the types.
const char* dtype_text(at::ScalarType dtype) {
  switch (dtype) {
    case at::kFloat:
      return "float32";
    case at::kDouble:
      return "float64";
    case at::kHalf:
      return "float16";
    case at::kBFloat16:
      return "bfloat16";
    case at::kLong:
      return "int64";
    case at::kInt:
      return "int32";
    case at::kShort:
      return "int16";
    case at::kChar:
      return "int8";
    case at::kByte:
      return "uint8";
    case at::kBool:
      return "bool";
    default:
      return c10::toString(dtype);
  }
}

}  // namespace

std::string TensorMeta::text() const {
  std::ostringstream out;
  out << dtype_text(dtype) << '[';
  for (size_t i = 0; i < sizes.size(); ++i) out << (i > 0 ? ", " : "") << sizes[i];
  out << ']';
  return out.str();
}

const Arg& Node::arg(size_t index) const {
  if (index >= args_.size())
    throw expected(where(), "argument index", str("below ", args_.size()), std::to_string(index));
  return args_[index];
}

const Arg& Node::arg(std::string_view name) const {
  const int index = op_ ? op_->argument_index(name) : -1;
  if (index < 0) throw Error(where(), str("has no argument '", name, "'"));
  return args_[static_cast<size_t>(index)];
}

bool Node::has_arg(std::string_view name) const { return op_ && op_->argument_index(name) >= 0; }

void Node::set_arg(size_t index, Arg value) {
  if (index >= args_.size())
    throw expected(where(), "argument index", str("below ", args_.size()), std::to_string(index));
  if (op_) value = bind_argument(*op_, index, value, where());
  remove_uses(index);
  args_[index] = std::move(value);
  add_uses(index);
  graph_->touch();
}

void Node::set_arg(std::string_view name, Arg value) {
  const int index = op_ ? op_->argument_index(name) : -1;
  if (index < 0) throw Error(where(), str("has no argument '", name, "'"));
  set_arg(static_cast<size_t>(index), std::move(value));
}

void Node::set_target(const std::string& target) {
  if (kind_ != NodeKind::kGetAttr && kind_ != NodeKind::kCallModule) {
    throw Error(where(), "only attribute reads and module calls can be pointed elsewhere");
  }
  if (is_get_attr()) graph_->forget_read(this);
  target_ = target;
  if (is_get_attr()) graph_->remember_read(this);
  graph_->touch();
}

void Node::for_each_use(size_t index, const std::function<void(Node*, const Use&)>& visit) const {
  const Arg& arg = args_[index];
  const auto visit_at = [&](const Arg& part, size_t element) {
    const Use use{static_cast<uint32_t>(index), static_cast<uint32_t>(element)};
    part.for_each_node([&](Node* node) { visit(node, use); });
  };
  if (!arg.is_list()) return visit_at(arg, 0);
  for (size_t element = 0; element < arg.list().size(); ++element) visit_at(arg.list()[element], element);
}

void Node::add_uses(size_t index) {
  for_each_use(index, [this](Node* node, const Use& use) { node->users_[this].push_back(use); });
}

void Node::add_uses() {
  for (size_t i = 0; i < args_.size(); ++i) add_uses(i);
}

void Node::remove_uses(size_t index) {
  for_each_use(index, [this](Node* node, const Use& use) {
    const auto found = node->users_.find(this);
    if (found == node->users_.end()) return;  // its uses in this argument went together
    Uses& uses = found->second;
    uses.erase(std::remove_if(uses.begin(), uses.end(), [&](const Use& each) { return each.arg == use.arg; }),
               uses.end());
    if (uses.empty()) node->users_.erase(found);
  });
}

void Node::remove_uses() {
  for (size_t i = 0; i < args_.size(); ++i) remove_uses(i);
}

size_t Node::use_count() const {
  size_t count = 0;
  for (const auto& [user, uses] : users_) count += uses.size();
  return count;
}

std::vector<Node*> Node::inputs() const {
  constexpr size_t kFew = 16;
  std::vector<Node*> found;
  std::unordered_set<const Node*> seen;  // filled once there are more than a few
  for (const Arg& arg : args_) {
    arg.for_each_node([&](Node* node) {
      if (found.size() < kFew) {
        if (std::find(found.begin(), found.end(), node) == found.end()) found.push_back(node);
        return;
      }
      if (seen.empty()) seen.insert(found.begin(), found.end());
      if (seen.insert(node).second) found.push_back(node);
    });
  }
  return found;
}

std::vector<Node*> Node::users() const {
  std::vector<Node*> found;
  found.reserve(users_.size());
  for (const auto& [node, count] : users_) found.push_back(node);
  return found;
}

void Node::replace_all_uses_with(Node* replacement, const std::function<bool(Node*)>& keep) {
  for (Node* user : users()) {
    if (user != replacement && !(keep && keep(user))) user->replace_input(this, replacement);
  }
}

void Node::replace_input(Node* from, Node* to) {
  if (from == to) return;
  const auto moved = from->users_.extract(this);
  if (moved.empty()) return;
  Uses& uses = to->users_[this];
  for (const Use& use : moved.mapped()) {
    args_[use.arg].replace_node(from, to, use.element);
    uses.push_back(use);
  }
  graph_->touch();
}

const std::vector<int64_t>& Node::sizes() const {
  if (!meta_) throw Error(where(), "the shape is not known here").hint("run propagate_shapes on the module first");
  return meta_->sizes;
}

std::string Node::where() const {
  const std::string what = op_ ? std::string(op_->short_name()) : (kind_ == NodeKind::kPlaceholder ? "input" : "node");
  const std::string* path = notes_.find(kModulePathNote);
  return what + " '" + (path != nullptr && !path->empty() ? *path : name_) + "'";
}

}  // namespace octet

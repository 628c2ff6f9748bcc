#pragma once

#include <c10/util/SmallVector.h>

#include <compare>
#include <list>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "octet/graph/arg.h"
#include "octet/graph/notes.h"
#include "octet/graph/op.h"
#include "octet/support/api.h"

namespace octet {

class Graph;

/// Note: the dotted name of the module that a step was written in, as files and recordings know it.
inline const NoteKey<std::string> kModulePathNote("module_path");

enum class NodeKind {
  kPlaceholder,  ///< an input of the program
  kGetAttr,      ///< a parameter, buffer or constant of the module; target is its dotted name
  kCall,         ///< a dispatcher op
  kGetItem,      ///< element `args[1]` of the tuple or list that node `args[0]` gives
  kCallModule,   ///< a submodule that is a CallableModule: observers, fake quantizers; target is its dotted name
  kOutput,       ///< args[0] is the list of the program's results
};

/// Shape and type of one tensor value, at the batch of the example inputs.
struct OCTET_API TensorMeta {
  at::ScalarType dtype = at::kFloat;
  std::vector<int64_t> sizes;

  int64_t rank() const { return static_cast<int64_t>(sizes.size()); }
  int64_t numel() const;
  bool operator==(const TensorMeta&) const = default;
  std::string text() const;  ///< "float32[1, 3, 32, 32]"
};

/// Orders nodes of one graph as they stand in it.
struct OCTET_API InGraphOrder {
  bool operator()(const Node* a, const Node* b) const;
};

/// A step of the program. Owned by its Graph; pointers stay valid until it is erased.
class OCTET_API Node {
 public:
  NodeKind kind() const { return kind_; }
  /// Unique in the graph, never used again after the node is erased, and the same in a copy of the graph.
  int64_t id() const { return id_; }
  /// Unique in the graph: "conv2d", "conv2d_1".
  const std::string& name() const { return name_; }
  Graph& graph() const { return *graph_; }
  /// kPlaceholder: the input's name; kGetAttr and kCallModule: dotted name; kCall: the op's text; else empty.
  const std::string& target() const { return target_; }

  /// The op; only for kCall.
  const Op& op() const { return *op_; }
  /// True for a call of exactly this op: `is_call("aten.relu.default")`.
  bool is_call(OpName name) const { return is_call() && op_->name() == name; }
  bool is_call() const { return kind_ == NodeKind::kCall; }
  /// True for a call of an op that is this: `is(Trait::kBatchNorm)`.
  bool is(Trait trait) const { return is_call() && op_->is(trait); }
  bool is_get_attr() const { return kind_ == NodeKind::kGetAttr; }

  /// Calls hold one argument per schema argument, defaults filled in.
  const std::vector<Arg>& args() const { return args_; }
  const Arg& arg(size_t index) const;
  /// By schema name; throws octet::Error where the op has no such argument.
  const Arg& arg(std::string_view name) const;
  bool has_arg(std::string_view name) const;
  /// Sets and checks one argument against the schema.
  void set_arg(size_t index, Arg value);
  void set_arg(std::string_view name, Arg value);
  /// Renames the attribute or submodule that a kGetAttr or kCallModule node reads.
  void set_target(const std::string& target);

  /// The nodes it reads, each once, in argument order.
  std::vector<Node*> inputs() const;
  /// The nodes that read it, each once, in graph order: a snapshot, so that readers may be changed while it is walked.
  std::vector<Node*> users() const;
  size_t user_count() const { return users_.size(); }
  /// How often it is read, every place counted: `add(x, x)` reads x twice.
  size_t use_count() const;

  /// Every reader of this node reads `replacement` instead, but those for which `keep(user)` holds.
  void replace_all_uses_with(Node* replacement, const std::function<bool(Node*)>& keep = nullptr);
  /// In this node's arguments, `from` becomes `to`.
  void replace_input(Node* from, Node* to);

  /// Shape and type of the value; nullopt where not known, or where the value is not a single tensor.
  const std::optional<TensorMeta>& meta() const { return meta_; }
  void set_meta(std::optional<TensorMeta> meta) { meta_ = std::move(meta); }
  /// Meta of each element for nodes that give a tuple or a list of tensors.
  const std::vector<TensorMeta>& element_metas() const { return element_metas_; }
  void set_element_metas(std::vector<TensorMeta> metas) { element_metas_ = std::move(metas); }
  /// Sizes of the value; throws octet::Error naming the node where they are unknown.
  const std::vector<int64_t>& sizes() const;

  /// Typed notes, for the rooms above. Copied with the graph; what they name of it becomes the copy's.
  Notes& notes() { return notes_; }
  const Notes& notes() const { return notes_; }

  /// "conv2d 'features_0_0'": how errors name it. The dotted name of its weight's module where it has one.
  std::string where() const;

 private:
  friend class Graph;
  friend struct InGraphOrder;
  Node() = default;

  // Where a reader holds what it reads, so that one of thousands of results is replaced without a look at the others.
  struct Use {
    uint32_t arg = 0;
    uint32_t element = 0;  // of an argument that is a list; what lies deeper counts as the list's own element
    auto operator<=>(const Use&) const = default;
  };
  using Uses = c10::SmallVector<Use, 1>;

  void for_each_use(size_t index, const std::function<void(Node*, const Use&)>& visit) const;
  void add_uses(size_t index);
  void add_uses();
  void remove_uses(size_t index);
  void remove_uses();

  NodeKind kind_ = NodeKind::kCall;
  int64_t id_ = -1;
  std::string name_;
  std::string target_;
  std::optional<Op> op_;
  std::vector<Arg> args_;
  std::map<Node*, Uses, InGraphOrder> users_;  // the places at which each reads this node
  std::optional<TensorMeta> meta_;
  std::vector<TensorMeta> element_metas_;
  Notes notes_;
  Graph* graph_ = nullptr;
  std::list<std::unique_ptr<Node>>::iterator position_;
  uint64_t label_ = 0;  // ascends along the list; kept by the graph
};

inline bool InGraphOrder::operator()(const Node* a, const Node* b) const { return a->label_ < b->label_; }

}  // namespace octet

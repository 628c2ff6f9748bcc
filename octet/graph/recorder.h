#pragma once
// Internal to octet/graph: what octet::record writes with.

#include "octet/graph/record.h"

namespace octet {

/// Listens to the dispatcher on this thread while `run` lasts and writes nodes into a GraphModule.
///
/// Tensors are known by their TensorImpl, and kept alive so that no address comes twice; what has no known impl is
/// looked up by storage and geometry (`data()` makes such tensors, and so do the factories of torch::).
class Recorder {
 public:
  explicit Recorder(GraphModule& module) : module_(module) {}

  /// Makes a parameter or buffer known; a tensor that has a name already becomes tied.
  void name(const NamedTensor& tensor);
  /// A placeholder, and the copy of the sample that stands for it.
  at::Tensor input(const std::string& name, const at::Tensor& sample);
  /// Runs `forward` and records. The thread's dispatch keys are restored however it ends.
  Tensors run(const ForwardFunction& forward, const Tensors& inputs);
  /// The output node.
  void finish(const Tensors& results);

  /// For the dispatcher's fallback: runs `op` on the stack and writes it down.
  void dispatched(const c10::OperatorHandle& op, c10::Stack* stack);
  /// The recorder that listens on this thread, or nullptr.
  static Recorder*& current();

 private:
  struct Fresh {
    Op op;
    std::vector<Arg> args;
    at::Tensor tensor;
    bool touched;
  };

  Arg to_arg(const c10::IValue& value);
  Arg tensor_arg(const at::Tensor& tensor);
  Node* attr_node(const std::string& name, const at::Tensor& tensor);
  Node* view_of(Node* base, const at::Tensor& view);
  bool is_recorded(const at::Tensor& tensor) const;
  Node* constant(const at::Tensor& tensor);
  void bind(const at::Tensor& tensor, Node* node);
  void bind_result(c10::IValue& value, Node* node, bool mutates);
  void materialize(const at::Tensor& written);
  Node* write(const Op& op, std::vector<Arg> args);
  bool varies(const c10::IValue& value) const;
  void mark_varying(const c10::IValue& value);
  void refuse_data_dependence(const Op& op, const std::vector<c10::IValue>& args);

  GraphModule& module_;
  std::unordered_map<const c10::TensorImpl*, Node*> nodes_;
  std::unordered_map<const c10::StorageImpl*, std::vector<at::Tensor>> by_storage_;  // of recorded values
  std::unordered_map<const c10::TensorImpl*, std::string> names_;
  std::unordered_map<const c10::StorageImpl*, std::vector<std::pair<at::Tensor, std::string>>> named_storage_;
  std::unordered_map<std::string, Node*> attr_nodes_;
  std::unordered_map<const c10::StorageImpl*, Fresh> fresh_;  // made empty, and no part of the program yet
  std::unordered_set<const c10::StorageImpl*> varying_;       // values that depend on inputs, parameters or chance
  std::vector<at::Tensor> alive_;
  int64_t next_constant_ = 0;
  std::optional<Error> failure_;
};

}  // namespace octet

#pragma once

#include <memory>
#include <string>
#include <vector>

#include "octet/graph/graph_module.h"

namespace octet::test {

/// Writes small float graphs, a line a node, and gives every node its shape.
class GraphBuilder {
 public:
  Node* input(const std::vector<int64_t>& sizes) {
    inputs_.push_back(at::randn(sizes));
    return module_->graph().placeholder(octet_name("x", inputs_.size()));
  }
  /// A parameter of normal random numbers.
  Node* parameter(const std::string& name, const std::vector<int64_t>& sizes) {
    return tensor(name, (at::randn(sizes) * 0.3).set_requires_grad(true), AttrKind::kParameter);
  }
  Node* tensor(const std::string& name, const at::Tensor& value, AttrKind kind = AttrKind::kBuffer) {
    module_->set_attr(name, value, kind);
    return module_->graph().get_attr(name);
  }
  Node* call(const std::string& op, std::vector<Arg> args, NamedArgs named = {}) {
    return module_->graph().call(op, std::move(args), std::move(named));
  }
  Node* item(Node* tuple, int64_t index) { return module_->graph().get_item(tuple, index); }
  /// batch_norm in eval mode over `channels`, with parameters named under `name`.
  Node* batch_norm(const std::string& name, Node* x, int64_t channels) {
    Node* mean = tensor(name + ".running_mean", at::randn({channels}) * 0.1);
    Node* var = tensor(name + ".running_var", at::rand({channels}) + 0.5);
    return call("aten.batch_norm.default", {x, parameter(name + ".weight", {channels}),
                                            parameter(name + ".bias", {channels}), mean, var, false, 0.1, 1e-3, false});
  }
  Node* conv2d(const std::string& name, Node* x, int64_t in, int64_t out, int64_t groups = 1) {
    return call("aten.conv2d.default",
                {x, parameter(name + ".weight", {out, in / groups, 3, 3}), parameter(name + ".bias", {out}),
                 std::vector<int64_t>{1, 1}, std::vector<int64_t>{1, 1}, std::vector<int64_t>{1, 1}, groups});
  }
  Node* linear(const std::string& name, Node* x, int64_t in, int64_t out) {
    return call("aten.linear.default", {x, parameter(name + ".weight", {out, in}), parameter(name + ".bias", {out})});
  }

  /// Ends the graph. Shapes are known from here on.
  std::shared_ptr<GraphModule> finish(std::vector<Arg> results) {
    module_->graph().output(std::move(results));
    propagate_shapes(*module_, inputs_);
    return module_;
  }
  const std::vector<at::Tensor>& inputs() const { return inputs_; }

 private:
  static std::string octet_name(const char* base, size_t number) { return base + std::to_string(number); }

  std::shared_ptr<GraphModule> module_ = std::make_shared<GraphModule>();
  std::vector<at::Tensor> inputs_;
};

/// The ops of all calls in graph order, without namespace: "conv2d.default relu.default".
inline std::string ops_of(const GraphModule& module) {
  std::string ops;
  for (const Node* node : module.graph().nodes()) {
    if (node->is_call()) ops += (ops.empty() ? "" : " ") + node->target().substr(node->target().find('.') + 1);
  }
  return ops;
}

}  // namespace octet::test

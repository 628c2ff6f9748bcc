#pragma once

#include <torch/nn/module.h>

#include <functional>
#include <memory>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "octet/graph/attr_tree.h"
#include "octet/graph/callable_module.h"
#include "octet/graph/graph.h"
#include "octet/support/api.h"

namespace octet {

/// Note on a node whose mode flag train() leaves alone: the mode it goes back to once the note is gone.
inline const NoteKey<bool> kHeldModeNote("held_mode");

enum class AttrKind { kParameter, kBuffer, kConstant };

/// A Graph together with the tensors and submodules that it names. A torch::nn::Module: `parameters()`, `to(device)`,
/// `apply(disable_observer)`, `named_buffers()` and torch optimizers work on it, under the exporter's dotted names.
class OCTET_API GraphModule : public AttrTree {
 public:
  GraphModule();

  Graph& graph() { return *graph_; }
  const Graph& graph() const { return *graph_; }

  /// Runs the program, with autograd. Throws octet::Error naming the input or the node that fails.
  std::vector<at::Tensor> run(const std::vector<at::Tensor>& inputs);
  /// For programs with one result.
  at::Tensor forward(const at::Tensor& input);
  at::Tensor operator()(const at::Tensor& input) { return forward(input); }

  /// Called after each node with its value, for recorders and shape propagation.
  using Observer = std::function<void(const Node&, const c10::IValue&)>;
  std::vector<at::Tensor> run_observed(const std::vector<at::Tensor>& inputs, const Observer& observer);

  // Tensors by dotted name. Names of tied tensors are aliases of one tensor.
  /// Adds or replaces; missing parent modules are made.
  void set_attr(const std::string& name, const at::Tensor& value, AttrKind kind);
  /// `alias` reads and writes the tensor `name`: tied weights.
  void tie_attr(const std::string& alias, const std::string& name);
  bool has_attr(const std::string& name) const;
  /// Throws octet::Error where there is none.
  at::Tensor attr(const std::string& name) const;
  AttrKind attr_kind(const std::string& name) const;
  /// All names in order of insertion, aliases left out.
  std::vector<std::string> attr_names() const;
  /// alias -> name
  const std::map<std::string, std::string>& aliases() const { return aliases_; }
  void erase_attr(const std::string& name);
  /// How many readers the tensor has, under all its names and through all kGetAttr nodes; counts no further than
  /// `enough`.
  size_t reader_count(const std::string& name, size_t enough = SIZE_MAX) const;
  /// Drops attributes and submodules that no node names.
  void erase_unused();
  /// `base`, or `base_1`, ... whichever is free.
  std::string free_name(const std::string& base) const;

  // Submodules that kCallModule nodes call.
  void set_callable(const std::string& name, std::shared_ptr<CallableModule> module);
  std::shared_ptr<CallableModule> callable(const std::string& name) const;
  std::vector<std::string> callable_names() const;

  /// Train or eval mode: flips the flag of dropout and batch_norm nodes (`training`, `train`), and of submodules. Every
  /// other argument keeps its value, p and eps and momentum with it.
  void train(bool on = true) override;

  /// Graph::verify, and that every attribute and submodule that a node names is there.
  void verify() const;

  /// A deep copy: graph, tensors, submodules, notes.
  std::shared_ptr<GraphModule> copy() const;

  /// Free text facts about where the model came from ("source", "torch_version", "dialect").
  std::map<std::string, std::string>& facts() { return facts_; }
  const std::map<std::string, std::string>& facts() const { return facts_; }

 private:
  struct Plan;
  const Plan& plan();
  std::vector<c10::IValue> execute(const std::vector<at::Tensor>& inputs, const Observer* observer);

  std::unique_ptr<Graph> graph_;
  at::Tensor* find_attr(const std::string& name) const;
  const std::string& real_name(const std::string& name) const;
  void drop_other_name(const std::string& name, const std::string& alias);
  void erase_attrs(const std::unordered_set<std::string>& names);
  void erase_callables(const std::unordered_set<std::string>& names);

  std::map<std::string, AttrKind> attrs_;
  std::vector<std::string> attr_order_;
  std::map<std::string, std::string> aliases_;
  std::unordered_multimap<std::string, std::string> other_names_;    // name -> alias
  mutable std::unordered_map<std::string, int64_t> taken_suffixes_;  // of free_name; forgotten when a name goes
  std::map<std::string, std::shared_ptr<CallableModule>> callables_;
  std::map<std::string, std::string> facts_;
  std::shared_ptr<Plan> plan_;
};

/// Runs once on these inputs, without side effects on buffers, and writes every node's meta.
OCTET_API void propagate_shapes(GraphModule& module, const std::vector<at::Tensor>& inputs);
/// The same on zeros of the placeholders' recorded sizes.
OCTET_API void propagate_shapes(GraphModule& module);
/// Zeros of the placeholders' recorded sizes and types, dimension 0 of each replaced by `batch` where it is not 0.
OCTET_API std::vector<at::Tensor> example_inputs(const GraphModule& module, int64_t batch = 0);

}  // namespace octet

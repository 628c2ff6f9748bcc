#pragma once

#include <ATen/core/Tensor.h>

#include <memory>
#include <optional>
#include <vector>

#include "octet/graph/arg.h"
#include "octet/support/api.h"

namespace octet {

class GraphModule;
class Node;

/// Several neighbouring steps of a program that one call can compute. The graph keeps them: printing, converting,
/// saving, observing each value see the steps; only GraphModule::run takes the call.
class FusedSteps {
 public:
  virtual ~FusedSteps() = default;
  /// The value of the last step, and all that the steps do besides (running statistics, ranges), with autograd; or
  /// nullopt, and nothing done, where this time the steps have to run one by one.
  virtual std::optional<at::Tensor> run(const std::vector<at::Tensor>& inputs) = 0;
};

/// Where such a call stands.
struct FusedGroup {
  std::vector<const Node*> nodes;  ///< in the order of the graph; nothing but the last is read from outside
  std::vector<Arg> inputs;         ///< tensors or None; they are there before the first of the nodes
  std::shared_ptr<FusedSteps> steps;
};

/// A submodule that knows how to compute what stands in front of it along with itself.
class FusesSteps {
 public:
  virtual ~FusesSteps() = default;
  /// The group that ends in `node`, which calls this submodule; nullopt where there is none. GraphModule leaves it
  /// where other steps that compute stand between its nodes.
  virtual std::optional<FusedGroup> fuse(const GraphModule& module, const Node& node) = 0;
};

/// True unless switched off for this process: groups of steps run as one call where there is one. On by default.
OCTET_API bool fuses_steps();
OCTET_API void set_fuses_steps(bool on);

}  // namespace octet

#pragma once

#include <memory>
#include <string>
#include <vector>

#include "octet/graph/graph_module.h"
#include "octet/integer/executor.h"
#include "octet/support/api.h"

namespace octet {

/// A prepared model in training whose frozen begin (frozen_prefix.h) runs in the device's own integers: converted,
/// lowered, executed, and the values at its end dequantized for the rest, which is trained. What the rest sees differs
/// from what the fake quantizers give by a level where the float arithmetic comes out on the other side of the middle
/// between two levels; it is what the device will compute.
///
/// It holds of the model as it was when this was made: the prefix is a copy. The rest shares the model's parameters,
/// statistics and fake quantizers, so that training it trains the model. Made anew when anything freezes or thaws.
class OCTET_API IntegerPrefix {
 public:
  /// What came of it: the prefix, or why all steps run as they do.
  struct Found;
  /// Without a prefix where nothing is frozen whole, where an operator of it has no integer form or stays in float, and
  /// where a value's layout cannot be told.
  static Found find(const GraphModule& prepared);

  /// The model's results, with autograd through the rest. Inputs as the model takes them; none may ask for a gradient.
  std::vector<at::Tensor> run(const std::vector<at::Tensor>& inputs);
  /// What the rest is given of the prefix: its values at frozen_boundary(), dequantized, laid out as the inputs are.
  std::vector<at::Tensor> ends(const std::vector<at::Tensor>& inputs) const;

  /// Convolutions and linears that run in integers.
  int64_t layers() const { return layers_; }

 private:
  IntegerPrefix() = default;

  std::shared_ptr<integer::Executor> executor_;
  // Of each value at the program's edge: true where the program has its channels last and the model second.
  std::vector<bool> turned_inputs_, turned_outputs_;
  std::vector<size_t> prefix_inputs_;  // of the model's inputs, those that the prefix reads
  std::vector<size_t> rest_inputs_;    // and those that the rest reads besides
  std::shared_ptr<GraphModule> rest_;
  int64_t layers_ = 0;
};

struct IntegerPrefix::Found {
  std::shared_ptr<IntegerPrefix> prefix;
  std::string declined;
};

}  // namespace octet

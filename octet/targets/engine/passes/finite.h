#pragma once

#include <cstdint>
#include <unordered_map>

#include "octet/graph/graph_module.h"

namespace octet::targets {

/// What of a graph's values is a number for finite inputs. Each node is looked at once, as it stands when it is first
/// asked about: a pass asks in the graph's order, so that all before is done.
class Finiteness {
 public:
  enum class Looks {
    kToTheLast,    ///< as far as to what bounds its result where its inputs are finite: a sigmoid, a product of weights
    kToTheInputs,  ///< at everything before: a guard stands against the very case that those take for granted
  };
  explicit Finiteness(const GraphModule& module, Looks looks = Looks::kToTheLast) : module_(module), looks_(looks) {}

  /// True where a value may be infinite or no number for finite inputs (a quotient, a logarithm, what was hidden by
  /// -inf): times 0 that is none, and a mask in front of a softmax adds to it.
  bool may_be_infinite(const Node* value);

 private:
  const GraphModule& module_;
  Looks looks_;
  std::unordered_map<int64_t, bool> known_;  // by a node's id
};

}  // namespace octet::targets

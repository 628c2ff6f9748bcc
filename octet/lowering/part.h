#pragma once

#include <memory>
#include <string>
#include <vector>

#include "octet/graph/graph_module.h"
#include "octet/lowering/lowering.h"
#include "octet/support/api.h"

namespace octet {

/// Where a part of a program begins and ends. Nodes by their names, by those of the float model's nodes that they stand
/// for, or by the module paths that messages name.
struct Cut {
  std::vector<std::string> from;  ///< what they give is an input of the part
  std::vector<std::string> to;    ///< what they give is a result; empty: the program's results
};

/// A copy that computes `to` from `from`, with the grids of the program where it has some, in the order that they are
/// named. Inputs of the program that it reads beside stay inputs. Throws octet::Error for a name that no node has or
/// several have, for a node that gives no single tensor, and for `from` that no result needs.
OCTET_API std::shared_ptr<GraphModule> part_of(const GraphModule& module, const Cut& cut);

/// The largest part from the inputs on that a .tflite can hold.
struct Prefix {
  std::shared_ptr<GraphModule> part;
  std::vector<std::string> results;  ///< the nodes that it ends with
  std::vector<std::string> refused;  ///< why each of the operators behind it that TFLite has no form for is left out
};
/// Throws octet::Error where nothing but inputs is left.
OCTET_API Prefix largest_prefix(const GraphModule& converted, const LoweringOptions& options);

}  // namespace octet

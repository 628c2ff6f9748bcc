#pragma once

#include <map>
#include <string>
#include <vector>

#include "octet/graph/graph_module.h"
#include "octet/support/api.h"

namespace octet {

/// Multiply-accumulates of a convolution, linear or matrix product for the shapes in the metas; 0 for every other node
/// and where a shape is unknown. Convolution: elements of the output times input channels of a group times the kernel's
/// volume.
OCTET_API int64_t macs(const GraphModule& module, const Node& node);

/// The multiply-accumulates of an operator whose value has its meta.
using MacsRule = int64_t (*)(const GraphModule& module, const Node& node);

/// The rules that rows of the table of operators name (rule.cpp).
namespace lowering::macs_of {

OCTET_API int64_t convolution(const GraphModule& module, const Node& node);
OCTET_API int64_t transposed_convolution(const GraphModule& module, const Node& node);
OCTET_API int64_t either_convolution(const GraphModule& module,
                                     const Node& node);                        ///< as its argument `transposed` says
OCTET_API int64_t product(const GraphModule& module, const Node& node);        ///< of arguments 0 and 1
OCTET_API int64_t added_product(const GraphModule& module, const Node& node);  ///< of arguments 1 and 2

}  // namespace lowering::macs_of

struct NodeStats {
  std::string name;   ///< of the node
  std::string op;     ///< "aten.conv2d.default"; the submodule's dotted name for module calls
  std::string shape;  ///< "float32[1, 8, 16, 16]" or empty
  int64_t macs = 0;
  int64_t parameters = 0;  ///< elements of the parameters that it reads
};

struct ModelStats {
  std::vector<NodeStats> nodes;              ///< calls and module calls, in graph order
  std::map<std::string, int64_t> op_counts;  ///< op text -> calls
  int64_t parameters = 0;                    ///< elements of all parameters, tied ones once
  int64_t parameter_bytes = 0;
  int64_t buffer_bytes = 0;  ///< buffers and constants
  int64_t macs = 0;          ///< at the example batch
};

/// What `octet inspect` prints of a model.
OCTET_API ModelStats model_stats(const GraphModule& module);

}  // namespace octet

#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "octet/graph/graph_module.h"
#include "octet/support/api.h"
#include "octet/support/byte_source.h"

namespace octet {

struct OnnxOptions {
  /// One list of sizes an input, for what the file leaves open beside the batch; empty takes the file's.
  std::vector<std::vector<int64_t>> input_sizes = {};
};

/// True where the bytes begin as an ONNX model does: a version, and then fields that such a file has, to its end.
OCTET_API bool is_onnx(const ByteSource& source);

/// Reads an `.onnx` file, opset 13 to 21: float networks, and networks quantized with QuantizeLinear and
/// DequantizeLinear (QDQ), which come out as a converted program has it, with quantized_decomposed's operators.
///
/// Each node becomes what torch.export writes for the same layer, where ATen has it exactly (docs/onnx.md has the
/// list); what it has not is refused with the node, the reason and a way out. Values that follow from shapes and
/// constants alone are computed. A batch that is left open is taken as 1. Initializers keep their names, with "_" for
/// what no Python name holds; those of floats are parameters. To know every shape the program runs once, on zeros.
/// Weights beside the model (external data) are read from its own folder, by plain name. Facts: "source", "opset",
/// "producer".
///
/// Throws octet::Error naming the node or the file for anything damaged, hostile or unsupported.
OCTET_API std::shared_ptr<GraphModule> load_onnx(const std::string& path, const OnnxOptions& options = {});
OCTET_API std::shared_ptr<GraphModule> load_onnx(const std::shared_ptr<const ByteSource>& source,
                                                 const OnnxOptions& options = {});

}  // namespace octet

#pragma once

#include <string>

#include "octet/graph/graph_module.h"
#include "octet/support/api.h"

namespace octet {

enum class Pt2Layout {
  kCurrent,  ///< torch 2.9 and later: schema 8.20, raw weights
  kLegacy,   ///< torch 2.6 and later: schema 8.2, weights as torch.save writes them
};

struct Pt2WriteOptions {
  Pt2Layout layout = Pt2Layout::kCurrent;
};

/// Writes a `.pt2` that torch.export.load reads and runs: float models, and converted ones, whose
/// `quantized_decomposed` operators PyTorch knows after `import torch.ao.quantization.fx._decomposed` (torchao has them
/// too). Equal models make equal bytes; the file appears whole or not at all.
///
/// Kept: the graph with its node names and what notes() hold of torch.export's metadata (stack_trace, nn_module_stack,
/// ...), parameters, buffers (persistent or not), constants, tied tensors, requires_grad, names and trees of inputs and
/// results. Not kept, since a GraphModule has none of it: symbolic sizes (they are the sizes that the graph was made
/// with), call signatures of submodules, example inputs, inputs and results that are no tensors.
///
/// Shapes that nodes lack are computed. Throws octet::Error naming the node or the tensor: a submodule that is called
/// (observers and fake quantizers: convert, or write frozen(model) of octet/quantize/freeze.h), an input of unknown
/// shape, operators that only octet knows, and values that the format has no form for.
OCTET_API void write_pt2(const GraphModule& module, const std::string& path, const Pt2WriteOptions& options = {});

}  // namespace octet

#pragma once

#include <memory>

#include "octet/formats/tflite.h"
#include "octet/graph/graph_module.h"
#include "octet/support/api.h"

namespace octet {

/// Note on a node of graph_of: the program computes it in float32, whatever grids lie before and behind.
inline const NoteKey<bool> kInFloatNote("in_float");
/// Where the file says so, of what the NPU does not take: the node that it is a part of, and what that called.
inline const NoteKey<std::string> kPartOfNodeNote("part_of_node");
inline const NoteKey<std::string> kPartOfOpNote("part_of_op");

/// The way back from `lower`: an int8 program, octet's or another's, as a converted model: PyTorch's operators between
/// quantize and dequantize nodes, on the program's grids and constants. Values of four dimensions, NHWC in the program,
/// are NCHW in the graph, but for what the program itself transposes at its borders; names are those of the tensors.
/// Lowered again it computes the same integers.
///
/// Throws octet::Error naming the operator that has no counterpart: one that octet does not lower to, SAME padding of
/// an average that is not the same on both sides.
OCTET_API std::shared_ptr<GraphModule> graph_of(const tflite::Model& program);

}  // namespace octet

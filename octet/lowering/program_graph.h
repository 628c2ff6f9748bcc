#pragma once

#include <memory>
#include <string>

#include "octet/formats/tflite.h"
#include "octet/graph/graph_module.h"
#include "octet/support/api.h"

namespace octet {

/// Note on a node of graph_of: the program computes it on no grid (in float32, whole numbers or bools), whatever grids
/// lie before and behind.
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

/// A `.tflite` as a model that is trained, quantized, measured and exported: float, hybrid (its weights as the numbers
/// that their levels stand for), float16, or quantized. Inputs and outputs lie as the file has them, NHWC for images;
/// the graph between is PyTorch's, NCHW. Numbers of products and of each channel are parameters, under their tensors'
/// names. States (tflite::State) are inputs and outputs behind the others. In float the graph computes what the
/// executor does, to rounding.
///
/// Throws octet::Error as graph_of() does, and where an operator's result does not have the shape that the program
/// says.
OCTET_API std::shared_ptr<GraphModule> model_of(const tflite::Model& program);
/// Reads the file, and the model that it is.
OCTET_API std::shared_ptr<GraphModule> load_tflite(const std::string& path);

}  // namespace octet

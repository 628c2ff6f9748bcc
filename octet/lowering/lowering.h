#pragma once

#include "octet/formats/tflite.h"
#include "octet/graph/graph_module.h"
#include "octet/support/api.h"

namespace octet {

/// The shape of a lowered program; a target says which its compiler reads (targets/engine/target.h).
enum class LoweringForm {
  kFused,  ///< as TFLite's own converter writes: activations fused, padding SAME where it applies, constants folded
  kPlain,  ///< paddings and activations as operators of their own, constants as they are: the compiler does the rest
};

/// How a quantized program is written as an int8 one.
struct LoweringOptions {
  LoweringForm form = LoweringForm::kFused;
  bool nhwc_io = false;        ///< inputs and outputs that are images inside the program are images outside too
  bool float_io = false;       ///< float32 inputs and outputs, quantized and dequantized by the program
  bool uint8_io = false;       ///< inputs and outputs on int8 grids are uint8, turned by QUANTIZE
  bool per_tensor_fc = false;  ///< one weight scale a FULLY_CONNECTED, for runtimes without per-channel ones
  int64_t batch = 0;           ///< samples a run of the program; 0: as the model was exported

  bool is_plain() const { return form == LoweringForm::kPlain; }
};

/// Name of the metadata in which a lowered program says what it came from: JSON, the node of each operator and of each
/// tensor that is a node's value (octet/lowering/facts.h).
inline constexpr const char* kProgramFacts = "octet";

/// From a converted program (quantize and dequantize nodes around its operators) to int8 operators in NHWC. Values keep
/// the names of their nodes. An operator between a dequantize and a quantize becomes an integer operator where
/// TFLite has one; any other stays in float, between DEQUANTIZE and QUANTIZE. An operator that reads or gives another
/// grid than its kernel can is joined by QUANTIZE. Where operators compute on uint8, all uint8 becomes int8 with zero
/// points less 128: the same numbers, in the type that TFLite's kernels compute in. Buffers that the program writes for
/// its next run (octet/graph/written_buffers.h) are constants: what only that run would read is left out.
///
/// Throws octet::Error naming the node that TFLite has no operator for, or through which the batch cannot be followed.
OCTET_API tflite::Model lower(const GraphModule& converted, const LoweringOptions& options = {});

}  // namespace octet

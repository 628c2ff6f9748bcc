#pragma once

#include "octet/graph/graph_module.h"
#include "octet/graph/notes.h"
#include "octet/support/error.h"

namespace octet {

/// Note that prepare leaves on nodes which a quantizer had annotated.
inline const NoteKey<bool> kAnnotatedNote("quantization_annotated");

/// Note on a structural conv-bn node: the name that the convolution had and gets again at convert.
inline const NoteKey<std::string> kConvNameNote("conv_name");

/// Fact of a module: how far it came. Float models have none.
inline constexpr const char* kStageFact = "quantization_stage";
inline constexpr const char* kPrepared = "prepared";
inline constexpr const char* kPreparedQat = "prepared for training";
inline constexpr const char* kConverted = "converted";

/// What to say of a tensor of the model that `node` reads and that `holds` what no number is ("NaN").
Error no_number(const GraphModule& model, const Node& node, const char* holds);

}  // namespace octet

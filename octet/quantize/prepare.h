#pragma once

namespace octet {

/// Note (bool) that prepare leaves on nodes which a quantizer had annotated.
inline constexpr const char* kAnnotatedNote = "quantization_annotated";

/// Note (std::string) on a structural conv-bn node: the name that the convolution had and gets again at convert.
inline constexpr const char* kConvNameNote = "conv_name";

/// Fact of a module: how far it came. Float models have none.
inline constexpr const char* kStageFact = "quantization_stage";
inline constexpr const char* kPrepared = "prepared";
inline constexpr const char* kPreparedQat = "prepared for training";
inline constexpr const char* kConverted = "converted";

}  // namespace octet

#pragma once

#include <optional>
#include <string>
#include <vector>

#include "octet/quantize/quantizer.h"
#include "octet/support/api.h"
#include "octet/targets/engine/quantization_config.h"

namespace octet::qnn {

/// Bits of activations and weights; fp16: activations stay in float. Block: weights in blocks where a block size is
/// given for their operator.
enum class QuantDtype { use_16a16w, use_16a8w, use_16a4w, use_16a4w_block, use_8a8w, use_8a4w, use_fp16a8w, use_16a2w };

/// In what numbers operators are quantized, by the reference's names.
struct ModuleQConfig {
  QuantDtype quant_dtype = QuantDtype::use_8a8w;
  bool is_qat = false;
  bool is_conv_per_channel = false;    ///< weights of convolutions, each output channel with a scale of its own
  bool is_linear_per_channel = false;  ///< those of linears
  bool act_symmetric = false;          ///< activations on grids whose zero point is in the middle
  std::optional<double> eps = {};      ///< the smallest scale; nullopt: 0.0001 over the levels of the activations
  /// True: 16-bit symmetric grids and concatenations in training as the reference has them (docs/deviations.md).
  bool reference_quirks = false;
  bool operator==(const ModuleQConfig&) const = default;
};

/// The config as roles of the engine.
OCTET_API targets::QuantizationConfig quantization_config(const ModuleQConfig& config);

/// The same for one operator whose weight has blocks of `group` neighbours along its dimension 1 (0: all of them).
OCTET_API targets::QuantizationConfig block_config(const ModuleQConfig& config, int64_t group);

}  // namespace octet::qnn

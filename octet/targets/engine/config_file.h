#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "octet/support/api.h"
#include "octet/targets/engine/registry.h"
#include "octet/targets/engine/sample_facts.h"

namespace octet::targets {

/// What a model was calibrated with.
struct CalibrationFacts {
  std::string data;        ///< as open_data() takes it
  int64_t samples = 0;     ///< at most; 0: all
  int64_t batch_size = 0;  ///< 0: as the data has it
  uint64_t seed = 0;
  SampleFacts made = {};  ///< how its files became samples
  bool operator==(const CalibrationFacts&) const = default;
};

/// What stands in the JSON file beside a quantized model: enough to make the model again.
///
///     {
///       "version": 1,
///       "target": "imxrt700",
///       "qat": false,
///       "mul_range": "reference",
///       "sigmoid_input": "observed",
///       "overrides": [
///         {"module": "features.0.*", "quantize": false},
///         {"op": "linear", "activation_observer": "min_max", "weight_observer": "min_max"}
///       ],
///       "calibration": {"data": "npy:calib_*.npy", "samples": 256, "batch_size": 32, "seed": 0}
///     }
///
/// Only "version" must be there; of "calibration", "data"; it may hold "pictures": {"resize": 256, "filter": "bicubic",
/// "mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5], "held_out": 0.1}, or of audio:FOLDER "sounds": {"features": "mfcc",
/// "rate": 16000, "window_ms": 30, ...} by the names of SampleFacts. "scheme" names one of the target's, and the
/// target's settings are keys of their own; "without_passes": ["decompose_silu"] leaves rewrites of the float graph
/// out.
struct QuantizerConfig {
  QuantizerOptions options;
  std::optional<CalibrationFacts> calibration;
  /// "training": the flags of the training that gave the model beside it, text by text; `octet train --config` takes
  /// them.
  std::vector<std::pair<std::string, std::string>> training;
  bool operator==(const QuantizerConfig&) const = default;
};

/// What the facts leave open, from `otherwise`.
OCTET_API SampleFacts settled(SampleFacts facts, const SampleFacts& otherwise);

/// The schema version that is written, and read.
inline constexpr int64_t kConfigVersion = 1;

/// Reads a config file's text; its options come completed(). A file without a target means the registry's standard one.
/// `mode` stands for the file's "qat" where it is given. Throws octet::Error naming `where` and the key for unknown
/// keys, wrong types, unknown names, and all that completed() refuses.
OCTET_API QuantizerConfig parse_config(std::string_view text, const std::string& where, const Registry& targets,
                                       std::optional<QuantizationMode> mode = std::nullopt);
/// The inverse.
OCTET_API nlohmann::ordered_json to_json(const QuantizerConfig& config);

}  // namespace octet::targets

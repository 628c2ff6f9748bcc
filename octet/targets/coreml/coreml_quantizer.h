#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "octet/quantize/quantizer.h"
#include "octet/support/api.h"
#include "octet/targets/engine/pattern.h"
#include "octet/targets/engine/quantization_config.h"
#include "octet/targets/engine/scope_choice.h"

namespace octet {
namespace coreml {

enum class QuantizationScheme { kSymmetric, kAffine };

/// coremltools' names of types. Its quantizer for exported programs knows eight bits alone: qint4 and quint4 become
/// int8 and uint8 with their whole range, and a warning says so.
enum class Dtype { kQint8, kQuint8, kQint4, kQuint4, kFloat32 };

enum class ObserverType { kMovingAverageMinMax, kMinMax };

/// coremltools' config of this name, in the part that its CoreMLQuantizer reads.
struct ModuleLinearQuantizerConfig {
  QuantizationScheme quantization_scheme = QuantizationScheme::kSymmetric;
  Dtype weight_dtype = Dtype::kQint8;       ///< kFloat32: nothing of the module is quantized
  Dtype activation_dtype = Dtype::kQuint8;  ///< kFloat32: weights alone
  bool weight_per_channel = true;
  ObserverType activation_observer = ObserverType::kMovingAverageMinMax;
  ObserverType weight_observer = ObserverType::kMovingAverageMinMax;
  bool operator==(const ModuleLinearQuantizerConfig&) const = default;
};

/// The engine's form of it: fake quantizers that round while they watch, after training too; ranges of the whole type;
/// no scale below float32's epsilon. What is never negative (relu, sigmoid) is affine in the symmetric scheme too, tanh
/// symmetric in the affine one. nullopt for weights of kFloat32. Throws octet::Error for activations other than
/// kQuint8, kQint8 and kFloat32.
OCTET_API std::optional<targets::QuantizationConfig> quantization_config(const ModuleLinearQuantizerConfig& config);

/// coremltools' LinearQuantizerConfig. Names win over types, both over the global one; std::nullopt leaves in float.
struct LinearQuantizerConfig {
  using Module = std::optional<ModuleLinearQuantizerConfig>;
  Module global_config = ModuleLinearQuantizerConfig{};
  /// By a Python class, "Conv2d" or "torch.nn.modules.conv.Conv2d", or an operator, "aten.add".
  std::vector<std::pair<std::string, Module>> module_type_configs = {};
  std::vector<std::pair<std::string, Module>> module_name_configs = {};  ///< by a dotted name, "features.0"
};

}  // namespace coreml

/// coremltools' CoreMLQuantizer.
///
///     CoreMLQuantizer quantizer(coreml::LinearQuantizerConfig{});
///     auto prepared = prepare_pt2e(model, quantizer);
///
/// Serves training too: prepare_qat_pt2e.
class OCTET_API CoreMLQuantizer : public Quantizer {
 public:
  /// Throws octet::Error naming the entry for a config that coreml::quantization_config() refuses, and for an empty
  /// name or type. `reference_quirks`: what the reference does amiss is done so here (docs/deviations.md).
  explicit CoreMLQuantizer(coreml::LinearQuantizerConfig config, bool reference_quirks = false);

  /// Logs a warning for each entry that selects nothing, and where nothing at all is quantized.
  void annotate(GraphModule& module) override;
  bool rounds_folded_biases() const override { return false; }
  bool joins_batch_norms() const override { return false; }

 private:
  std::vector<targets::PatternScope> scopes() const;

  std::vector<std::pair<targets::ScopeChoice, std::optional<targets::QuantizationConfig>>> choices_;
  bool reference_quirks_;
};

}  // namespace octet

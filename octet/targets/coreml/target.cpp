#include "octet/targets/coreml/target.h"

#include "octet/targets/coreml/coreml_quantizer.h"
#include "octet/targets/coreml/patterns.h"

namespace octet::coreml {
namespace {

using targets::QuantizerOptions;
using targets::Scheme;

Scheme scheme(const std::string& name, const ModuleLinearQuantizerConfig& chosen, QuantizationMode mode) {
  const auto config = [=](const QuantizerOptions& options) {
    ModuleLinearQuantizerConfig numbers = chosen;
    numbers.weight_per_channel = options.settings.at("weight_scales") == "per_channel";
    return *quantization_config(numbers);
  };
  return {name, config, mode};
}

constexpr const char* kDocument =
    "Written by `octet operators --target coreml`. Patterns are tried in this order, each along the whole graph: what "
    "one annotated, later ones leave alone. What none takes stays in float. Activations are uint8 per tensor, weights "
    "int8 or uint8, one scale an output channel; biases stay in float.\n\n";

}  // namespace

targets::Target target() {
  constexpr QuantizationMode kPtq = QuantizationMode::kPtq;
  constexpr QuantizationMode kQat = QuantizationMode::kQat;
  const ModuleLinearQuantizerConfig symmetric;
  const ModuleLinearQuantizerConfig affine = {.quantization_scheme = QuantizationScheme::kAffine};
  const ModuleLinearQuantizerConfig weight_only = {.activation_dtype = Dtype::kFloat32};
  const ModuleLinearQuantizerConfig weight_only_affine = {.quantization_scheme = QuantizationScheme::kAffine,
                                                          .weight_dtype = Dtype::kQuint8,
                                                          .activation_dtype = Dtype::kFloat32};
  targets::Target target;
  target.name = "coreml";
  target.description = "Apple's Core ML: uint8 activations, int8 or uint8 weights, float biases";
  target.schemes = {scheme("static-symmetric", symmetric, kPtq), scheme("static-affine", affine, kPtq),
                    scheme("weight-only", weight_only, kPtq),    scheme("weight-only-affine", weight_only_affine, kPtq),
                    scheme("qat-symmetric", symmetric, kQat),    scheme("qat-affine", affine, kQat)};
  target.patterns = [](const QuantizerOptions& options) {
    return patterns(options.settings.at("reference_quirks") == "no");
  };
  target.settings = {
      {"reference_quirks",
       "What coremltools' quantizer does amiss (docs/deviations.md): no (mended, the default) or yes (as it does)",
       {{"no"}, {"yes"}}},
      {"weight_scales",
       "Scales of a weight: per_channel (one an output channel, the default) or per_tensor",
       {{"per_channel"}, {"per_tensor"}}}};
  target.document = kDocument;
  return target;
}

}  // namespace octet::coreml

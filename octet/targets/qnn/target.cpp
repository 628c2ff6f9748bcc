#include "octet/targets/qnn/target.h"

#include "octet/support/error.h"
#include "octet/targets/engine/fit_infinities.h"
#include "octet/targets/engine/passes/passes.h"
#include "octet/targets/qnn/operator_rules.h"

namespace octet::qnn {
namespace {

using targets::QuantizerOptions;
using targets::Scheme;

struct Precision {
  const char* name;
  QuantDtype dtype;
};
constexpr Precision kPrecisions[] = {
    {"8a8w", QuantDtype::use_8a8w},       {"8a4w", QuantDtype::use_8a4w},   {"16a8w", QuantDtype::use_16a8w},
    {"16a16w", QuantDtype::use_16a16w},   {"16a4w", QuantDtype::use_16a4w}, {"16a2w", QuantDtype::use_16a2w},
    {"fp16a8w", QuantDtype::use_fp16a8w},
};

bool is_yes(const QuantizerOptions& options, const char* setting) { return options.settings.at(setting) == "yes"; }

Scheme scheme(const std::string& name, QuantDtype dtype, bool per_channel, bool is_qat) {
  const auto config = [=](const QuantizerOptions& options) {
    return quantization_config({.quant_dtype = dtype,
                                .is_qat = is_qat,
                                .is_conv_per_channel = per_channel,
                                .is_linear_per_channel = per_channel,
                                .act_symmetric = is_yes(options, "act_symmetric"),
                                .reference_quirks = is_yes(options, "reference_quirks")});
  };
  return {name, config, is_qat ? QuantizationMode::kQat : QuantizationMode::kPtq};
}

std::vector<Scheme> schemes() {
  std::vector<Scheme> all;
  for (const bool is_qat : {false, true}) {
    const std::string prefix = is_qat ? "qat-" : "";
    for (const Precision& precision : kPrecisions) {
      all.push_back(scheme(prefix + precision.name + "-per-channel", precision.dtype, true, is_qat));
      all.push_back(scheme(prefix + precision.name + "-per-tensor", precision.dtype, false, is_qat));
    }
  }
  return all;
}

constexpr const char* kDocument = "Written by `octet operators --target qnn`. What no row names stays in float.\n\n";

}  // namespace

std::vector<targets::Pass> passes(QuantizationMode mode) {
  std::vector<targets::Pass> passes = {
      {"decompose_reciprocal", targets::decompose_reciprocal},
      {"recompose_pixel_unshuffle", targets::recompose_pixel_unshuffle},
      {"decompose_addmm", targets::decompose_addmm},
      {"decompose_alpha", targets::decompose_alpha},
      {"decompose_attention", targets::decompose_attention},
      {"decompose_rolls", targets::decompose_rolls},
      {"decompose_silu", targets::decompose_silu},
      {"decompose_einsum", targets::decompose_einsum},
      {"lift_scalars", targets::lift_scalars},
  };
  if (mode == QuantizationMode::kQat) {
    passes.push_back({"add_biases_before_batch_norms", targets::add_biases_before_batch_norms});
  }
  return passes;
}

targets::Target target() {
  targets::Target target;
  target.name = "qnn";
  target.description = "Qualcomm's HTP through QNN: activations of 8 or 16 bits, weights of 16 to 2, int32 biases";
  target.schemes = schemes();
  target.rules = targets::RuleTable(operator_rules());
  target.settings = {
      {"act_symmetric",
       "Activations of qnn: no (affine grids, the default) or yes (symmetric ones)",
       {{"no"}, {"yes"}}},
      {"reference_quirks",
       "What ExecuTorch's quantizer does amiss (docs/deviations.md): no (mended, the default) or yes (as it does)",
       {{"no"}, {"yes"}}}};
  target.passes = [](const QuantizerOptions& options) { return passes(options.mode); };
  target.fit_constants = targets::fit_infinities;
  target.value_types = {"uint8", "int8", "int16", "int32"};
  target.document = kDocument;
  return target;
}

}  // namespace octet::qnn

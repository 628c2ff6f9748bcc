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

ModuleQConfig config_of(QuantDtype dtype, bool per_channel, bool is_qat, const QuantizerOptions& options) {
  return {.quant_dtype = dtype,
          .is_qat = is_qat,
          .is_conv_per_channel = per_channel,
          .is_linear_per_channel = per_channel,
          .act_symmetric = is_yes(options, "act_symmetric"),
          .eps = std::nullopt,
          .reference_quirks = is_yes(options, "reference_quirks")};
}

Scheme scheme(const std::string& name, QuantDtype dtype, bool per_channel, bool is_qat) {
  const auto config = [=](const QuantizerOptions& options) {
    return quantization_config(config_of(dtype, per_channel, is_qat, options));
  };
  return {name, config, is_qat ? QuantizationMode::kQat : QuantizationMode::kPtq};
}

// The size of the blocks that a mode with blocks takes where nobody names one: all channels of a conv2d, 8 features of
// a linear where that divides them; 0: none.
int64_t default_group(const Node& node) {
  if (!node.is_call("aten.conv2d.default") && !node.is_call("aten.linear.default")) return 0;
  const Node* weight = node.arg("weight").node();
  if (weight == nullptr || !weight->meta() || weight->meta()->rank() < 2) return 0;
  const int64_t features = weight->sizes()[1];
  if (node.is_call("aten.conv2d.default")) return features;
  constexpr int64_t kFeatures = 8;
  return features % kFeatures == 0 ? kFeatures : 0;
}

int64_t last_group(const Graph& graph) {
  const std::vector<Node*> nodes = graph.nodes();
  for (auto node = nodes.rbegin(); node != nodes.rend(); ++node) {
    if (const int64_t group = default_group(**node); group > 0) return group;
  }
  return 0;
}

Scheme block_scheme(const std::string& name, bool is_qat) {
  Scheme made = scheme(name, QuantDtype::use_16a4w_block, true, is_qat);
  made.for_node = [is_qat](const Node& node,
                           const QuantizerOptions& options) -> std::optional<targets::QuantizationConfig> {
    int64_t group = default_group(node);
    if (group == 0) return std::nullopt;
    if (is_yes(options, "reference_quirks")) group = last_group(node.graph());
    return block_config(config_of(QuantDtype::use_16a4w_block, true, is_qat, options), group);
  };
  return made;
}

std::vector<Scheme> schemes() {
  std::vector<Scheme> all;
  for (const bool is_qat : {false, true}) {
    const std::string prefix = is_qat ? "qat-" : "";
    for (const Precision& precision : kPrecisions) {
      all.push_back(scheme(prefix + precision.name + "-per-channel", precision.dtype, true, is_qat));
      all.push_back(scheme(prefix + precision.name + "-per-tensor", precision.dtype, false, is_qat));
    }
    all.push_back(block_scheme(prefix + "16a4w-block", is_qat));
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
      {"trace_attention", targets::trace_attention},
      {"decompose_attention", targets::decompose_attention},
      {"decompose_rolls", targets::decompose_rolls},
      {"decompose_silu", targets::decompose_silu},
      {"decompose_einsum", targets::decompose_einsum},
      {"decompose_functions", targets::decompose_functions},
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

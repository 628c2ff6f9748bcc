#include "octet/targets/xnnpack/target.h"

#include "octet/targets/engine/passes/passes.h"
#include "octet/targets/xnnpack/patterns.h"
#include "octet/targets/xnnpack/warnings.h"
#include "octet/targets/xnnpack/xnnpack_quantizer.h"

namespace octet::xnnpack {
namespace {

using targets::QuantizerOptions;
using targets::Scheme;

bool keeps_quirks(const QuantizerOptions& options) { return options.settings.at("reference_quirks") == "yes"; }

Scheme scheme(const std::string& name, bool per_channel, bool qat, bool dynamic) {
  const auto config = [=](const QuantizerOptions& options) {
    Config made = get_symmetric_quantization_config(per_channel, qat, dynamic);
    if (keeps_quirks(options)) made = with_reference_quirks(made);
    return made.numbers;
  };
  return {name, config, qat ? QuantizationMode::kQat : QuantizationMode::kPtq};
}

constexpr const char* kDocument =
    "Written by `octet operators --target xnnpack`. Patterns are tried in this order, each along the whole graph: what "
    "one annotated, later ones leave alone. What none takes stays in float. Activations are int8 per tensor, "
    "-128..127, "
    "weights int8 and symmetric, -127..127; biases stay in float.\n\n";

}  // namespace

targets::Target target() {
  targets::Target target;
  target.name = "xnnpack";
  target.description = "ExecuTorch's XNNPACK backend, CPUs: int8 activations and weights, float biases";
  target.schemes = {
      scheme("static-per-channel", true, false, false), scheme("static-per-tensor", false, false, false),
      scheme("dynamic-per-channel", true, false, true), scheme("qat-per-channel", true, true, false),
      scheme("qat-per-tensor", false, true, false),     scheme("qat-dynamic-per-channel", true, true, true)};
  target.patterns = [](const QuantizerOptions& options) { return patterns(keeps_quirks(options)); };
  target.settings = {
      {"reference_quirks",
       "What ExecuTorch's quantizer does amiss (docs/deviations.md): no (mended, the default) or yes (as "
       "it does)",
       {{"no"}, {"yes"}}}};
  target.passes = [](const QuantizerOptions&) { return passes(); };
  target.document = kDocument;
  target.warnings = runtime_warnings;
  return target;
}

}  // namespace octet::xnnpack

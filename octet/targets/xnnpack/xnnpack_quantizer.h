#pragma once

#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "octet/quantize/quantizer.h"
#include "octet/support/api.h"
#include "octet/targets/engine/passes/pass_manager.h"
#include "octet/targets/engine/pattern.h"
#include "octet/targets/engine/quantization_config.h"
#include "octet/targets/engine/scope_choice.h"

namespace octet {
namespace xnnpack {

/// In what numbers XNNPACK's quantizer quantizes, and for which way of getting there.
struct Config {
  targets::QuantizationConfig numbers;
  QuantizationMode mode = QuantizationMode::kPtq;
  bool operator==(const Config&) const = default;
};

/// Activations int8 per tensor, affine, [act_qmin, act_qmax]; weights int8, symmetric, [weight_qmin, weight_qmax], one
/// scale, or one for each output channel; no scale below 2^-12; biases in float. `is_dynamic`: activations get their
/// grid in each run, and results have none. weight_qmin -8 and weight_qmax 7 give weights of four bits, in int8.
OCTET_API Config get_symmetric_quantization_config(bool is_per_channel = false, bool is_qat = false,
                                                   bool is_dynamic = false, int64_t act_qmin = -128,
                                                   int64_t act_qmax = 127, int64_t weight_qmin = -127,
                                                   int64_t weight_qmax = 127);

/// In training, transposed convolutions with a scale for each input channel, and values rounded to the kernel's grids,
/// as the reference has them.
Config with_reference_quirks(Config config);

/// The rewrites before annotation: numbers that add and mul read become constants.
std::vector<targets::Pass> passes();

}  // namespace xnnpack

/// ExecuTorch's XNNPACKQuantizer.
///
///     XNNPACKQuantizer quantizer;
///     quantizer.set_global(xnnpack::get_symmetric_quantization_config(/*is_per_channel=*/true));
///     auto prepared = prepare_pt2e(model, quantizer);
///
/// Names win over types of modules, both over types of operators, these over the global config. What is set by name or
/// type is asked about the operator alone that a pattern starts at. nullopt in place of a config leaves what it selects
/// in float. All configs must be for one mode.
class OCTET_API XNNPACKQuantizer : public Quantizer {
 public:
  using Chosen = std::optional<xnnpack::Config>;

  XNNPACKQuantizer& set_global(Chosen config);
  /// `op`: "aten.conv2d.default", or "aten.conv2d" for all of its overloads.
  XNNPACKQuantizer& set_operator_type(const std::string& op, Chosen config);
  /// `type`: of the Python module or one around it, "torch.nn.modules.conv.Conv2d", "Conv2d" or a class's own path.
  XNNPACKQuantizer& set_module_type(const std::string& type, Chosen config);
  /// `name`: dotted, of the module or one around it: "features.0".
  XNNPACKQuantizer& set_module_name(const std::string& name, Chosen config);
  /// Only operators for which it holds are quantized.
  XNNPACKQuantizer& set_filter_function(std::function<bool(const Node&)> filter);
  /// True: what the reference does amiss is done so here (docs/deviations.md).
  XNNPACKQuantizer& set_reference_quirks(bool on);

  std::optional<QuantizationMode> mode() const override;
  void transform_for_annotation(GraphModule& module) override;
  /// Logs a warning for each setting that selects nothing, or nothing that a pattern takes.
  void annotate(GraphModule& module) override;
  bool rounds_folded_biases() const override { return false; }
  bool joins_batch_norms() const override { return false; }

 private:
  using Kind = targets::ScopeKind;
  struct Choice {
    Kind kind;
    std::string pattern;
    Chosen config;
  };
  XNNPACKQuantizer& set(Kind kind, const std::string& pattern, Chosen config);
  static bool selects(const Choice& choice, const Node& node);
  bool holds(size_t index, const Node& node) const;
  std::vector<targets::PatternScope> scopes() const;

  std::vector<Choice> choices_;  // in the order in which they are worked off
  std::function<bool(const Node&)> filter_;
  bool reference_quirks_ = false;
};

}  // namespace octet

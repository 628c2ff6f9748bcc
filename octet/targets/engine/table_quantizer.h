#pragma once

#include <memory>

#include "octet/quantize/quantizer.h"
#include "octet/support/api.h"
#include "octet/targets/engine/quantization_plan.h"
#include "octet/targets/engine/target.h"

namespace octet::targets {

/// The quantizer of a target that is data: its rows or patterns match operators by op and structure, its schemes say in
/// what numbers. The result depends neither on the order of the rows nor on what the object quantized before.
class OCTET_API TableQuantizer : public Quantizer {
 public:
  /// Throws octet::Error naming `where` and the setting where completed() does.
  explicit TableQuantizer(std::shared_ptr<const Target> target, QuantizerOptions options = {},
                          const std::string& where = "QuantizerOptions");

  std::optional<QuantizationMode> mode() const override { return options_.mode; }
  /// Removes dead code and runs the target's graph passes to a fixed point.
  void transform_for_annotation(GraphModule& module) override;
  /// Logs a warning where nothing but inputs could be quantized, and for each override that selects no node or changes
  /// nothing. Throws octet::Error where an override names an observer that does not serve the weight it selects.
  void annotate(GraphModule& module) override;
  bool folds_batch_norms() const override { return target_->folds_batch_norms; }
  /// With patterns it is they that say so.
  bool joins_batch_norms() const override { return !target_->patterns; }
  /// Where the scheme derives the biases of convolutions.
  bool rounds_folded_biases() const override;
  /// After training, where biases are derived: an int32 bias wherever the fold of a BatchNorm left a float one.
  void transform_converted(GraphModule& module) override;

  struct Explanation {
    std::shared_ptr<GraphModule> model;  ///< a copy, as the passes leave it, annotated
    QuantizationPlan plan;
  };
  /// What prepare would do with this float model, which stays as it is.
  Explanation explain(const GraphModule& model) const;

  const Target& target() const { return *target_; }
  const QuantizerOptions& options() const { return options_; }

 protected:
  /// The numbers of one node, in place of what scheme and overrides say; nullptr where they count.
  virtual const QuantizationConfig* config_of(const Node& node) const { return nullptr; }
  /// Another target, and the options for it; throws as the constructor.
  void reset(std::shared_ptr<const Target> target, QuantizerOptions options, const std::string& where);
  /// What annotations stay; a class on top may leave more in float.
  virtual bool takes(const Node& node) const { return true; }

 private:
  QuantizationPlan annotated(GraphModule& module) const;
  void run_passes(GraphModule& module) const;
  QuantizationConfig config() const { return target_->config(options_.scheme, options_); }

  std::shared_ptr<const Target> target_;
  QuantizerOptions options_;
};

}  // namespace octet::targets

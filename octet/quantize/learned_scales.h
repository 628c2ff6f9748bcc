#pragma once

#include <memory>
#include <vector>

#include "octet/graph/graph_module.h"
#include "octet/quantize/fake_quantize.h"
#include "octet/quantize/quantizer.h"
#include "octet/support/api.h"

namespace octet {

/// A fake quantizer whose scale is learned as weights are, of affine schemes the zero point too: LSQ (Esser and others,
/// "Learned Step Size Quantization", 2020) and LSQ+ (Bhalgat and others, 2020). It watches like a FakeQuantize until
/// start_learning(); from there, with t = x / s, z the rounded offset and q = round(t) + z,
///
///     dy/ds = round(t) - t, quant_min - z or quant_max - z     where q is within the range, below, above
///     dy/dz = 0, -s, -s
///     dy/dx = 1, 0, 0
///
/// each gradient of scale and offset times g = 1 / sqrt(N * quant_max') (Esser, section 2.2): N the weights that share
/// the scale, or the features of one sample; quant_max' the levels above the zero of a symmetric grid, all of an affine
/// one. A scale stays at least a quarter of what it began as: a step that overshoots a small one would leave nothing of
/// its channel. The grid of the forward pass is the one that convert writes: float32 scale, integer zero point.
class OCTET_API LearnedFakeQuantize : public FakeQuantize {
 public:
  explicit LearnedFakeQuantize(std::shared_ptr<ObserverBase> observer);
  at::Tensor forward(const at::Tensor& x) override;
  QParams calculate_qparams() const override;
  /// While it learns: keeps the scale at least as large as the observer is asked to (RangeObserver::require_scale).
  void refresh() override;
  std::string type_name() const override { return "LearnedFakeQuantize"; }
  std::shared_ptr<CallableModule> copy() const override;

  /// From the grid of the moment, which data has given. `of_weight`: what N counts. Observing ends.
  void start_learning(bool of_weight);
  bool is_learning() const;
  /// The grid of another from here on, which alone learns it: what a concatenation joins.
  void follow(const LearnedFakeQuantize& leader);
  /// What an optimizer updates: the scale, and the offset of an affine scheme; nothing for one that follows or rests.
  std::vector<at::Tensor> learned() const;

  at::Tensor offset;  ///< float32, the zero point before it is rounded

 private:
  bool is_affine() const;
  void keep_valid() const;

  at::Tensor learning_;   // uint8 [1]
  at::Tensor least_;      // as the scale: what it never falls below
  at::Tensor of_weight_;  // uint8 [1]
};

/// A LearnedFakeQuantize around the observer of what `rounding` makes, where that is a FakeQuantize that watches a
/// range; else what it makes.
OCTET_API ObserverFactory learned_fake_quantize(const ObserverFactory& rounding);

/// Annotates as another quantizer does, with learned_fake_quantize() in place of each fake quantizer.
class OCTET_API LearnedScalesQuantizer : public Quantizer {
 public:
  /// `base` outlives it.
  explicit LearnedScalesQuantizer(Quantizer& base) : base_(base) {}
  std::optional<QuantizationMode> mode() const override { return base_.mode(); }
  bool folds_batch_norms() const override { return base_.folds_batch_norms(); }
  void transform_for_annotation(GraphModule& module) override { base_.transform_for_annotation(module); }
  void annotate(GraphModule& module) override;
  void validate(GraphModule& module) override { base_.validate(module); }
  bool rounds_folded_biases() const override { return base_.rounds_folded_biases(); }
  bool joins_batch_norms() const override { return base_.joins_batch_norms(); }
  void transform_converted(GraphModule& module) override { base_.transform_converted(module); }

 private:
  Quantizer& base_;
};

/// Each LearnedFakeQuantize of a prepared and calibrated model that has seen data learns from here on. Returns what an
/// optimizer updates.
OCTET_API std::vector<at::Tensor> start_learning_scales(GraphModule& prepared);

}  // namespace octet

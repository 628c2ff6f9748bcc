#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "octet/graph/graph_module.h"
#include "octet/quantize/spec.h"
#include "octet/support/api.h"

namespace octet {

/// How a quantized model gets its ranges and weights.
enum class QuantizationMode {
  kPtq,  ///< after training: observers watch calibration data
  kQat,  ///< in training: fake quantizers round while the weights move
};
/// "post-training", "quantization-aware"
OCTET_API const char* text(QuantizationMode mode);

/// Decides what of a model is quantized, and how. Holds no state from one model to the next.
class OCTET_API Quantizer {
 public:
  virtual ~Quantizer() = default;
  /// What its annotations are made for. nullopt: either, as the caller says by prepare_pt2e or prepare_qat_pt2e.
  virtual std::optional<QuantizationMode> mode() const { return std::nullopt; }
  /// After training: a BatchNorm becomes part of the convolution or linear before it, before anything else.
  virtual bool folds_batch_norms() const { return true; }
  /// Rewrites the float graph first, where the target needs it.
  virtual void transform_for_annotation(GraphModule& module) {}
  /// Writes annotations.
  virtual void annotate(GraphModule& module) = 0;
  /// Throws octet::Error where the annotated model cannot be quantized.
  virtual void validate(GraphModule& module) {}
  /// In training: the bias that a BatchNorm leaves to its convolution, where no annotation speaks of it, becomes int32
  /// on the grid input * weight. False: it stays in float.
  virtual bool rounds_folded_biases() const { return true; }
  /// In training: a BatchNorm that no annotation speaks of is trained as one with the product before it all the same.
  /// False: it stays an operator of its own.
  virtual bool joins_batch_norms() const { return true; }
  /// Last changes of the converted model: what finish() does behind convert.
  virtual void transform_converted(GraphModule& module) {}
};

/// Several quantizers of one mode, one after the other; a later one must not replace an earlier one's annotation.
class OCTET_API ComposableQuantizer : public Quantizer {
 public:
  /// Throws octet::Error where one is null, or two are made for different modes.
  explicit ComposableQuantizer(std::vector<std::shared_ptr<Quantizer>> quantizers);
  std::optional<QuantizationMode> mode() const override { return mode_; }
  void transform_for_annotation(GraphModule& module) override;
  bool folds_batch_norms() const override;
  void annotate(GraphModule& module) override;
  void validate(GraphModule& module) override;
  bool rounds_folded_biases() const override;
  bool joins_batch_norms() const override;
  void transform_converted(GraphModule& module) override;

 private:
  std::optional<QuantizationMode> mode_;  // of those that say one
  std::vector<std::shared_ptr<Quantizer>> quantizers_;
};

}  // namespace octet

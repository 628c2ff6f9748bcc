#pragma once

#include <memory>
#include <vector>

#include "octet/graph/graph_module.h"
#include "octet/quantize/spec.h"

namespace octet {

/// Decides what of a model is quantized, and how. Holds no state from one model to the next.
class Quantizer {
 public:
  virtual ~Quantizer() = default;
  /// Rewrites the float graph first, where the target needs it.
  virtual void transform_for_annotation(GraphModule& module) {}
  /// Writes annotations.
  virtual void annotate(GraphModule& module) = 0;
  /// Throws octet::Error where the annotated model cannot be quantized.
  virtual void validate(GraphModule& module) {}
};

/// Several quantizers, one after the other; a later one must not replace an earlier one's annotation.
class ComposableQuantizer : public Quantizer {
 public:
  explicit ComposableQuantizer(std::vector<std::shared_ptr<Quantizer>> quantizers);
  void transform_for_annotation(GraphModule& module) override;
  void annotate(GraphModule& module) override;
  void validate(GraphModule& module) override;

 private:
  std::vector<std::shared_ptr<Quantizer>> quantizers_;
};

}  // namespace octet

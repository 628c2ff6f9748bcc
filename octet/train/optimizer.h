#pragma once

#include <ATen/core/Tensor.h>

#include <memory>
#include <string>
#include <vector>

#include "octet/support/api.h"

namespace torch::optim {
class Optimizer;
}

namespace octet {

enum class OptimizerKind { kSgd, kAdamW };

struct OptimizerOptions {
  OptimizerKind kind = OptimizerKind::kSgd;
  double momentum = 0.9;  ///< SGD
  bool nesterov = false;  ///< SGD
  double weight_decay = 0.0;
  /// Whether tensors of one dimension (BatchNorm, biases) decay too.
  bool decay_vectors = true;
};

/// One of libtorch's optimizers over these parameters.
OCTET_API std::shared_ptr<torch::optim::Optimizer> make_optimizer(const std::vector<at::Tensor>& parameters,
                                                                  const OptimizerOptions& options,
                                                                  double learning_rate);
/// In all its groups.
OCTET_API void set_learning_rate(torch::optim::Optimizer& optimizer, double learning_rate);

/// Scales the gradients so that their common 2-norm is at most `max_norm`; returns the norm before.
OCTET_API double clip_gradients(const std::vector<at::Tensor>& parameters, double max_norm);

/// "sgd", "adamw"; throws octet::Error listing them otherwise.
OCTET_API OptimizerKind optimizer_kind(const std::string& name);

}  // namespace octet

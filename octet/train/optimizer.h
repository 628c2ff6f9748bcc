#pragma once

#include <ATen/core/Tensor.h>

#include <map>
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
  /// Tensors that do not decay in any case.
  std::vector<at::Tensor> without_decay = {};
};

/// One of libtorch's optimizers over these parameters.
OCTET_API std::shared_ptr<torch::optim::Optimizer> make_optimizer(const std::vector<at::Tensor>& parameters,
                                                                  const OptimizerOptions& options,
                                                                  double learning_rate);
/// What it has gathered of each parameter: momentum, moments, steps, by "NUMBER/NAME" with the parameter's number.
OCTET_API std::map<std::string, at::Tensor> optimizer_state(torch::optim::Optimizer& optimizer,
                                                            const std::vector<at::Tensor>& parameters);
/// The reverse, of the same kind of optimizer. Throws octet::Error that begins with `where` and names what is not such.
OCTET_API void load_optimizer_state(torch::optim::Optimizer& optimizer, const std::vector<at::Tensor>& parameters,
                                    const std::map<std::string, at::Tensor>& state, const std::string& where);
/// In all its groups.
OCTET_API void set_learning_rate(torch::optim::Optimizer& optimizer, double learning_rate);

/// Scales the gradients so that their common 2-norm is at most `max_norm`; returns the norm before.
OCTET_API double clip_gradients(const std::vector<at::Tensor>& parameters, double max_norm);

/// "sgd", "adamw"; throws octet::Error listing them otherwise.
OCTET_API OptimizerKind optimizer_kind(const std::string& name);

}  // namespace octet

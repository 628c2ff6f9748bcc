#pragma once

#include <ATen/core/Tensor.h>

#include <string>
#include <utility>
#include <vector>

#include "octet/support/api.h"

namespace torch::nn {
class Module;
}

namespace octet {

/// Names and tensors in the module's order: what the readers of `.pth` and `.safetensors` (octet/formats) return.
using StateDict = std::vector<std::pair<std::string, at::Tensor>>;

/// Parameters and buffers of the module; the tensors are shared with it, not copied.
OCTET_API StateDict state_dict(const torch::nn::Module& module);

/// What a lenient load left out.
struct LoadReport {
  std::vector<std::string> missing;
  std::vector<std::string> unexpected;
};

/// Copies `state` into the module's parameters and buffers, converting types. Nothing is written unless everything
/// fits. Throws octet::Error that begins with `where` and names the entries: of another shape or given twice always;
/// missing or unexpected where `strict`. BatchNorm's `num_batches_tracked` may be missing (files older than it), and
/// then keeps its value.
OCTET_API LoadReport load_state_dict(torch::nn::Module& module, const StateDict& state, bool strict = true,
                                     const std::string& where = "state dict");

/// `state` with the module's own tensors for those of its last layer, the classifier of any model of registry.h: what
/// to load where the classes are others. Entries of that layer in `state` are left out.
OCTET_API StateDict with_own_last_layer(const torch::nn::Module& module, const StateDict& state);

}  // namespace octet

#pragma once

#include <ATen/core/Tensor.h>

#include <string>
#include <utility>
#include <vector>

namespace torch::nn {
class Module;
}

namespace octet {

/// Names and tensors in the module's order: what the readers of `.pth` and `.safetensors` (octet/formats) return.
using StateDict = std::vector<std::pair<std::string, at::Tensor>>;

/// Parameters and buffers of the module; the tensors are shared with it, not copied.
StateDict state_dict(const torch::nn::Module& module);

/// What a lenient load left out.
struct LoadReport {
  std::vector<std::string> missing;
  std::vector<std::string> unexpected;
};

/// Copies `state` into the module's parameters and buffers, converting types. Nothing is written unless everything
/// fits. Throws octet::Error naming the entries: of another shape or given twice always; missing or unexpected where
/// `strict`. BatchNorm's `num_batches_tracked` may be missing (files older than it), and then keeps its value.
LoadReport load_state_dict(torch::nn::Module& module, const StateDict& state, bool strict = true);

}  // namespace octet

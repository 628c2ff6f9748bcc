#pragma once

#include <c10/core/Device.h>

#include <optional>
#include <string>
#include <vector>

#include "octet/graph/graph_module.h"
#include "octet/support/api.h"
#include "octet/train/group.h"
#include "octet/train/model_handle.h"

namespace octet {

/// "cpu", "cuda" or "cuda:1". Throws octet::Error of wrong usage for anything else.
OCTET_API at::Device device_named(const std::string& text);

/// Makes a device ready for this process and its current one. CUDA's kernels stand in a library of their own,
/// libtorch_cuda.so, which is loaded here: before anything else asks libtorch for devices, which it finds once.
/// "cuda" is the first device, of several processes on a machine the one of the process's number there. Throws
/// octet::Error where the library, or a device, is not there.
OCTET_API at::Device ready_device(const std::string& text, const std::optional<GroupAddress>& address = std::nullopt);

/// Where the model's parameters are, or what else it holds; the CPU where it says nothing of either.
OCTET_API at::Device device_of(const ModelHandle& model);

/// A model on a device: its tensors, the same ones as before, and what its steps make anew (aten.zeros and its kind).
/// While it stands no other tensor comes to the model and no step goes from it. On the CPU it changes nothing.
class OCTET_API OnDevice {
 public:
  OnDevice(std::shared_ptr<GraphModule> model, at::Device device);
  /// To the CPU, where all but the loop is made for.
  ~OnDevice();
  void back();
  OnDevice(const OnDevice&) = delete;
  OnDevice& operator=(const OnDevice&) = delete;

 private:
  struct Literal {
    Node* node;
    size_t argument;
    Arg before;
  };
  std::shared_ptr<GraphModule> model_;
  bool is_away_ = false;
  std::vector<Literal> literals_;
};

}  // namespace octet

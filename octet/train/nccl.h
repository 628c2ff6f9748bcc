#pragma once
// Internal to octet/train: sums over GPUs.

#include <memory>

#include "octet/train/group.h"

namespace octet {

/// The group with NCCL for tensors of `device`, each process's own; all others go by `group`, as what they tell each
/// other to begin. NCCL's library comes with libtorch_cuda.so and is called by name, so that octet is built without its
/// headers and CUDA's. `group` itself where any process lacks it, with a warning. Throws octet::Error where NCCL fails.
std::shared_ptr<Group> with_nccl(std::shared_ptr<Group> group, at::Device device);

}  // namespace octet

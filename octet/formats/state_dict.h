#pragma once

#include <ATen/core/Tensor.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "octet/support/api.h"
#include "octet/support/byte_source.h"

namespace octet {

/// Tensors by name, in the file's order. Names are unique.
using StateDict = std::vector<std::pair<std::string, at::Tensor>>;

/// Reads a state dict of any format that octet knows, told by the content: safetensors, or a PyTorch `.pth`/`.pt`.
/// Throws octet::Error naming the file where it is neither.
OCTET_API StateDict load_state_dict(const std::string& path);
OCTET_API StateDict load_state_dict(const std::shared_ptr<const ByteSource>& source);

}  // namespace octet

#pragma once

#include <ATen/core/Tensor.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "octet/formats/pt2_codes.h"
#include "octet/graph/graph_module.h"

namespace octet::pt2 {

/// A tensor that goes into the file beside the program.
struct StoredTensor {
  std::string name;           ///< dotted
  at::Tensor tensor;          ///< the whole of its storage, on the CPU; tied ones are the same tensor
  bool in_state_dict = true;  ///< false for constants and buffers that are not persistent
  bool is_parameter = false;
  bool requires_grad = false;
};

struct WrittenProgram {
  std::string text;                   ///< the JSON program
  std::vector<StoredTensor> tensors;  ///< in the order of the program's inputs
};

/// Throws octet::Error naming the node or tensor for what the format cannot say.
WrittenProgram write_program(const GraphModule& module, const SchemaVersion& version);

/// Type, sizes and strides as the file says them.
nlohmann::json tensor_meta_json(const at::Tensor& tensor, bool requires_grad, const SchemaVersion& version,
                                const std::string& where);

}  // namespace octet::pt2

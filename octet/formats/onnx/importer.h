#pragma once

#include <memory>
#include <string>
#include <vector>

#include "octet/formats/onnx/schema.h"
#include "octet/formats/onnx/tensor.h"
#include "octet/graph/graph_module.h"
#include "octet/support/budget.h"

namespace octet::onnx {

/// The model's graph in ATen's operators. `input_sizes`: one list an input, or none. Throws octet::Error naming the
/// node, or `file`.
std::shared_ptr<GraphModule> import_model(const Model& model, const std::string& file,
                                          const std::vector<std::vector<int64_t>>& input_sizes, TensorReader& tensors,
                                          Budget& budget);

}  // namespace octet::onnx

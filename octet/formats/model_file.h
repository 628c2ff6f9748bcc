#pragma once

#include <memory>
#include <string>
#include <vector>

#include "octet/formats/allowed_operators.h"
#include "octet/graph/graph_module.h"
#include "octet/support/api.h"

namespace octet {

struct ModelFileOptions {
  /// One list of sizes an input, for TorchScript files, which hold none, and .pt2 and .onnx files that leave some open.
  std::vector<std::vector<int64_t>> input_sizes;
  /// Which operators the file may hold.
  AllowedOperators operators = {};
};

/// Reads a model, told by its content and not by its name: a `.pt2` of torch.export, an `.onnx` file, octet's own
/// container, a TorchScript file. Throws octet::Error that says what the file is instead (a state dict, no archive at
/// all).
OCTET_API std::shared_ptr<GraphModule> load_model(const std::string& path, const ModelFileOptions& options = {});

}  // namespace octet

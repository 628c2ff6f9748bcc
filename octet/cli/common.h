#pragma once

#include <memory>
#include <string>
#include <vector>

#include "octet/cli/verbs.h"
#include "octet/graph/graph_module.h"

namespace octet::cli {

/// Reads a .pt2, an octet container, a TorchScript file or a .tflite.
std::shared_ptr<GraphModule> open_model(const ModelArguments& model);
/// "1,3,224,224"; throws octet::Error naming --input-size for anything but positive numbers.
std::vector<int64_t> parse_sizes(const std::string& text);
std::vector<at::Tensor> read_npy_files(const std::vector<std::string>& paths);

/// Bytes of parameters, buffers and constants that the graph reads.
int64_t model_bytes(const GraphModule& module);

}  // namespace octet::cli

#pragma once

#include <memory>
#include <string>
#include <vector>

#include "octet/cli/verbs.h"
#include "octet/graph/graph_module.h"

namespace octet::cli {

/// Reads a .pt2, an octet container, a TorchScript file or a .tflite, or builds a model by its name.
std::shared_ptr<GraphModule> open_model(const ModelArguments& model);
/// The batch of the model of the file `where` is made free; a model whose batch cannot be followed stays as it is.
void free_batch(GraphModule& module, const std::string& where);
/// True where the model is a .tflite.
bool is_program(const ModelArguments& model);
/// The model opened anew with these sizes of its inputs where its file leaves them open; `model` where it does not.
std::shared_ptr<GraphModule> at_sizes(const std::shared_ptr<GraphModule>& model, const ModelArguments& file,
                                      const std::vector<std::vector<int64_t>>& sizes);
/// "1,3,224,224"; throws octet::Error naming --input-size for anything but positive numbers.
std::vector<int64_t> parse_sizes(const std::string& text);
std::vector<at::Tensor> read_npy_files(const std::vector<std::string>& paths);
/// As the model was exported, floating point ones drawn from a normal distribution.
std::vector<at::Tensor> random_inputs(const GraphModule& module);

/// Bytes of parameters, buffers and constants that the graph reads.
int64_t model_bytes(const GraphModule& module);

}  // namespace octet::cli

#pragma once

#include <string>
#include <vector>

#include "octet/graph/graph_module.h"
#include "octet/support/error.h"

namespace octet::cli {

/// Where `inputs` bring another batch than the model's example, and differ in nothing else, its batch is made free; a
/// model whose batch cannot be followed stays as it is.
void take_batch_of(const std::string& where, GraphModule& module, const std::vector<at::Tensor>& inputs);

/// `error`, which came of running the model of the file `where` on `inputs`; behind the input that is not as the model
/// was exported, where there is one.
Error of_inputs(const std::string& where, const GraphModule& module, const std::vector<at::Tensor>& inputs,
                const Error& error);

/// What `work` gives, which runs the model on `inputs`.
template <typename Work>
auto on_inputs(const std::string& where, GraphModule& module, const std::vector<at::Tensor>& inputs, const Work& work) {
  take_batch_of(where, module, inputs);
  try {
    return work();
  } catch (const Error& error) {
    throw of_inputs(where, module, inputs, error);
  }
}

}  // namespace octet::cli

#include <ATen/core/grad_mode.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <cstring>

#include "octet/cli/common.h"
#include "octet/cli/given_inputs.h"
#include "octet/cli/output.h"
#include "octet/cli/verbs.h"
#include "octet/formats/npy.h"
#include "octet/integer/executor.h"
#include "octet/report/numbers.h"
#include "octet/support/error.h"
#include "octet/support/log.h"

namespace octet::cli {
namespace {

std::vector<at::Tensor> read_inputs(const RunArguments& arguments, size_t inputs, size_t outputs) {
  if (arguments.inputs.size() != inputs) {
    const Error wrong = expected(arguments.model.path, "--input", str(inputs, " files, one for each input"),
                                 std::to_string(arguments.inputs.size()));
    throw arguments.inputs.empty() ? wrong.as(ErrorCategory::kUsage) : wrong;
  }
  if (arguments.outputs.size() != outputs) {
    throw expected(arguments.model.path, "--output", str(outputs, " files, one for each output"),
                   std::to_string(arguments.outputs.size()));
  }
  return read_npy_files(arguments.inputs);
}

// The sizes of the inputs at the model's own batch; empty where they are the model's.
std::vector<std::vector<int64_t>> other_sizes(const GraphModule& model, const std::vector<at::Tensor>& inputs) {
  std::vector<std::vector<int64_t>> sizes;
  bool differ = false;
  const std::vector<Node*> placeholders = model.graph().placeholders();
  for (size_t i = 0; i < inputs.size(); ++i) {
    const std::optional<TensorMeta>& meta = placeholders[i]->meta();
    sizes.push_back(inputs[i].sizes().vec());
    if (!meta || meta->sizes.size() != sizes.back().size()) return {};
    if (!sizes.back().empty()) sizes.back()[0] = meta->sizes[0];
    differ = differ || sizes.back() != meta->sizes;
  }
  return differ ? sizes : std::vector<std::vector<int64_t>>{};
}

std::vector<at::Tensor> run_graph(const RunArguments& arguments) {
  auto module = open_model(arguments.model);
  const size_t results = module->graph().output()->args()[0].list().size();
  const auto inputs = read_inputs(arguments, module->graph().placeholders().size(), results);
  const auto sizes = other_sizes(*module, inputs);
  if (!sizes.empty() && arguments.model.input_sizes.empty()) module = at_sizes(module, arguments.model, sizes);
  const at::NoGradGuard no_grad;
  module->train(false);
  return on_inputs(arguments.model.path, *module, inputs, [&] { return module->run(inputs); });
}

// What a program's variables hold before its first run.
std::vector<at::Tensor> first_states(const tflite::Model& program) {
  std::vector<at::Tensor> values;
  for (const tflite::State& state : program.states) {
    if (state.input < 0) continue;
    const tflite::Tensor& tensor = program.tensors[static_cast<size_t>(state.input)];
    values.push_back(at::zeros(tensor.shape, at::TensorOptions(integer::scalar_type(tensor.type))));
    if (!state.data.empty()) std::memcpy(values.back().data_ptr(), state.data.data(), state.data.size());
  }
  return values;
}

std::vector<at::Tensor> run_integers(const RunArguments& arguments) {
  const integer::Executor executor(tflite::read(arguments.model.path), {.check_overflow = arguments.check_overflow});
  const tflite::Model& program = executor.model();
  // Variables may be left out, of what goes in and of what comes out.
  std::vector<at::Tensor> states = first_states(program);
  const size_t given = arguments.inputs.size();
  if (given + states.size() != program.inputs.size()) states.clear();
  const auto kept = static_cast<size_t>(std::count_if(program.states.begin(), program.states.end(),
                                                      [](const tflite::State& state) { return state.output >= 0; }));
  const bool drops = kept > 0 && arguments.outputs.size() + kept == program.outputs.size();
  std::vector<at::Tensor> inputs =
      read_inputs(arguments, program.inputs.size() - states.size(), program.outputs.size() - (drops ? kept : 0));
  inputs.insert(inputs.end(), states.begin(), states.end());
  std::vector<at::Tensor> results = arguments.dequantize ? executor.run_dequantized(inputs) : executor.run(inputs);
  const integer::MemoryPlan& memory = executor.memory();
  log::info("arena ", report::bytes_text(memory.arena_bytes), "; most alive at one step ",
            report::bytes_text(memory.peak_bytes));
  return results;
}

}  // namespace

void run(const RunArguments& arguments) {
  std::vector<std::string> read = arguments.inputs;
  read.push_back(arguments.model.path);
  check_outputs(arguments.outputs, read);
  const std::vector<at::Tensor> values = is_program(arguments.model) ? run_integers(arguments) : run_graph(arguments);
  for (size_t i = 0; i < values.size(); ++i) write_npy(arguments.outputs[i], values[i]);
}

}  // namespace octet::cli

#include <ATen/core/grad_mode.h>

#include "octet/cli/common.h"
#include "octet/cli/verbs.h"
#include "octet/formats/npy.h"
#include "octet/integer/executor.h"
#include "octet/support/error.h"
#include "octet/support/log.h"

namespace octet::cli {
namespace {

struct Options {
  std::string model;
  std::vector<std::string> inputs;
  std::vector<std::string> outputs;
  std::vector<std::string> input_sizes;
  bool dequantize = false;
  bool check_overflow = false;
};

std::vector<at::Tensor> read_inputs(const Options& options, size_t inputs, size_t outputs) {
  if (options.inputs.size() != inputs) {
    throw expected(options.model, "--input", str(inputs, " files, one for each input"),
                   std::to_string(options.inputs.size()));
  }
  if (options.outputs.size() != outputs) {
    throw expected(options.model, "--output", str(outputs, " files, one for each output"),
                   std::to_string(options.outputs.size()));
  }
  std::vector<at::Tensor> tensors;
  for (const std::string& path : options.inputs) tensors.push_back(read_npy(path));
  return tensors;
}

std::vector<at::Tensor> run_graph(const Options& options) {
  auto module = open_model(options.model, options.input_sizes);
  const size_t results = module->graph().output()->args()[0].list().size();
  const auto inputs = read_inputs(options, module->graph().placeholders().size(), results);
  const at::NoGradGuard no_grad;
  module->train(false);
  return module->run(inputs);
}

std::vector<at::Tensor> run_integers(const Options& options) {
  const integer::Executor executor(tflite::read(options.model), {.check_overflow = options.check_overflow});
  const auto inputs = read_inputs(options, executor.model().inputs.size(), executor.model().outputs.size());
  const integer::MemoryPlan& memory = executor.memory();
  log::info("arena ", bytes_text(memory.arena_bytes), "; most alive at one step ", bytes_text(memory.peak_bytes));
  return options.dequantize ? executor.run_dequantized(inputs) : executor.run(inputs);
}

void run(const Options& options) {
  const std::vector<at::Tensor> values = tflite::is_tflite(options.model) ? run_integers(options) : run_graph(options);
  for (size_t i = 0; i < values.size(); ++i) write_npy(options.outputs[i], values[i]);
}

}  // namespace

void add_run(CLI::App& program) {
  auto options = std::make_shared<Options>();
  CLI::App* verb = program.add_subcommand("run", "Run a model on .npy files and write its outputs as .npy files");
  verb->add_option("MODEL", options->model, "Float or quantized model, or an int8 .tflite")->required();
  verb->add_option("--input", options->inputs, ".npy file, one for each input, in order")->required();
  verb->add_option("--output", options->outputs, ".npy file, one for each output, in order")->required();
  verb->add_flag(
      "--dequantize", options->dequantize,
      "Results of a .tflite in float (default: as the program gives them). Its int8 inputs take int8 files as "
      "they are, and float files quantized");
  verb->add_flag("--check-overflow", options->check_overflow,
                 "Of a .tflite: an accumulator that leaves int32 is an error (slow)");
  add_input_size(*verb, options->input_sizes);
  verb->callback([options] { run(*options); });
}

}  // namespace octet::cli

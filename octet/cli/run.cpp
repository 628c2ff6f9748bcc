#include <ATen/core/grad_mode.h>

#include "octet/cli/common.h"
#include "octet/cli/verbs.h"
#include "octet/formats/npy.h"
#include "octet/support/error.h"

namespace octet::cli {
namespace {

struct Options {
  std::string model;
  std::vector<std::string> inputs;
  std::vector<std::string> outputs;
  std::vector<std::string> input_sizes;
};

void run(const Options& options) {
  auto module = open_model(options.model, options.input_sizes);
  const size_t wanted = module->graph().placeholders().size();
  if (options.inputs.size() != wanted) {
    throw expected(options.model, "--input", str(wanted, " files, one for each input"),
                   std::to_string(options.inputs.size()));
  }
  const size_t results = module->graph().output()->args()[0].list().size();
  if (options.outputs.size() != results) {
    throw expected(options.model, "--output", str(results, " files, one for each output"),
                   std::to_string(options.outputs.size()));
  }
  std::vector<at::Tensor> inputs;
  for (const std::string& path : options.inputs) inputs.push_back(read_npy(path));
  const at::NoGradGuard no_grad;
  module->train(false);
  const std::vector<at::Tensor> values = module->run(inputs);
  for (size_t i = 0; i < values.size(); ++i) write_npy(options.outputs[i], values[i]);
}

}  // namespace

void add_run(CLI::App& program) {
  auto options = std::make_shared<Options>();
  CLI::App* verb = program.add_subcommand("run", "Run a model on .npy files and write its outputs as .npy files");
  verb->add_option("MODEL", options->model, "Float or quantized model")->required();
  verb->add_option("--input", options->inputs, ".npy file, one for each input, in order")->required();
  verb->add_option("--output", options->outputs, ".npy file, one for each output, in order")->required();
  add_input_size(*verb, options->input_sizes);
  verb->callback([options] { run(*options); });
}

}  // namespace octet::cli

#include "octet/lowering/verify.h"

#include <cmath>
#include <iostream>
#include <nlohmann/json.hpp>

#include "octet/cli/common.h"
#include "octet/cli/table.h"
#include "octet/cli/verbs.h"
#include "octet/formats/npy.h"
#include "octet/quantize/qdq.h"
#include "octet/support/error.h"

namespace octet::cli {
namespace {

struct Options {
  std::string model;
  std::string program;
  std::vector<std::string> inputs;
  std::vector<std::string> input_sizes;
  bool json = false;
};

std::string decibel_text(double sqnr) { return std::isfinite(sqnr) ? fixed(sqnr, 1) : "equal"; }

nlohmann::ordered_json to_json(const Deviation& found) {
  return {{"different", found.different},
          {"beyond_a_step", found.beyond_a_step},
          {"most_steps", found.most_steps},
          {"sqnr_db", std::isfinite(found.sqnr_db) ? nlohmann::ordered_json(found.sqnr_db) : nullptr}};
}

nlohmann::ordered_json to_json(const std::vector<ValueDeviation>& values) {
  auto array = nlohmann::ordered_json::array();
  for (const ValueDeviation& value : values) {
    array.push_back({{"name", value.name},
                     {"op", value.op},
                     {"elements", value.elements},
                     {"whole", to_json(value.whole)},
                     {"alone", to_json(value.alone)}});
  }
  return array;
}

void verify_models(const Options& options) {
  const auto model = open_model(options.model, options.input_sizes);
  if (!is_quantized(*model)) throw Error(options.model, "is not quantized").hint("give the model that was exported");
  const tflite::Model program = tflite::read(options.program);
  std::vector<at::Tensor> inputs;
  for (const std::string& path : options.inputs) inputs.push_back(read_npy(path));
  const Verification found = verify(*model, program, inputs);
  if (options.json) {
    std::cout
        << nlohmann::ordered_json({{"outputs", to_json(found.outputs)}, {"layers", to_json(found.layers)}}).dump(2)
        << '\n';
    return;
  }
  const auto row = [](const ValueDeviation& value) {
    return std::vector<std::string>{octet::str(value.whole.different, " of ", value.elements),
                                    fixed(value.whole.most_steps, 1),
                                    decibel_text(value.whole.sqnr_db),
                                    octet::str(value.alone.different),
                                    fixed(value.alone.most_steps, 1),
                                    value.op,
                                    value.name};
  };
  Table table({"differ", "most steps", "SQNR dB", "alone: differ", "most steps", "op", "value"});
  for (const ValueDeviation& layer : found.layers) table.row(row(layer));
  for (const ValueDeviation& output : found.outputs) table.row(row(output));
  std::cout << table.text() << '\n';
  const ValueDeviation* first = found.first_difference();
  std::cout << (first == nullptr ? std::string("the layers are equal")
                                 : octet::str("they part at ", first->op, " '", first->name, "', by ",
                                              fixed(first->whole.most_steps, 1), " steps"))
            << '\n';
  for (size_t j = 0; j < found.outputs.size(); ++j) {
    const ValueDeviation& output = found.outputs[j];
    std::cout << "output " << j << ": " << output.whole.different << " of " << output.elements << " differ, by at most "
              << fixed(output.whole.most_steps, 1) << " steps; SQNR " << decibel_text(output.whole.sqnr_db) << " dB\n";
  }
}

}  // namespace

void add_verify(CLI::App& program) {
  auto options = std::make_shared<Options>();
  CLI::App* verb = program.add_subcommand(
      "verify",
      "A quantized model in float beside its .tflite in integers, layer by layer: in the run of the whole, and alone, "
      "each operator on what the float model gives it");
  verb->add_option("MODEL", options->model, "Quantized model")->required();
  verb->add_option("TFLITE", options->program, "The .tflite that was written of it")->required();
  verb->add_option("--input", options->inputs, ".npy file, one for each input, in order")->required();
  verb->add_flag("--json", options->json, "Print JSON");
  add_input_size(*verb, options->input_sizes);
  verb->callback([options] { verify_models(*options); });
}

}  // namespace octet::cli

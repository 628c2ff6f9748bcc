#include "octet/quantize/compare.h"

#include <iostream>
#include <nlohmann/json.hpp>

#include "octet/cli/common.h"
#include "octet/cli/table.h"
#include "octet/cli/verbs.h"
#include "octet/formats/npy.h"

namespace octet::cli {
namespace {

struct Options {
  std::string float_model;
  std::string quantized;
  std::vector<std::string> inputs;
  std::vector<std::string> input_sizes;
  bool json = false;
};

// JSON has no infinity; equal values are null there.
nlohmann::ordered_json decibel(double sqnr) {
  return std::isfinite(sqnr) ? nlohmann::ordered_json(sqnr) : nlohmann::ordered_json(nullptr);
}

std::string decibel_text(double sqnr) { return std::isfinite(sqnr) ? fixed(sqnr, 2) : "equal"; }

void compare(const Options& options) {
  auto float_model = open_model(options.float_model, options.input_sizes);
  auto quantized = open_model(options.quantized, options.input_sizes);
  std::vector<at::Tensor> inputs;
  for (const std::string& path : options.inputs) inputs.push_back(read_npy(path));
  float_model->train(false);
  quantized->train(false);
  const Comparison result = compare_models(*float_model, *quantized, inputs);
  if (options.json) {
    nlohmann::ordered_json json;
    json["output_sqnr_db"] = nlohmann::ordered_json::array();
    for (const double sqnr : result.output_sqnr_db) json["output_sqnr_db"].push_back(decibel(sqnr));
    json["layers"] = nlohmann::ordered_json::array();
    for (const LayerComparison& layer : result.layers) {
      json["layers"].push_back({{"op", layer.op},
                                {"name", layer.name},
                                {"float_name", layer.float_name},
                                {"sqnr_db", decibel(layer.sqnr_db)}});
    }
    std::cout << json.dump(2) << '\n';
    return;
  }
  for (size_t i = 0; i < result.output_sqnr_db.size(); ++i) {
    std::cout << "output " << i << ": SQNR " << decibel_text(result.output_sqnr_db[i]) << " dB\n";
  }
  Table table({"SQNR dB", "layer", "op"});
  for (const LayerComparison& layer : result.layers) table.row({decibel_text(layer.sqnr_db), layer.name, layer.op});
  std::cout << '\n' << table.text();
}

}  // namespace

void add_compare(CLI::App& program) {
  auto options = std::make_shared<Options>();
  CLI::App* verb =
      program.add_subcommand("compare", "Signal to quantization noise of the outputs and of every layer, worst first");
  verb->add_option("FLOAT", options->float_model, "Float model")->required();
  verb->add_option("QUANTIZED", options->quantized, "Quantized or prepared model")->required();
  verb->add_option("--input", options->inputs, ".npy file, one for each input, in order")->required();
  verb->add_flag("--json", options->json, "Print JSON");
  add_input_size(*verb, options->input_sizes);
  verb->callback([options] { compare(*options); });
}

}  // namespace octet::cli

#include "octet/quantize/compare.h"

#include <iostream>
#include <nlohmann/json.hpp>

#include "octet/cli/common.h"
#include "octet/cli/table.h"
#include "octet/cli/verbs.h"

namespace octet::cli {
namespace {

// JSON has no infinity; equal values are null there.
nlohmann::ordered_json decibel(double sqnr) {
  return std::isfinite(sqnr) ? nlohmann::ordered_json(sqnr) : nlohmann::ordered_json(nullptr);
}

}  // namespace

void compare(const CompareArguments& arguments) {
  auto float_model = open_model(arguments.model);
  ModelArguments quantized_model = arguments.model;
  quantized_model.path = arguments.quantized;
  auto quantized = open_model(quantized_model);
  const std::vector<at::Tensor> inputs = read_npy_files(arguments.inputs);
  float_model->train(false);
  quantized->train(false);
  const Comparison result = compare_models(*float_model, *quantized, inputs);
  if (arguments.json) {
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
    std::cout << "output " << i << ": SQNR " << decibel_text(result.output_sqnr_db[i], 2) << " dB\n";
  }
  Table table({"SQNR dB", "layer", "op"});
  for (const LayerComparison& layer : result.layers) table.row({decibel_text(layer.sqnr_db, 2), layer.name, layer.op});
  std::cout << '\n' << table.text();
}

}  // namespace octet::cli

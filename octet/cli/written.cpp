#include "octet/cli/written.h"

#include <nlohmann/json.hpp>

#include "octet/cli/data.h"
#include "octet/lowering/verify.h"
#include "octet/report/numbers.h"
#include "octet/support/error.h"
#include "octet/support/log.h"
#include "octet/train/loader.h"

namespace octet::cli {
namespace {

constexpr double kShareBeyond = 1e-3;  // of a value's elements, which rounding alone may put beyond a step

// As many rows as the program takes; nothing where there are fewer.
std::vector<at::Tensor> first_rows(const tflite::Model& program, const std::vector<at::Tensor>& sample) {
  if (sample.size() != program.inputs.size()) return {};
  std::vector<at::Tensor> rows;
  for (size_t i = 0; i < sample.size(); ++i) {
    const std::vector<int64_t>& shape = program.tensors[static_cast<size_t>(program.inputs[i])].shape;
    if (shape.empty() != (sample[i].dim() == 0)) return {};
    if (!shape.empty() && sample[i].size(0) < shape[0]) return {};
    rows.push_back(shape.empty() ? sample[i] : sample[i].slice(0, 0, shape[0]).contiguous());
  }
  return rows;
}

const ValueDeviation* worst_alone(const Verification& found) {
  const ValueDeviation* worst = nullptr;
  for (const auto* values : {&found.layers, &found.outputs}) {
    for (const ValueDeviation& value : *values) {
      const double allowed = kShareBeyond * static_cast<double>(value.elements);
      if (static_cast<double>(value.alone.beyond_a_step) <= allowed) continue;
      if (worst == nullptr || value.alone.most_steps > worst->alone.most_steps) worst = &value;
    }
  }
  return worst;
}

}  // namespace

void warn_where_they_part(const GraphModule& model, const tflite::Model& program, const std::vector<at::Tensor>& sample,
                          const std::string& path) {
  try {
    const std::vector<at::Tensor> inputs = first_rows(program, sample);
    if (inputs.empty()) return;
    const Verification found = verify(*model.copy(), program, inputs);
    const ValueDeviation* worst = worst_alone(found);
    if (worst == nullptr) return;
    log::warn("[", path, "] parts from the model on a calibration sample: ", worst->op, " '", worst->name,
              "' by itself is up to ", report::fixed(worst->alone.most_steps, 1), " steps off, more than one in ",
              worst->alone.beyond_a_step, " of ", worst->elements, " values; octet verify shows each operator");
  } catch (const Error& error) {
    log::debug("[", path, "] was not compared with the model: ", error.what());
  }
}

void warn_where_they_part(const GraphModule& model, const tflite::Model& program, const std::string& config,
                          const std::string& path) {
  const auto json = nlohmann::json::parse(config, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object() || !json.contains("calibration") || !json["calibration"].is_object()) return;
  const nlohmann::json& spec = json["calibration"].value("data", nlohmann::json());
  if (!spec.is_string()) return;
  try {
    const std::shared_ptr<GraphModule> copy = model.copy();
    DataArguments choice;
    choice.spec = spec.get<std::string>();
    const std::vector<int64_t>& shape = program.tensors[static_cast<size_t>(program.inputs.at(0))].shape;
    choice.samples = shape.empty() ? 1 : shape[0];
    const ModelData data = open_data_for(*copy, choice, Split::kTrain, 1);
    LoaderOptions loading;
    loading.batch_size = data.source->gives_sets() ? 1 : choice.samples;
    loading.transform = data.transform;
    for (const Batch& batch : Loader(data.source, loading).epoch(0)) {
      warn_where_they_part(*copy, program, batch.inputs, path);
      return;
    }
  } catch (const Error& error) {
    log::debug("[", path, "] was not compared with the model: ", error.what());
  }
}

}  // namespace octet::cli

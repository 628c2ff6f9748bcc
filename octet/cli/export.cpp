#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "octet/cli/common.h"
#include "octet/cli/output.h"
#include "octet/cli/print.h"
#include "octet/cli/quantizer.h"
#include "octet/cli/verbs.h"
#include "octet/cli/written.h"
#include "octet/integer/memory_plan.h"
#include "octet/lowering/part.h"
#include "octet/quantize/compare.h"
#include "octet/quantize/encodings.h"
#include "octet/quantize/qdq.h"
#include "octet/report/model_reports.h"
#include "octet/report/node_data.h"
#include "octet/support/atomic_write.h"
#include "octet/support/error.h"
#include "octet/support/json_text.h"
#include "octet/support/log.h"
#include "octet/targets/engine/placement/check.h"

namespace octet::cli {
namespace {

std::shared_ptr<GraphModule> part_to_write(const ExportArguments& arguments, std::shared_ptr<GraphModule> model,
                                           const std::string& config) {
  if (!arguments.from.empty() || !arguments.to.empty()) model = part_of(*model, {arguments.from, arguments.to});
  if (!arguments.prefix) return model;
  const Prefix prefix = largest_prefix(*model, lowering_options(arguments.writing, config));
  for (const std::string& why : prefix.refused) log::warn("left out: ", why);
  if (!prefix.refused.empty()) log::info("the part that is written ends with ", join(", ", prefix.results));
  return prefix.part;
}

// "x.json" is "x.sqnr.json".
std::string beside(const std::string& path) {
  std::filesystem::path changed(path);
  return changed.replace_extension(".sqnr" + changed.extension().string()).string();
}

std::vector<std::string> write_overlays(const ExportArguments& arguments, GraphModule& model) {
  std::vector<std::string> written = {arguments.model_explorer};
  targets::TableQuantizer quantizer = quantizer_beside(arguments.model.path, is_quantized(model));
  const targets::Check check = targets::check_model(model, quantizer);
  atomic_write(written[0], json_text(report::placement_node_data(check.placement), 2) + "\n");
  if (arguments.float_model.empty()) return written;
  ModelArguments opened = arguments.model;
  opened.path = arguments.float_model;
  const auto float_model = open_model(opened);
  std::vector<at::Tensor> inputs = read_npy_files(arguments.inputs);
  if (inputs.empty()) inputs = random_inputs(*float_model);
  float_model->train(false);
  model.train(false);
  const Comparison comparison = compare_models(*quantizer.explain(*float_model).model, model, inputs);
  written.push_back(beside(arguments.model_explorer));
  atomic_write(written[1], json_text(report::noise_node_data(comparison), 2) + "\n");
  return written;
}

}  // namespace

void export_model(const ExportArguments& arguments) {
  if (arguments.tflite.empty() && arguments.pt2.empty() && arguments.encodings.empty() &&
      arguments.model_explorer.empty()) {
    throw Error("", "--tflite, --pt2, --encodings or --model-explorer is required", ErrorCategory::kUsage);
  }
  const bool has_noise = !arguments.model_explorer.empty() && !arguments.float_model.empty();
  check_outputs({arguments.tflite, arguments.pt2, arguments.encodings, arguments.model_explorer,
                 has_noise ? beside(arguments.model_explorer) : ""},
                {arguments.model.path, arguments.float_model});
  const std::string config = config_beside(arguments.model.path);
  const auto model = part_to_write(arguments, open_model(arguments.model), config);
  report::ExportReport report;
  if (!arguments.tflite.empty()) {
    const tflite::Model program =
        write_tflite(*model, arguments.tflite, lowering_options(arguments.writing, config), config);
    const auto in_float = std::count_if(program.operators.begin(), program.operators.end(), [&](const auto& op) {
      return program.tensors[static_cast<size_t>(op.outputs.front())].type == tflite::Type::kFloat32;
    });
    report.tflite = {arguments.tflite, static_cast<int64_t>(program.operators.size()), in_float,
                     integer::plan_memory(program)};
    warn_where_they_part(*model, program, config, arguments.tflite);
  }
  if (!arguments.pt2.empty()) {
    write_pt2_file(*model, arguments.pt2, arguments.writing.pt2_layout);
    report.pt2 = {arguments.pt2, arguments.writing.pt2_layout};
  }
  if (!arguments.encodings.empty()) {
    const nlohmann::ordered_json json = encodings(*model);
    atomic_write(arguments.encodings, json_text(json, 2) + "\n");
    report.encodings = {arguments.encodings, static_cast<int64_t>(json.at("encodings").size())};
  }
  if (!arguments.model_explorer.empty()) report.overlays = write_overlays(arguments, *model);
  print(report, arguments.json);
}

}  // namespace octet::cli

#include "octet/cli/output.h"

#include <filesystem>
#include <nlohmann/json.hpp>
#include <set>

#include "octet/cli/written.h"
#include "octet/formats/container.h"
#include "octet/formats/json.h"
#include "octet/formats/pt2_writer.h"
#include "octet/graph/written_buffers.h"
#include "octet/quantize/freeze.h"
#include "octet/quantize/qdq.h"
#include "octet/support/atomic_write.h"
#include "octet/support/budget.h"
#include "octet/support/byte_source.h"
#include "octet/support/error.h"
#include "octet/support/json_text.h"
#include "octet/targets/targets.h"
#include "octet/version.h"

namespace octet::cli {
namespace {

bool ends_with(const std::string& path, const std::string& ending) {
  return path.size() > ending.size() && path.compare(path.size() - ending.size(), ending.size(), ending) == 0;
}

// The target that a config's JSON text names. One of another octet, or none: the standard one.
const targets::Target& target_of(const std::string& config) {
  const auto json = nlohmann::json::parse(config, nullptr, /*allow_exceptions=*/false);
  for (const auto& target : all_targets().all()) {
    if (json.is_object() && json.value("target", nlohmann::json()) == target->name) return *target;
  }
  return *all_targets().standard();
}

}  // namespace

void check_outputs(const std::vector<std::string>& outputs, const std::vector<std::string>& read) {
  namespace fs = std::filesystem;
  std::error_code ignored;
  std::set<fs::path> taken, written;
  for (const std::string& path : read) {
    if (fs::is_regular_file(path, ignored)) taken.insert(fs::weakly_canonical(path, ignored));
  }
  for (const std::string& path : outputs) {
    // A device or a pipe is looked at by who writes: to open it twice is to end it.
    if (path.empty() || (fs::exists(path, ignored) && fs::is_other(path, ignored))) continue;
    const fs::path whole = fs::weakly_canonical(path, ignored);
    if (taken.contains(whole)) {
      throw Error(path, "would be written over, and is read").hint("name another file").as(ErrorCategory::kUsage);
    }
    if (!written.insert(whole).second) throw Error(path, "is to be written twice", ErrorCategory::kUsage);
    const AtomicFile can_be_written(path);
  }
}

LoweringOptions lowering_options(const OutputArguments& writing, const std::string& config) {
  LoweringOptions options;
  options.form = writing.plain ? LoweringForm::kPlain : target_of(config).form;
  options.nhwc_io = writing.nhwc_io;
  options.float_io = writing.float_io;
  options.uint8_io = writing.uint8_io;
  options.per_tensor_fc = writing.per_tensor_fc;
  options.batch = writing.batch;
  return options;
}

tflite::Model write_tflite(const GraphModule& model, const std::string& path, const LoweringOptions& options,
                           const std::string& config) {
  if (!is_quantized(model)) {
    throw Error(path, "the model is not quantized").hint("octet quantize or octet train --qat it first");
  }
  tflite::Model program = lower(model, options);
  std::vector<std::string> states;
  for (const Node* buffer : written_buffers(model)) states.push_back("'" + buffer->target() + "'");
  if (!states.empty()) {
    log::warn("[", path, "] keeps nothing from run to run: ", join(", ", states),
              ", which the model writes, begin each run as they are now; make them inputs and results of the model");
  }
  program.description = octet::str("octet ", octet::version());
  for (auto& [name, text] : program.metadata) {
    if (name != kProgramFacts) continue;
    auto facts = nlohmann::ordered_json::parse(text);
    facts["version"] = octet::version();
    if (!config.empty()) facts["config"] = nlohmann::ordered_json::parse(config);
    text = json_text(facts);
  }
  tflite::write(program, path);
  return program;
}

void write_pt2_file(const GraphModule& model, const std::string& path, const std::string& layout) {
  write_pt2(*frozen(model), path, {layout == "legacy" ? Pt2Layout::kLegacy : Pt2Layout::kCurrent});
}

void write_model(const GraphModule& model, const std::string& path, const OutputArguments& writing,
                 const std::string& config, const std::vector<at::Tensor>& sample) {
  if (ends_with(path, ".tflite")) {
    const tflite::Model program = write_tflite(model, path, lowering_options(writing, config), config);
    if (!sample.empty()) warn_where_they_part(model, program, sample, path);
  } else if (ends_with(path, ".pt2")) {
    write_pt2_file(model, path, writing.pt2_layout);
  } else {
    save_octet(model, path);
  }
}

std::string config_beside(const std::string& model) {
  const std::string path = model + ".json";
  if (!std::filesystem::is_regular_file(path)) return {};
  const std::string text = read_file(path, limits::kConfig);
  try {
    parse_json(text, path, {.max_bytes = limits::kConfig, .max_depth = limits::kConfigDepth});
  } catch (const Error&) {
    return {};  // some other file of that name
  }
  return text;
}

}  // namespace octet::cli

#include "octet/cli/common.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Parallel.h>
#include <ATen/core/Generator.h>
#include <c10/util/Exception.h>

#include <mutex>
#include <set>
#include <sstream>
#include <utility>
#include <vector>

#include "octet/cli/named_model.h"
#include "octet/formats/model_file.h"
#include "octet/formats/npy.h"
#include "octet/formats/tflite.h"
#include "octet/graph/libtorch_error.h"
#include "octet/lowering/batch.h"
#include "octet/lowering/program_graph.h"
#include "octet/lowering/stats.h"
#include "octet/support/error.h"
#include "octet/support/log.h"
#include "octet/support/memory_limit.h"

namespace octet::cli {

namespace {

// libtorch warns wherever it is called, often once a call: a line each, once, and none beside an error, which stands
// alone.
class HeldWarnings : public c10::WarningHandler {
 public:
  void process(const c10::Warning& warning) override {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (known_.insert(warning.msg()).second) held_.push_back(warning.msg());
  }

  void say() {
    const std::lock_guard<std::mutex> lock(mutex_);
    for (const std::string& text : std::exchange(held_, {})) log::warn(text);
  }

 private:
  std::mutex mutex_;
  std::set<std::string> known_;
  std::vector<std::string> held_;
};

HeldWarnings& warnings_of_libtorch() {
  static HeldWarnings warnings;
  return warnings;
}

}  // namespace

void apply(const GlobalArguments& globals) {
  c10::WarningUtils::set_warning_handler(&warnings_of_libtorch());
  limit_memory_to_available();  // what a file asks for is an error, and no end of this or another process
  if (globals.threads > 0) at::set_num_threads(globals.threads);
  if (globals.quiet) log::set_level(log::Level::kWarning);
  // at::manual_seed would look for devices, which libtorch does once: before --device has loaded what brings them.
  at::Generator generator = at::detail::getDefaultCPUGenerator();
  const std::lock_guard<std::mutex> lock(generator.mutex());
  generator.set_current_seed(globals.seed.value_or(0));
}

void say_held_warnings() { warnings_of_libtorch().say(); }

std::string message_of(const std::exception& error) {
  if (dynamic_cast<const std::bad_alloc*>(&error) != nullptr) return "there is not enough memory";
  const std::string text = plain_message(error);
  constexpr std::string_view kAsked = "you tried to allocate ";
  const size_t asked = text.find(kAsked);
  if (asked == text.npos) return text;
  const std::string bytes = text.substr(asked + kAsked.size());
  return octet::str("there is not enough memory: ", bytes.substr(0, bytes.find('.')), " were asked for at once");
}

std::vector<int64_t> parse_sizes(const std::string& text) {
  std::vector<int64_t> sizes;
  std::stringstream stream(text);
  for (std::string part; std::getline(stream, part, ',');) {
    try {
      size_t read = 0;
      sizes.push_back(std::stoll(part, &read));
      if (read != part.size() || sizes.back() < 1) throw std::invalid_argument(part);
    } catch (const std::exception&) {
      throw expected("--input-size", "sizes", "positive numbers such as 1,3,224,224", "'" + text + "'");
    }
  }
  return sizes;
}

void free_batch(GraphModule& module, const std::string& where) {
  try {
    make_batch_flexible(module);
  } catch (const Error& error) {
    log::debug("[", where, "] stays at its batch: ", error.what());
  }
}

namespace {

// Converters write batch 1 wherever the model leaves it open.
std::shared_ptr<GraphModule> open_tflite(const std::string& path) {
  std::shared_ptr<GraphModule> module = load_tflite(path);
  free_batch(*module, path);
  return module;
}

}  // namespace

bool is_program(const ModelArguments& model) {
  if (is_named(model)) return false;
  refuse_flags_of_named(model);
  refuse_unknown_name(model);
  return tflite::is_tflite(model.path);
}

std::shared_ptr<GraphModule> open_model(const ModelArguments& model) {
  if (is_named(model)) return build_named(model);
  if (is_program(model)) return open_tflite(model.path);
  ModelFileOptions options;
  options.operators = AllowedOperators(model.allow_operators);
  for (const std::string& text : model.input_sizes) options.input_sizes.push_back(parse_sizes(text));
  return load_model(model.path, options);
}

std::shared_ptr<GraphModule> at_sizes(const std::shared_ptr<GraphModule>& model, const ModelArguments& file,
                                      const std::vector<std::vector<int64_t>>& sizes) {
  if (is_program(file)) return model;
  ModelArguments sized = file;
  sized.input_sizes.clear();
  for (const std::vector<int64_t>& each : sizes) sized.input_sizes.push_back(join(",", each));
  try {
    return open_model(sized);
  } catch (const Error&) {
    return model;
  }
}

std::vector<at::Tensor> read_npy_files(const std::vector<std::string>& paths) {
  std::vector<at::Tensor> arrays;
  for (const std::string& path : paths) arrays.push_back(read_npy_input(path));
  return arrays;
}

std::vector<at::Tensor> random_inputs(const GraphModule& module) {
  std::vector<at::Tensor> inputs = example_inputs(module);
  for (at::Tensor& input : inputs) {
    if (input.is_floating_point()) input = at::randn_like(input);
  }
  return inputs;
}

int64_t model_bytes(const GraphModule& module) {
  const ModelStats stats = model_stats(module);
  return stats.parameter_bytes + stats.buffer_bytes;
}

}  // namespace octet::cli

#include <iostream>
#include <nlohmann/json.hpp>

#include "octet/cli/common.h"
#include "octet/cli/output.h"
#include "octet/cli/verbs.h"
#include "octet/integer/memory_plan.h"
#include "octet/quantize/encodings.h"
#include "octet/support/atomic_write.h"
#include "octet/support/error.h"

namespace octet::cli {
namespace {

struct Options {
  std::string model;
  std::string tflite;
  std::string pt2;
  std::string encodings;
  OutputFlags flags;
  std::vector<std::string> input_sizes;
};

void export_model(const Options& options) {
  if (options.tflite.empty() && options.pt2.empty() && options.encodings.empty()) {
    throw CLI::RequiredError("--tflite, --pt2 or --encodings");
  }
  const auto model = open_model(options.model, options.input_sizes);
  if (!options.tflite.empty()) {
    const tflite::Model program =
        write_tflite(*model, options.tflite, options.flags.lowering, config_beside(options.model));
    const integer::MemoryPlan memory = integer::plan_memory(program);
    size_t islands = 0;
    for (const tflite::Operator& op : program.operators) {
      const tflite::Tensor& result = program.tensors[static_cast<size_t>(op.outputs.front())];
      islands += result.type == tflite::Type::kFloat32 ? 1 : 0;
    }
    std::cout << options.tflite << ": " << program.operators.size() << " operators"
              << (islands > 0 ? octet::str(", ", islands, " of them in float") : "") << "; arena "
              << bytes_text(memory.arena_bytes) << ", most alive at one step " << bytes_text(memory.peak_bytes) << '\n';
  }
  if (!options.pt2.empty()) {
    write_pt2_file(*model, options.pt2, options.flags.pt2_layout);
    std::cout << options.pt2 << ": " << options.flags.pt2_layout << " layout\n";
  }
  if (!options.encodings.empty()) {
    const nlohmann::ordered_json json = encodings(*model);
    atomic_write(options.encodings, json.dump(2) + "\n");
    std::cout << options.encodings << ": " << json.at("encodings").size() << " encodings\n";
  }
}

}  // namespace

void add_export(CLI::App& program) {
  auto options = std::make_shared<Options>();
  CLI::App* verb = program.add_subcommand(
      "export", "Write a quantized model for other tools: .tflite, .pt2 for PyTorch and ExecuTorch, encodings as JSON");
  verb->add_option("MODEL", options->model, "Quantized model; for --pt2 also a float or a prepared one")->required();
  verb->add_option("--tflite", options->tflite, "int8 .tflite to write");
  verb->add_option("--pt2", options->pt2, ".pt2 to write");
  verb->add_option("--encodings", options->encodings, "JSON of every scale and zero point to write");
  add_output_flags(*verb, options->flags);
  add_input_size(*verb, options->input_sizes);
  verb->callback([options] { export_model(*options); });
}

}  // namespace octet::cli

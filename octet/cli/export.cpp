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
void export_model(const ExportArguments& arguments) {
  if (arguments.tflite.empty() && arguments.pt2.empty() && arguments.encodings.empty()) {
    throw Error("", "--tflite, --pt2 or --encodings is required", ErrorCategory::kUsage);
  }
  const auto model = open_model(arguments.model);
  if (!arguments.tflite.empty()) {
    const std::string config = config_beside(arguments.model.path);
    const tflite::Model program =
        write_tflite(*model, arguments.tflite, lowering_options(arguments.writing, config), config);
    const integer::MemoryPlan memory = integer::plan_memory(program);
    size_t islands = 0;
    for (const tflite::Operator& op : program.operators) {
      const tflite::Tensor& result = program.tensors[static_cast<size_t>(op.outputs.front())];
      islands += result.type == tflite::Type::kFloat32 ? 1 : 0;
    }
    std::cout << arguments.tflite << ": " << program.operators.size() << " operators"
              << (islands > 0 ? octet::str(", ", islands, " of them in float") : "") << "; arena "
              << bytes_text(memory.arena_bytes) << ", most alive at one step " << bytes_text(memory.peak_bytes) << '\n';
  }
  if (!arguments.pt2.empty()) {
    write_pt2_file(*model, arguments.pt2, arguments.writing.pt2_layout);
    std::cout << arguments.pt2 << ": " << arguments.writing.pt2_layout << " layout\n";
  }
  if (!arguments.encodings.empty()) {
    const nlohmann::ordered_json json = encodings(*model);
    atomic_write(arguments.encodings, json.dump(2) + "\n");
    std::cout << arguments.encodings << ": " << json.at("encodings").size() << " encodings\n";
  }
}

}  // namespace octet::cli

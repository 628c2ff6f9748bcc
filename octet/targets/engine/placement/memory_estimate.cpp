#include "octet/targets/engine/placement/memory_estimate.h"

#include <algorithm>

#include "octet/formats/dtype.h"
#include "octet/integer/memory_plan.h"
#include "octet/lowering/facts.h"
#include "octet/lowering/lowering.h"
#include "octet/support/bytes_text.h"
#include "octet/support/error.h"

namespace octet::targets {
namespace {

// The node of the operator, as placement names it.
std::string place_of(const tflite::Model& program, int64_t step, const Graph& graph) {
  const auto facts = lowering::facts_of(program);
  const auto index = static_cast<size_t>(step);
  if (facts && index < facts->operators.size()) {
    const Node* node = graph.find(facts->operators[index].node);
    if (node != nullptr) return node->where();
  }
  return tflite::op_name(program.operators[index].code);
}

}  // namespace

MemoryEstimate estimate_memory(const GraphModule& converted, const Target& target) {
  MemoryEstimate memory;
  memory.on_chip_bytes = target.on_chip_bytes;
  tflite::Model program;
  try {
    LoweringOptions options;
    options.form = target.form;
    program = lower(converted, options);
  } catch (const Error& error) {
    memory.missing = error.what();
    return memory;
  }
  const integer::MemoryPlan plan = integer::plan_memory(program);
  memory.arena_bytes = plan.arena_bytes;
  memory.peak_bytes = plan.peak_bytes;
  memory.constant_bytes = integer::constant_bytes(program);
  if (plan.peak_step >= 0) memory.peak_at = place_of(program, plan.peak_step, converted.graph());
  for (const int32_t index : plan.at_peak) {
    const tflite::Tensor& tensor = program.tensors[static_cast<size_t>(index)];
    memory.at_peak.push_back(
        {tensor.name, {tensor.shape.begin(), tensor.shape.end()}, tensor.numel() * tflite::type_size(tensor.type)});
  }
  return memory;
}

std::vector<Warning> memory_warnings(const MemoryEstimate& memory, const Target& target) {
  if (!memory.is_known() || memory.fits()) return {};
  constexpr size_t kNamed = 3;
  std::string largest;
  for (size_t i = 0; i < std::min(kNamed, memory.at_peak.size()); ++i) {
    const MemoryEstimate::Tensor& tensor = memory.at_peak[i];
    largest += octet::str(i > 0 ? ", " : "", "'", tensor.name, "' ", sizes_text(tensor.shape), " (",
                          bytes_text(tensor.bytes), ")");
  }
  return {{memory.peak_at,
           octet::str("activations take about ", bytes_text(memory.arena_bytes), ", more than the ",
                      bytes_text(memory.on_chip_bytes), " on the chip of ", target.name,
                      ": the compiler may leave operators to the CPU; the most are alive here: ", largest),
           "a smaller input (--input-size tries one), fewer channels or an earlier stride at the tensors named"}};
}

}  // namespace octet::targets

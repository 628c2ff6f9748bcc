#include "octet/lowering/verify.h"

#include <cmath>
#include <iostream>
#include <nlohmann/json.hpp>

#include "octet/cli/common.h"
#include "octet/cli/table.h"
#include "octet/cli/verbs.h"
#include "octet/quantize/qdq.h"
#include "octet/support/error.h"

namespace octet::cli {
namespace {

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

}  // namespace

void verify(const VerifyArguments& arguments) {
  const auto model = open_model(arguments.model);
  if (!is_quantized(*model))
    throw Error(arguments.model.path, "is not quantized").hint("give the model that was exported");
  const tflite::Model program = tflite::read(arguments.program);
  const std::vector<at::Tensor> inputs = read_npy_files(arguments.inputs);
  const Verification found = octet::verify(*model, program, inputs);
  if (arguments.json) {
    std::cout
        << nlohmann::ordered_json({{"outputs", to_json(found.outputs)}, {"layers", to_json(found.layers)}}).dump(2)
        << '\n';
    return;
  }
  const auto row = [](const ValueDeviation& value) {
    return std::vector<std::string>{octet::str(value.whole.different, " of ", value.elements),
                                    fixed(value.whole.most_steps, 1),
                                    decibel_text(value.whole.sqnr_db, 1),
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
              << fixed(output.whole.most_steps, 1) << " steps; SQNR " << decibel_text(output.whole.sqnr_db, 1)
              << " dB\n";
  }
}

}  // namespace octet::cli

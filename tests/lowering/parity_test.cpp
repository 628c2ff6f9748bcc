// Every golden case, lowered and run in integers, against its quantize-dequantize program in float.

#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <iomanip>

#include "octet/integer/executor.h"
#include "octet/lowering/lowering.h"
#include "octet/lowering/verify.h"
#include "tests/lowering/golden_case.h"
#include "tests/lowering/program_diff.h"

namespace octet {
namespace {

// Programs that TFLite has no operator for.
const std::map<std::string, std::string>& not_lowered() {
  static const std::map<std::string, std::string> cases = {
      {"limit_conv3d", "aten.conv3d.default is not written by octet, though TFLite has CONV_3D"},
  };
  return cases;
}

struct ParityCase {
  std::string name;
  bool is_qat;
};
void PrintTo(const ParityCase& each, std::ostream* out) { *out << each.name << (each.is_qat ? " qat" : " ptq"); }

std::vector<ParityCase> all_cases() {
  std::vector<ParityCase> cases;
  for (const std::string& name : test::GoldenCase::all()) {
    for (const bool is_qat : {false, true}) cases.push_back({name, is_qat});
  }
  return cases;
}

class IntegerParity : public testing::TestWithParam<ParityCase> {};

TEST_P(IntegerParity, WithinAStepOfTheFloatProgram) {
  const auto& [name, is_qat] = GetParam();
  const test::GoldenCase golden(name);
  const auto quantized = golden.quantize(is_qat);
  const auto refused = not_lowered().find(name);
  if (refused != not_lowered().end()) {
    try {
      lower(*quantized);
      FAIL() << "is lowered: take it off the list";
    } catch (const Error& error) {
      EXPECT_NE(std::string(error.what()).find(refused->second), std::string::npos) << error.what();
    }
    return;
  }
  // The test input, then the calibration samples.
  std::vector<std::vector<at::Tensor>> runs = {golden.arrays("test_")};
  for (int i = 0; golden.has(octet::str("calib_", i, "_0.npy")); ++i) {
    runs.push_back(golden.arrays(octet::str("calib_", i, "_")));
  }
  const tflite::Model program = lower(*quantized);
  int64_t elements = 0, beyond = 0;
  double most_alone = 0.0, most_whole = 0.0, signal = 0.0, noise = 0.0;
  for (const auto& inputs : runs) {
    const Verification found = verify(*quantized, program, inputs);
    ASSERT_FALSE(found.outputs.empty());
    for (const auto* values : {&found.layers, &found.outputs}) {
      for (const ValueDeviation& value : *values) {
        elements += value.elements;
        beyond += value.alone.beyond_a_step;
        most_alone = std::max(most_alone, value.alone.most_steps);
        EXPECT_LE(static_cast<double>(value.alone.beyond_a_step), 1e-3 * static_cast<double>(value.elements))
            << value.op << " '" << value.name << "', " << value.alone.most_steps << " steps";
      }
    }
    for (const ValueDeviation& output : found.outputs) most_whole = std::max(most_whole, output.whole.most_steps);
    const std::vector<at::Tensor> wanted = quantized->run(inputs);
    const std::vector<at::Tensor> got = integer::Executor(program).run_dequantized(inputs);
    for (size_t j = 0; j < got.size(); ++j) {
      signal += wanted[j].to(at::kDouble).square().sum().item<double>();
      noise += (wanted[j] - got[j]).to(at::kDouble).square().sum().item<double>();
    }
  }
  const double sqnr = noise == 0.0 ? std::numeric_limits<double>::infinity() : 10 * std::log10(signal / noise);
  if (const char* table = std::getenv("OCTET_PARITY_TABLE")) {
    std::ofstream(table, std::ios::app) << "| " << name << (is_qat ? " | QAT | " : " | PTQ | ") << std::fixed
                                        << std::setprecision(3)
                                        << 100.0 - 100.0 * static_cast<double>(beyond) / static_cast<double>(elements)
                                        << " | " << std::setprecision(1) << most_alone << " | " << most_whole << " | "
                                        << sqnr << " |\n";
  }
  EXPECT_LE(static_cast<double>(beyond), 1e-3 * static_cast<double>(elements)) << "up to " << most_alone << " steps";
  if (name.rfind("net_", 0) == 0) {
    EXPECT_GE(sqnr, 40.0);
  }
}

INSTANTIATE_TEST_SUITE_P(Cases, IntegerParity, testing::ValuesIn(all_cases()),
                         [](const auto& each) { return each.param.name + (each.param.is_qat ? "_qat" : "_ptq"); });

}  // namespace
}  // namespace octet

// Every case of tests/data/golden/cases, in every mode of every other target, against what the Python reference
// computed: rows of all, outputs of the small ones.

#include <gtest/gtest.h>
#include <zlib.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>

#include "octet/formats/npy.h"
#include "octet/formats/pt2.h"
#include "octet/quantize/rows.h"
#include "octet/support/error.h"
#include "octet/targets/engine/calibrate_and_quantize.h"
#include "octet/targets/engine/table_quantizer.h"
#include "octet/targets/targets.h"
#include "tests/support/test_data.h"
#include "tests/targets/target_rows.h"

namespace octet {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

struct Mode {
  std::string target;
  std::string name;
  test::GridTolerance tolerance = {};
};
void PrintTo(const Mode& mode, std::ostream* out) { *out << mode.target << ' ' << mode.name; }

constexpr double kLeastSqnr = 25.0;  // of an output, dB

std::vector<Mode> all_modes() {
  const test::GridTolerance coreml = {.activation_scale = 5e-3};  // later observers see what earlier ones rounded
  const test::GridTolerance coreml_qat = {.activation_scale = 1e-2, .activation_steps = 2};
  const test::GridTolerance qnn_16 = {.activation_steps = 33};
  return {{"coreml", "static-symmetric", coreml},
          {"coreml", "static-affine", coreml},
          {"coreml", "weight-only", coreml},
          {"coreml", "weight-only-affine", coreml},
          {"coreml", "qat-symmetric", coreml_qat},
          {"qnn", "8a8w-per-tensor"},
          {"qnn", "8a8w-per-channel"},
          {"qnn", "16a8w-per-tensor", qnn_16},
          {"qnn", "16a8w-per-channel", qnn_16},
          {"qnn", "16a4w-per-channel", qnn_16},
          {"qnn", "16a4w-block", qnn_16},
          {"qnn", "qat-8a8w-per-channel", {.activation_scale = 1e-2, .activation_steps = 2}},
          {"intx", "weight-int8-channel"},
          {"intx", "weight-int4-channel"},
          {"intx", "weight-int2-group8"},
          {"intx", "weight-int4-group8"},
          {"intx", "weight-int4-group8-asymmetric"},
          {"intx", "weight-int4-group32"},
          {"intx", "dynamic-int8-channel"},
          {"intx", "dynamic-int4-channel"},
          {"intx", "dynamic-int4-group8"},
          {"intx", "dynamic-int4-group8-no-clipping"},
          {"intx", "dynamic-int4-group32"}};
}

// Where a target does otherwise than its reference, "TARGET/MODE/CASE" or "TARGET/*/CASE", and under which heading
// docs/deviations.md says why.
std::string deviation(const Mode& mode, const std::string& name) {
  static const std::map<std::string, std::string> known = {};
  for (const std::string& in : {mode.name, std::string("*")}) {
    const auto found = known.find(mode.target + '/' + in + '/' + name);
    if (found != known.end()) return found->second;
  }
  return "";
}

Json unpacked(const std::string& path) {
  const gzFile file = gzopen(path.c_str(), "rb");
  EXPECT_NE(file, nullptr) << path;
  std::string text;
  std::vector<char> part(1 << 20);
  for (int count = 0; (count = gzread(file, part.data(), static_cast<unsigned>(part.size()))) > 0;)
    text.append(part.data(), static_cast<size_t>(count));
  gzclose(file);
  return Json::parse(text);
}

std::string case_file(const std::string& name, const std::string& leaf) {
  return test::data("golden/cases/" + name + "/" + leaf);
}

std::vector<at::Tensor> tensors(const std::string& name, const std::string& prefix) {
  std::vector<at::Tensor> read;
  for (int64_t j = 0; fs::exists(case_file(name, str(prefix, j, ".npy"))); ++j)
    read.push_back(read_npy(case_file(name, str(prefix, j, ".npy"))));
  return read;
}

std::vector<std::vector<at::Tensor>> samples(const std::string& name) {
  std::vector<std::vector<at::Tensor>> all;
  for (int64_t i = 0; fs::exists(case_file(name, str("calib_", i, "_0.npy"))); ++i)
    all.push_back(tensors(name, str("calib_", i, "_")));
  return all;
}

class TargetGoldenTest : public testing::TestWithParam<Mode> {
 protected:
  std::shared_ptr<GraphModule> quantize(const std::string& name) const {
    const auto& target = all_targets().find(GetParam().target);
    targets::TableQuantizer quantizer(target, {.scheme = GetParam().name});
    return calibrate_and_quantize(load_pt2(case_file(name, "model.pt2")), samples(name), quantizer);
  }
};

double sqnr(const at::Tensor& reference, const at::Tensor& value) {
  const double noise = (reference - value).norm().item<double>();
  return noise == 0.0 ? INFINITY : 20 * std::log10(reference.norm().item<double>() / noise);
}

TEST_P(TargetGoldenTest, EqualsTheReference) {
  const Json recorded =
      unpacked(test::data("golden/targets/" + GetParam().target + "/" + GetParam().name + ".json.gz"));
  size_t compared = 0;
  for (const auto& [name, wanted] : recorded.at("cases").items()) {
    SCOPED_TRACE(name);
    ASSERT_TRUE(fs::exists(case_file(name, "model.pt2")));
    ++compared;
    const auto quantized = quantize(name);
    if (!deviation(GetParam(), name).empty()) continue;
    const auto found =
        test::TargetRows::differences(to_json(quantization_rows(*quantized)), wanted, GetParam().tolerance);
    EXPECT_TRUE(found.empty()) << found.size() << " differences: " << (found.empty() ? "" : found.front());
    if (!recorded.at("outputs").contains(name)) continue;
    const std::vector<float> values = recorded.at("outputs").at(name);
    const at::Tensor output = quantized->run(tensors(name, "test_")).at(0).flatten();
    const at::Tensor expected = at::tensor(values);
    ASSERT_EQ(output.numel(), expected.numel());
    EXPECT_GE(sqnr(expected, output), kLeastSqnr);
  }
  EXPECT_EQ(compared, recorded.at("cases").size());
  for (const std::string name : recorded.at("nothing")) {
    if (!deviation(GetParam(), name).empty()) continue;
    SCOPED_TRACE(name);
    for (const QuantRow& row : quantization_rows(*quantize(name))) {
      EXPECT_FALSE(row.output ||
                   std::any_of(row.inputs.begin(), row.inputs.end(), [](const auto& in) { return in.has_value(); }))
          << row.op << " is quantized";
    }
  }
  // What the reference can't, we can.
  for (const std::string name : recorded.at("fails")) {
    SCOPED_TRACE(name);
    const at::Tensor expected = read_npy(case_file(name, "float_out.npy"));
    EXPECT_EQ(quantize(name)->run(tensors(name, "test_")).at(0).sizes(), expected.sizes());
  }
}

INSTANTIATE_TEST_SUITE_P(Modes, TargetGoldenTest, testing::ValuesIn(all_modes()), [](const auto& test) {
  std::string name = test.param.target + "_" + test.param.name;
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
});

TEST(TargetGolden, EveryModeIsThere) {
  size_t files = 0;
  for (const auto& entry : fs::recursive_directory_iterator(test::data("golden/targets")))
    files += entry.path().extension() == ".gz";
  EXPECT_EQ(all_modes().size(), files);
}

}  // namespace
}  // namespace octet

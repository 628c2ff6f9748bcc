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

// Later observers see what earlier ones rounded.
constexpr test::GridTolerance kCoreMl = {.activation_scale = 5e-3};
constexpr test::GridTolerance k16Bits = {.activation_steps = 33};
constexpr test::GridTolerance kInTraining = {.activation_scale = 1e-2, .activation_steps = 2};
constexpr test::GridTolerance k16BitsInTraining = {.activation_scale = 1e-2, .activation_steps = 514};

std::vector<Mode> all_modes() {
  return {{"xnnpack", "static-per-channel"},
          {"xnnpack", "static-per-tensor"},
          {"xnnpack", "dynamic-per-channel"},
          {"xnnpack", "qat-per-channel", kInTraining},
          {"coreml", "static-symmetric", kCoreMl},
          {"coreml", "static-affine", kCoreMl},
          {"coreml", "weight-only", kCoreMl},
          {"coreml", "weight-only-affine", kCoreMl},
          {"coreml", "qat-symmetric", kInTraining},
          {"qnn", "8a8w-per-tensor"},
          {"qnn", "8a8w-per-channel"},
          {"qnn", "16a8w-per-tensor", k16Bits},
          {"qnn", "16a8w-per-channel", k16Bits},
          {"qnn", "16a4w-per-channel", k16Bits},
          {"qnn", "16a4w-block", k16Bits},
          {"qnn", "qat-8a8w-per-channel", kInTraining},
          {"qnn", "qat-16a8w-per-channel", k16BitsInTraining},
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

using Settings = std::map<std::string, std::string>;

// Where a target does otherwise than its reference.
struct Deviation {
  std::string heading;  // of docs/deviations.md, where it says why
  Settings back = {};   // under these settings it does as its reference; empty: under none
};

const Settings kQuirks = {{"reference_quirks", "yes"}};
const Deviation kDynamicRelu = {"Convolutions with a relu are quantized dynamically", kQuirks};
const Deviation kTransposedAxis = {"Transposed convolutions are trained per output channel", kQuirks};
const Deviation kLinearBatchNorm = {"BatchNorm behind linear is trained as one with it for XNNPACK too", kQuirks};
const Deviation kJoinedInTraining = {"A concatenation has one grid in training too", kQuirks};
const Deviation kOneGrid = {"Training rounds to the grid that is written", kQuirks};
const Deviation kCoreMlPools = {"Core ML: pools are found without Python's notes"};
const Deviation kEdges = {"A rounding in calibration goes on"};
const Deviation kBatchNormEps = {"BatchNorm keeps its own eps and momentum"};

// By "TARGET/MODE/CASE" or "TARGET/*/CASE"; nullptr: none.
const Deviation* deviation(const Mode& mode, const std::string& name) {
  static const std::map<std::string, Deviation> known = [] {
    std::map<std::string, Deviation> all = {{"xnnpack/qat-per-channel/conv_nobias_bn_relu6", kBatchNormEps},
                                            {"xnnpack/qat-per-channel/net_mobilenet_v2_w025", kOneGrid},
                                            {"coreml/qat-symmetric/conv_nobias_bn_relu6", kBatchNormEps}};
    for (const char* in : {"conv_bn_relu", "conv_groups", "conv_padding_same", "conv_relu", "conv_transpose2d",
                           "conv_transpose_bn_relu", "island_gelu", "island_layer_norm", "island_pow", "island_silu",
                           "limit_convT_padding", "net_shuffle_unit", "net_unet", "op_relu", "op_relu_inplace"}) {
      all[octet::str("xnnpack/dynamic-per-channel/", in)] = kDynamicRelu;
    }
    for (const char* in :
         {"cluster_cat_relu", "cluster_relu_cat", "limit_cat_batch", "net_unet", "op_cat", "op_split"}) {
      all[octet::str("qnn/qat-8a8w-per-channel/", in)] = kJoinedInTraining;
      all[octet::str("qnn/qat-16a8w-per-channel/", in)] = kJoinedInTraining;
    }
    all["qnn/qat-8a8w-per-channel/conv_nobias_bn_relu6"] = kBatchNormEps;
    all["qnn/qat-16a8w-per-channel/limit_cat_alone"] = kJoinedInTraining;
    all["qnn/qat-16a8w-per-channel/conv_nobias_bn_relu6"] = kBatchNormEps;
    for (const char* in : {"linear_3d_relu", "linear_bn_relu"}) {
      all[octet::str("qnn/qat-16a8w-per-channel/", in)] = kOneGrid;
    }
    all["qnn/qat-8a8w-per-channel/net_mobilenet_v2_w025"] = kEdges;
    for (const char* in : {"conv_transpose2d", "conv_transpose_bn_relu", "limit_convT_padding",
                           "limit_convT_padding_kernel", "limit_convT_stride_3"}) {
      all[octet::str("xnnpack/qat-per-channel/", in)] = kTransposedAxis;
    }
    for (const char* in : {"static-symmetric", "static-affine", "qat-symmetric"}) {
      all[octet::str("coreml/", in, "/island_log_softmax_head")] = kCoreMlPools;
      all[octet::str("coreml/", in, "/limit_expand")] = kCoreMlPools;
      all[octet::str("coreml/", in, "/net_mobilenet_v2_w025")] = kEdges;
    }
    for (const char* in : {"linear_bn_relu", "net_autoencoder"}) {
      all[octet::str("xnnpack/qat-per-channel/", in)] = kLinearBatchNorm;
    }
    return all;
  }();
  for (const std::string& in : {mode.name, std::string("*")}) {
    const auto found = known.find(mode.target + '/' + in + '/' + name);
    if (found != known.end()) return &found->second;
  }
  return nullptr;
}

// The settings under which a case is held against its record; nullopt: none does as the reference.
std::optional<Settings> settings(const Mode& mode, const std::string& name) {
  const Deviation* known = deviation(mode, name);
  if (known == nullptr) return Settings();
  return known->back.empty() ? std::nullopt : std::optional(known->back);
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
  std::shared_ptr<GraphModule> quantize(const std::string& name, const Settings& chosen = {}) const {
    const auto& target = all_targets().find(GetParam().target);
    targets::TableQuantizer quantizer(target, {.scheme = GetParam().name, .settings = chosen});
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
    const auto chosen = settings(GetParam(), name);
    const auto quantized = quantize(name, chosen.value_or(Settings()));
    if (!chosen) continue;
    test::GridTolerance tolerance = GetParam().tolerance;
    tolerance.one_flip = GetParam().target == "xnnpack" && name.rfind("net_", 0) == 0;
    const auto found = test::TargetRows::differences(to_json(quantization_rows(*quantized)), wanted, tolerance);
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
    const auto chosen = settings(GetParam(), name);
    if (!chosen) continue;
    SCOPED_TRACE(name);
    for (const QuantRow& row : quantization_rows(*quantize(name, *chosen))) {
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

// A switch that changes nothing is told.
TEST_P(TargetGoldenTest, DeviatesWhereItSays) {
  const Json recorded =
      unpacked(test::data("golden/targets/" + GetParam().target + "/" + GetParam().name + ".json.gz"));
  for (const auto& [name, wanted] : recorded.at("cases").items()) {
    const Deviation* known = deviation(GetParam(), name);
    if (known == nullptr || known->back.empty()) continue;
    EXPECT_FALSE(
        test::TargetRows::differences(to_json(quantization_rows(*quantize(name))), wanted, GetParam().tolerance)
            .empty())
        << name << " agrees with its record";
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

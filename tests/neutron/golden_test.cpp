// Every case of tests/data/golden/cases against what the Python reference computed: rows and outputs, after training or
// not.

#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "octet/formats/npy.h"
#include "octet/formats/pt2.h"
#include "octet/quantize/rows.h"
#include "octet/support/error.h"
#include "octet/targets/engine/calibrate_and_quantize.h"
#include "octet/targets/neutron/neutron_quantizer.h"
#include "tests/engine/graph_builder.h"
#include "tests/support/golden_rows.h"
#include "tests/support/test_data.h"

namespace octet {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

// Where the reference does otherwise; each stands in docs/deviations.md under this heading.
struct Deviation {
  std::string heading;
  std::string ops;                // of our quantized program, without quantize and dequantize
  double weight_tolerance = 0.0;  // above 0: rows and outputs are those of the reference but for this much in weights
  double least_sqnr_db = 0.0;     // above 0: in integers what the reference computes in float; on octet's own defaults
};

struct Golden {
  std::string name;
  bool is_qat;
};
void PrintTo(const Golden& golden, std::ostream* out) { *out << golden.name << (golden.is_qat ? " qat" : " ptq"); }

const Deviation* deviation(const Golden& golden) {
  static const std::map<std::string, Deviation> both = {
      {"limit_batchnorm_alone",
       {"A BatchNorm of its own is a depthwise convolution", "conv2d.default", 0.0, /*least_sqnr_db=*/35.5}},
      {"op_relu6", {"relu6 is an activation", "conv2d.default relu6.default"}},
      {"op_sigmoid_inplace", {"sigmoid_ is a sigmoid", "conv2d.default sigmoid_.default"}},
      {"gru_2_layers", {"A GRU is split by layers", "gru.input gru.input"}},
      {"island_pow",
       {"A square is a product", "conv2d.default mul.Tensor conv2d.default relu.default", 0.0,
        /*least_sqnr_db=*/35.0}},
      {"limit_matmul_rank_4",
       {"Products of four dimensions are products of three",
        "reshape.default reshape.default bmm.default reshape.default", 0.0, /*least_sqnr_db=*/29.0}},
      {"limit_softmax_width",
       {"A softmax is turned to the dimension that has a kernel",
        "conv2d.default permute.default softmax.int permute.default", 0.0, /*least_sqnr_db=*/35.0}},
  };
  static const std::map<std::string, Deviation> ptq_only = {
      {"conv_groups",
       {"Grouped convolutions are sliced",
        "conv2d.default slice.Tensor conv2d.default relu.default slice.Tensor conv2d.default relu.default slice.Tensor "
        "conv2d.default relu.default slice.Tensor conv2d.default relu.default cat.default"}},
      {"limit_conv_depthwise_multiplier",
       {"Grouped convolutions are sliced",
        "conv2d.default slice.Tensor conv2d.default slice.Tensor conv2d.default slice.Tensor conv2d.default "
        "slice.Tensor "
        "conv2d.default cat.default"}},
      {"net_shuffle_unit",
       {"Grouped convolutions are sliced",
        "conv2d.default slice.Tensor conv2d.default relu.default slice.Tensor conv2d.default relu.default cat.default "
        "view.default transpose.int reshape.default conv2d.default"}},
  };
  static const std::map<std::string, Deviation> qat_only = {
      {"conv_groups", {"Grouped convolutions are trained whole", "conv2d.default conv2d.default relu.default"}},
      {"limit_conv_depthwise_multiplier", {"Grouped convolutions are trained whole", "conv2d.default conv2d.default"}},
      {"net_shuffle_unit",
       {"Grouped convolutions are trained whole",
        "conv2d.default conv2d.default relu.default view.default transpose.int reshape.default conv2d.default"}},
      {"conv_nobias_bn_relu6", {"BatchNorm keeps its own eps and momentum", "conv2d.default hardtanh.default", 2e-3}},
  };
  const auto found = both.find(golden.name);
  if (found != both.end()) return &found->second;
  const auto& one = golden.is_qat ? qat_only : ptq_only;
  const auto in_mode = one.find(golden.name);
  return in_mode != one.end() ? &in_mode->second : nullptr;
}

std::vector<Golden> all_cases() {
  std::vector<Golden> cases;
  const fs::path folder = test::data("golden/cases");
  if (fs::is_directory(folder)) {
    for (const auto& entry : fs::directory_iterator(folder)) {
      for (const bool is_qat : {false, true}) cases.push_back({entry.path().filename().string(), is_qat});
    }
  }
  std::sort(cases.begin(), cases.end(),
            [](const Golden& a, const Golden& b) { return std::tie(a.name, a.is_qat) < std::tie(b.name, b.is_qat); });
  return cases;
}

class GoldenTest : public testing::TestWithParam<Golden> {
 protected:
  std::string file(const std::string& leaf) const { return test::data("golden/cases/" + GetParam().name + "/" + leaf); }
  std::string mode() const { return GetParam().is_qat ? "qat" : "ptq"; }

  std::vector<at::Tensor> inputs(const std::string& prefix) const {
    std::vector<at::Tensor> tensors;
    for (int64_t j = 0; fs::exists(file(str(prefix, j, ".npy"))); ++j)
      tensors.push_back(read_npy(file(str(prefix, j, ".npy"))));
    return tensors;
  }

  std::shared_ptr<GraphModule> quantize() const {
    std::vector<std::vector<at::Tensor>> samples;
    for (int64_t i = 0; fs::exists(file(str("calib_", i, "_0.npy"))); ++i)
      samples.push_back(inputs(str("calib_", i, "_")));
    EXPECT_EQ(samples.size(), 4u);
    NeutronOptions options;
    options.is_qat = GetParam().is_qat;
    const Deviation* differs = deviation(GetParam());
    if (differs == nullptr || differs->least_sqnr_db == 0.0) {
      options.mul_range = MulRange::kReference;
      options.qat_ranges = QatRanges::kReference;
    }
    options.sigmoid_input = SigmoidInput::kReference;
    options.without_passes = {"merge_parallel_convolutions"};  // cases of a sum are two convolutions of one input
    NeutronQuantizer quantizer(options);
    return calibrate_and_quantize(load_pt2(file("model.pt2")), samples, quantizer);
  }

  // The recorded rows; getitem, which the README leaves out, stands in some.
  Json recorded(const std::string& of_mode) const {
    std::ifstream in(file(of_mode + ".json"));
    Json rows = Json::array();
    for (const Json& row : Json::parse(in)) {
      if (row.at("op").get<std::string>().find("getitem") == std::string::npos) rows.push_back(row);
    }
    return rows;
  }

  test::RowTolerance tolerance() const {
    const Deviation* differs = deviation(GetParam());
    return {.is_qat = GetParam().is_qat,
            .exact = differs != nullptr ? std::max(differs->weight_tolerance, 1e-6) : 1e-6,
            .one_flip = !GetParam().is_qat && GetParam().name.rfind("net_", 0) == 0};
  }
};

double sqnr(const at::Tensor& reference, const at::Tensor& value) {
  const double noise = (reference - value).norm().item<double>();
  return noise == 0.0 ? std::numeric_limits<double>::infinity()
                      : 20 * std::log10(reference.norm().item<double>() / noise);
}

// A bias lies on the grid of the accumulator, whatever the reference says.
void expect_biases_on_the_accumulators_grid(const std::vector<QuantRow>& rows) {
  for (const QuantRow& row : rows) {
    if (row.inputs.size() != 3 || row.op == "aten.addmm.default") continue;
    const auto& [input, weight, bias] = std::tie(row.inputs[0], row.inputs[1], row.inputs[2]);
    if (!input || !weight) continue;
    ASSERT_TRUE(bias && bias->dtype == "int32") << row.op << ": float bias";
    for (size_t c = 0; c < bias->scale.size(); ++c) {
      const double product = input->scale[0] * weight->scale[c % weight->scale.size()];
      EXPECT_NEAR(bias->scale[c], product, 1e-6 * product) << row.op << " channel " << c;
    }
  }
}

// Scales of all weights, whatever the order of their operators.
std::vector<double> weight_scales(const std::vector<QuantRow>& rows) {
  std::vector<double> scales;
  for (const QuantRow& row : rows) {
    for (const auto& input : row.inputs) {
      if (input && input->axis && input->dtype == "int8")
        scales.insert(scales.end(), input->scale.begin(), input->scale.end());
    }
  }
  std::sort(scales.begin(), scales.end());
  return scales;
}

std::string op_names(const std::vector<QuantRow>& rows) {
  std::string ops;
  for (const QuantRow& row : rows) {
    if (row.op != "input") ops += (ops.empty() ? "" : " ") + row.op.substr(row.op.find('.') + 1);
  }
  return ops;
}

TEST_P(GoldenTest, EqualsTheReference) {
  const auto quantized = quantize();
  const std::vector<QuantRow> rows = quantization_rows(*quantized);
  expect_biases_on_the_accumulators_grid(rows);
  const at::Tensor output = quantized->run(inputs("test_")).at(0);
  const at::Tensor float_output = read_npy(file("float_out.npy"));
  ASSERT_EQ(output.sizes(), float_output.sizes());

  const Deviation* differs = deviation(GetParam());
  if (differs != nullptr) {
    EXPECT_EQ(op_names(rows), differs->ops);
  }
  if (fs::exists(file(mode() + ".error"))) {
    ASSERT_NE(differs, nullptr) << "the reference fails here: name the deviation";
    EXPECT_GT(sqnr(float_output, output), 25.0) << "against the float model";
    return;
  }
  const at::Tensor wanted = read_npy(file(mode() + "_out.npy"));
  if (differs != nullptr) {
    // Weights never depend on the mode: without a training step, both fold the model's own BatchNorm.
    const std::vector<double> scales = weight_scales(rows);
    const std::vector<double> wanted_scales = weight_scales(rows_from_json(recorded("ptq")));
    const bool is_all_float_there = differs->least_sqnr_db > 0.0 && wanted_scales.empty();
    if (!is_all_float_there) {
      ASSERT_EQ(scales.size(), wanted_scales.size());
    }
    for (size_t c = 0; c < wanted_scales.size(); ++c) EXPECT_NEAR(scales[c], wanted_scales[c], 1e-6 * wanted_scales[c]);
  }
  if (differs != nullptr && differs->least_sqnr_db > 0.0) {
    EXPECT_GT(sqnr(float_output, output), differs->least_sqnr_db);
    return;
  }
  if (differs != nullptr && differs->weight_tolerance == 0.0) {
    // No worse than the reference, measured on the float model.
    EXPECT_GT(sqnr(float_output, output), sqnr(float_output, wanted) - 1.0);
    return;
  }
  EXPECT_EQ(test::joined(test::RowComparison::differences(to_json(rows), recorded(mode()), tolerance())), "");
  const auto& last = rows.back().output;
  if (GetParam().name.rfind("net_", 0) == 0 || !last) {
    EXPECT_GE(sqnr(wanted, output), 35.0);
  } else {
    const double steps = (output - wanted).abs().max().item<double>() / last->scale[0];
    EXPECT_LE(steps, 2.0 + 1e-3);
  }
}

INSTANTIATE_TEST_SUITE_P(Cases, GoldenTest, testing::ValuesIn(all_cases()),
                         [](const auto& test) { return test.param.name + (test.param.is_qat ? "_qat" : "_ptq"); });

TEST(Golden, EveryDeviationIsExplained) {
  std::ifstream in(test::data("../../docs/deviations.md"));
  const std::string text{std::istreambuf_iterator<char>(in), {}};
  for (const Golden& golden : all_cases()) {
    const Deviation* differs = deviation(golden);
    if (differs == nullptr) continue;
    const size_t section = text.find("## " + differs->heading + "\n");
    ASSERT_NE(section, std::string::npos) << differs->heading;
    const std::string body = text.substr(section, text.find("\n## ", section) - section);
    EXPECT_NE(body.find("`" + golden.name + "`"), std::string::npos) << golden.name << " is not named there";
  }
}

// One grid of a network may come from another bin: nothing else of it changes, and no second one.
TEST(GoldenRows, AFlipMovesOneEndOfOneRange) {
  const auto grid = [](double scale, int64_t zero_point) {
    return Json{
        {"scale", {scale}}, {"zero_point", {zero_point}}, {"quant_min", -128}, {"quant_max", 127}, {"dtype", "int8"}};
  };
  const auto rows = [](const std::vector<Json>& grids) {
    Json all = Json::array();
    for (const Json& each : grids) all.push_back({{"op", "input"}, {"inputs", Json::array()}, {"output", each}});
    return all;
  };
  const auto differences = [&](const std::vector<Json>& got, const std::vector<Json>& wanted, bool one_flip = true) {
    return test::RowComparison::differences(rows(got), rows(wanted), {.one_flip = one_flip}).size();
  };
  EXPECT_EQ(differences({grid(1.0019, 29)}, {grid(1.0, 28)}), 0u) << "within the tolerance";
  EXPECT_EQ(differences({grid(1.0, 30)}, {grid(1.0, 28)}), 1u);
  EXPECT_EQ(differences({grid(1.005, 28)}, {grid(1.0, 28)}), 0u);
  EXPECT_EQ(differences({grid(1.005, 28)}, {grid(1.0, 28)}, false), 1u);
  EXPECT_EQ(differences({grid(1.005, 29)}, {grid(1.0, 28)}), 0u) << "the low end fell by a step";
  EXPECT_EQ(differences({grid(1.005, 31)}, {grid(1.0, 28)}), 1u) << "both ends moved";
  EXPECT_EQ(differences({grid(1.005, 26)}, {grid(1.0, 28)}), 1u) << "both ends moved";
  EXPECT_EQ(differences({grid(1.007, 28)}, {grid(1.0, 28)}), 1u) << "too far";
  EXPECT_EQ(differences({grid(1.005, -127)}, {grid(1.0, -128)}), 1u) << "a range that begins at zero";
  EXPECT_EQ(differences({grid(1.005, 28), grid(1.005, 28)}, {grid(1.0, 28), grid(1.0, 28)}), 0u) << "one grid, twice";
  EXPECT_EQ(differences({grid(1.005, 28), grid(2.01, 28)}, {grid(1.0, 28), grid(2.0, 28)}), 1u) << "a second one";
}

TEST(Golden, DataIsThere) { EXPECT_EQ(all_cases().size(), 272u); }

}  // namespace
}  // namespace octet

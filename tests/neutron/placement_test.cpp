// Every case of tests/data/golden/cases against the reference's partitioner: how many partitions, and which operators
// are left to the CPU.

#include "octet/targets/engine/placement/placement.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "octet/formats/npy.h"
#include "octet/formats/pt2.h"
#include "octet/support/error.h"
#include "octet/targets/engine/calibrate_and_quantize.h"
#include "octet/targets/neutron/neutron_quantizer.h"
#include "octet/targets/neutron/target.h"
#include "tests/engine/graph_builder.h"
#include "tests/support/test_data.h"

namespace octet {
namespace {

namespace fs = std::filesystem;

struct Answer {
  int64_t partitions = 0;
  std::multiset<std::string> on_cpu;
  bool operator==(const Answer&) const = default;
};

void PrintTo(const Answer& answer, std::ostream* out) {
  *out << answer.partitions << " partitions, on the CPU:";
  for (const std::string& op : answer.on_cpu) *out << ' ' << op;
}

// Where ours differs on purpose; each stands in docs/deviations.md under this heading.
struct PlacementDeviation {
  std::string heading;
  Answer ours;
};

const std::map<std::string, PlacementDeviation>& deviations() {
  static const std::string sliced = "Grouped convolutions are sliced";
  static const std::string counted = "Placement counts the model's own operators";
  static const std::string fails = "Placement where the reference fails";
  static const std::map<std::string, PlacementDeviation> table = {
      {"conv_groups", {sliced, {1, {}}}},
      {"limit_conv_depthwise_multiplier", {sliced, {1, {}}}},
      {"net_shuffle_unit", {sliced, {1, {}}}},
      {"limit_batchnorm_alone", {"A BatchNorm of its own is a depthwise convolution", {1, {}}}},
      {"op_relu6", {"relu6 is an activation", {1, {}}}},
      {"island_hardsigmoid", {counted, {2, {"hardsigmoid"}}}},
      {"island_silu", {counted, {2, {"silu"}}}},
      {"limit_pad_replicate", {counted, {1, {"pad"}}}},
      {"limit_matmul_rank_4", {"Products of four dimensions are products of three", {1, {"reshape", "reshape"}}}},
      {"limit_softmax_width", {"A softmax is turned to the dimension that has a kernel", {1, {}}}},
      {"gru_2_layers", {fails, {0, {"gru", "gru"}}}},
      {"op_avg_pool2d", {fails, {1, {}}}},
      {"op_sigmoid_inplace", {fails, {1, {}}}},
      {"island_pixel_shuffle", {fails, {2, {"pixel_shuffle", "pixel_unshuffle"}}}},
  };
  return table;
}

// What ExecuTorch's edge dialect calls our operators.
std::string edge_name(const std::string& op) {
  static const std::map<std::string, std::string> names = {
      {"conv2d", "convolution"},
      {"conv_transpose2d", "convolution"},
      {"conv3d", "convolution"},
      {"max_pool2d", "max_pool2d_with_indices"},
      {"adaptive_avg_pool2d", "_adaptive_avg_pool2d"},
      {"softmax", "_softmax"},
      {"log_softmax", "_log_softmax"},
      {"slice", "slice_copy"},
      {"view", "view_copy"},
      {"reshape", "view_copy"},
      {"batch_norm", "_native_batch_norm_legit_no_training"},
      {"layer_norm", "native_layer_norm"},
      {"expand", "expand_copy"},
  };
  const auto found = names.find(op);
  return found != names.end() ? found->second : op;
}

// "aten.add.Tensor" -> "add"
std::string packet(const std::string& op) {
  const std::string rest = op.substr(op.find('.') + 1);
  return rest.substr(0, rest.find('.'));
}

std::vector<std::string> placed_cases() {
  std::vector<std::string> cases;
  const fs::path folder = test::data("golden/cases");
  if (fs::is_directory(folder)) {
    for (const auto& entry : fs::directory_iterator(folder)) cases.push_back(entry.path().filename().string());
  }
  std::sort(cases.begin(), cases.end());
  return cases;
}

class PlacementTest : public testing::TestWithParam<std::string> {
 protected:
  std::string file(const std::string& leaf) const { return test::data("golden/cases/" + GetParam() + "/" + leaf); }

  std::vector<at::Tensor> inputs(const std::string& prefix) const {
    std::vector<at::Tensor> tensors;
    for (int64_t j = 0; fs::exists(file(octet::str(prefix, j, ".npy"))); ++j) {
      tensors.push_back(read_npy(file(octet::str(prefix, j, ".npy"))));
    }
    return tensors;
  }

  targets::Placement placement() const {
    std::vector<std::vector<at::Tensor>> samples;
    for (int64_t i = 0; fs::exists(file(octet::str("calib_", i, "_0.npy"))); ++i) {
      samples.push_back(inputs(octet::str("calib_", i, "_")));
    }
    const NeutronTargetSpec target("imxrt700");
    NeutronOptions options;
    options.mul_range = MulRange::kReference;
    options.without_passes = {"merge_parallel_convolutions"};  // cases of a sum are two convolutions of one input
    NeutronQuantizer quantizer(options);
    const auto quantized = calibrate_and_quantize(load_pt2(file("model.pt2")), samples, quantizer);
    propagate_shapes(*quantized, inputs("test_"));
    return targets::place(*quantized, neutron::target(target));
  }

  Answer recorded() const {
    Answer answer;
    std::ifstream in(file("placement.json"));
    const auto json = nlohmann::json::parse(in);
    answer.partitions = json.at("partitions").get<int64_t>();
    for (const auto& row : json.at("nodes")) {
      if (row.at("npu").is_null()) answer.on_cpu.insert(packet(row.at("op").get<std::string>()));
    }
    return answer;
  }
};

TEST_P(PlacementTest, IsTheReferences) {
  const targets::Placement placement = this->placement();
  Answer got{placement.partitions, {}};
  for (const targets::OperatorPlacement& row : placement.operators) {
    EXPECT_EQ(row.partition.has_value(), row.reason.empty()) << row.name << ": " << row.reason;
    if (row.partition) {
      EXPECT_LT(*row.partition, placement.partitions);
    } else {
      EXPECT_EQ(row.reason.rfind("[" + row.where + "] ", 0), 0u) << row.reason;
      got.on_cpu.insert(packet(row.op));
    }
  }
  const auto differs = deviations().find(GetParam());
  if (differs != deviations().end()) {
    EXPECT_EQ(got, differs->second.ours);
    std::ifstream in(test::data("../../docs/deviations.md"));
    std::stringstream text;
    text << in.rdbuf();
    EXPECT_NE(text.str().find("## " + differs->second.heading), std::string::npos) << differs->second.heading;
    if (fs::exists(file("placement.json"))) {
      EXPECT_FALSE(got == recorded()) << "deviates no longer";
    }
    return;
  }
  std::multiset<std::string> edge;
  for (const std::string& op : got.on_cpu) edge.insert(edge_name(op));
  got.on_cpu = edge;
  EXPECT_EQ(got, recorded());
}

INSTANTIATE_TEST_SUITE_P(Golden, PlacementTest, testing::ValuesIn(placed_cases()),
                         [](const auto& each) { return each.param; });

}  // namespace
}  // namespace octet

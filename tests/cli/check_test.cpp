// octet check and octet operators, as a user runs them.

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "tests/cli/program.h"

namespace octet {
namespace {

class CheckVerb : public test::Program {};

TEST_F(CheckVerb, SaysWhichRuleRefused) {
  const auto done = run("check " + golden("limit_softmax_2041") + "/model.pt2");
  ASSERT_EQ(done.status, 0) << done.err;
  EXPECT_NE(done.out.find("[softmax '1'] channels: expected <= 2040, got 2041; fewer classes"), std::string::npos)
      << done.out;
  EXPECT_NE(done.out.find("1 operator on the NPU in 1 partition, 1 on the CPU, 1 transition"), std::string::npos);
}

TEST_F(CheckVerb, JsonHasARowAnOperator) {
  const auto done = run("check --json --gelu float " + golden("island_gelu") + "/model.pt2");
  ASSERT_EQ(done.status, 0) << done.err;
  const nlohmann::json answer = nlohmann::json::parse(done.out);
  EXPECT_EQ(answer.at("target"), "imxrt700");
  EXPECT_EQ(answer.at("partitions"), 2);
  ASSERT_EQ(answer.at("nodes").size(), 4u);
  for (const nlohmann::json& row : answer.at("nodes")) {
    EXPECT_EQ(row.at("npu").is_null(), !row.at("reason").get<std::string>().empty()) << row;
    for (const char* key : {"op", "name", "way_out", "conditions", "macs", "bytes"}) EXPECT_TRUE(row.contains(key));
  }
  EXPECT_EQ(answer.at("nodes")[1].at("op"), "aten.gelu.default");
  EXPECT_TRUE(answer.at("nodes")[1].at("npu").is_null());
  EXPECT_EQ(answer.at("nodes")[3].at("npu"), 1);
}

// A float model before calibration and the same quantized get the same answer.
TEST_F(CheckVerb, QuantizedModels) {
  // Partitions as the reference has them, but for the shuffle unit, whose groups it splits on the CPU, and the sum of a
  // row and a column, which it leaves there.
  for (const auto& [name, partitions] : std::vector<std::pair<std::string, int>>{
           {"net_unet", 1}, {"net_shuffle_unit", 1}, {"limit_add_broadcast_both", 1}}) {
    const std::string folder = golden(name);
    const auto before = run("check --json " + folder + "/model.pt2");
    ASSERT_EQ(before.status, 0) << before.err;
    const auto quantized =
        run("quantize " + folder + "/model.pt2 --calibrate 'npy:" + folder + "/calib_*.npy' -o " + file("q.octet"));
    ASSERT_EQ(quantized.status, 0) << quantized.err;
    const auto after = run("check --json " + file("q.octet"));
    ASSERT_EQ(after.status, 0) << after.err;
    const nlohmann::json first = nlohmann::json::parse(before.out);
    const nlohmann::json second = nlohmann::json::parse(after.out);
    EXPECT_EQ(first.at("partitions"), partitions) << name;
    EXPECT_EQ(first.at("partitions"), second.at("partitions")) << name;
    ASSERT_EQ(first.at("nodes").size(), second.at("nodes").size()) << name;
    for (size_t i = 0; i < first.at("nodes").size(); ++i) {
      EXPECT_EQ(first.at("nodes")[i].at("op"), second.at("nodes")[i].at("op")) << name;
      EXPECT_EQ(first.at("nodes")[i].at("npu"), second.at("nodes")[i].at("npu")) << name << ' ' << i;
    }
    EXPECT_FALSE(first.at("calibrated").get<bool>());
    EXPECT_TRUE(second.at("calibrated").get<bool>());
  }
}

// gelu and norms come over where calibration data shows that it costs little: for check that is a condition.
TEST_F(CheckVerb, PlacesWhatQuantizeWeighsUnderACondition) {
  const std::string folder = golden("island_layer_norm");
  const std::string calibrate = " --calibrate 'npy:" + folder + "/calib_*.npy' -o " + file("q.octet");
  const auto open = run("check " + folder + "/model.pt2");
  ASSERT_EQ(open.status, 0) << open.err;
  EXPECT_NE(open.out.find("in 1 partition, 0 on the CPU"), std::string::npos) << open.out;
  EXPECT_NE(open.out.find("condition: with --norms integer, which octet quantize takes where they cost 1 dB at most "
                          "(calibration will tell); else 2 partitions, 1 on the CPU"),
            std::string::npos)
      << open.out;
  const auto json = nlohmann::json::parse(run("check --json " + folder + "/model.pt2").out);
  EXPECT_EQ(json.at("partitions"), 1);
  EXPECT_EQ(json.at("weighed").at("else").at("partitions"), 2);
  const auto exact = nlohmann::json::parse(run("check --json --norms float " + folder + "/model.pt2").out);
  EXPECT_EQ(exact.at("partitions"), 2);
  EXPECT_FALSE(exact.contains("weighed"));
  const auto weighed = run("quantize " + folder + "/model.pt2" + calibrate);
  ASSERT_EQ(weighed.status, 0) << weighed.err;
  EXPECT_NE(weighed.err.find("norms float: "), std::string::npos) << weighed.err;
  EXPECT_NE(weighed.err.find("on calibration data, 1 partition, 0 on the CPU: taken"), std::string::npos)
      << weighed.err;
  const nlohmann::json config = nlohmann::json::parse(test::slurp(file("q.octet.json")));
  EXPECT_EQ(config.at("norms"), "integer");
  EXPECT_EQ(config.at("gelu"), "float");
  EXPECT_EQ(nlohmann::json::parse(run("check --json " + file("q.octet")).out).at("partitions"), 1);
  const auto given = run("quantize " + folder + "/model.pt2 --norms float" + calibrate);
  ASSERT_EQ(given.status, 0) << given.err;
  EXPECT_EQ(given.err.find("taken"), std::string::npos) << given.err;
  EXPECT_EQ(nlohmann::json::parse(run("check --json " + file("q.octet")).out).at("partitions"), 2);
}

TEST_F(CheckVerb, VariesTheInputSize) {
  const std::string model = golden("net_mobilenet_v2_w025") + "/model.pt2";
  const auto one = run("check --json --input-size 224 " + model);
  ASSERT_EQ(one.status, 0) << one.err;
  EXPECT_EQ(nlohmann::json::parse(one.out).at("input_sizes"), nlohmann::json::parse("[[1, 3, 224, 224]]"));
  const auto several =
      run("check --json --input-size 96 --input-size 160x64 --input-size 1,3,64,32 --input-size 1,4,8,8 " + model);
  ASSERT_EQ(several.status, 0) << several.err;
  const nlohmann::json answers = nlohmann::json::parse(several.out);
  ASSERT_EQ(answers.size(), 4u);
  EXPECT_EQ(answers[1].at("input_sizes"), nlohmann::json::parse("[[1, 3, 160, 64]]"));
  EXPECT_EQ(answers[2].at("input_sizes"), nlohmann::json::parse("[[1, 3, 64, 32]]"));
  EXPECT_TRUE(answers[3].contains("error")) << "four channels do not fit the first convolution";
  EXPECT_EQ(answers[0].at("partitions"), 1);
}

TEST_F(CheckVerb, SaysWhatMemoryItTakesAndWhereItFallsOffTheChip) {
  const std::string model = golden("net_mobilenet_v2_w025") + "/model.pt2";
  const auto done = run("check --json --input-size 96 --input-size 192 --input-size 1536 " + model);
  ASSERT_EQ(done.status, 0) << done.err;
  const nlohmann::json answers = nlohmann::json::parse(done.out);
  const auto arena = [&](size_t i) { return answers[i].at("memory").at("arena_bytes").get<double>(); };
  EXPECT_NEAR(arena(1) / arena(0), 4.0, 0.4) << "images four times as large";
  EXPECT_EQ(answers[0].at("memory").at("constant_bytes"), answers[1].at("memory").at("constant_bytes"));
  EXPECT_EQ(answers[0].at("memory").at("fits"), true);
  EXPECT_TRUE(answers[0].at("warnings").empty());
  const nlohmann::json& large = answers[2];
  EXPECT_EQ(large.at("memory").at("fits"), false);
  ASSERT_EQ(large.at("warnings").size(), 1u) << large.at("warnings");
  const nlohmann::json& warning = large.at("warnings")[0];
  EXPECT_EQ(warning.at("where"), large.at("memory").at("peak_at"));
  const std::string largest = large.at("memory").at("at_peak")[0].at("name");
  EXPECT_NE(warning.at("text").get<std::string>().find("'" + largest + "' "), std::string::npos) << warning;
  int64_t alive = 0;
  for (const nlohmann::json& tensor : large.at("memory").at("at_peak")) alive += tensor.at("bytes").get<int64_t>();
  EXPECT_EQ(alive, large.at("memory").at("peak_bytes"));
}

TEST_F(CheckVerb, TakesTheQuantizersSettings) {
  const std::string model = golden("op_mul") + "/model.pt2";
  EXPECT_EQ(nlohmann::json::parse(run("check --json --mul-range reference " + model).out).at("warnings").size(), 1u)
      << "the fixed range of mul";
  const nlohmann::json observed = nlohmann::json::parse(run("check --json " + model).out);
  EXPECT_TRUE(observed.at("warnings").empty()) << observed;
  EXPECT_EQ(observed.at("partitions"), 1) << "no requantization between them";
  const nlohmann::json left = nlohmann::json::parse(run("check --json --leave-float mul " + model).out);
  EXPECT_TRUE(left.at("nodes").back().at("npu").is_null()) << left;
}

TEST_F(CheckVerb, BadInput) {
  const std::string model = golden("op_relu") + "/model.pt2";
  for (const char* size : {"0", "x", "8x8x8", "1,-3,8,8", "", "1,3,8,8+1,3,8,8"}) {
    const auto done = run("check " + model + " --input-size '" + size + "'");
    EXPECT_EQ(done.status, 1) << size << ": " << done.out;
    EXPECT_EQ(test::lines(done.err), 1u) << done.err;
  }
  const auto unknown = run("check " + model + " --target imxrt9000");
  EXPECT_EQ(unknown.status, 1);
  EXPECT_NE(unknown.err.find("one of imxrt700"), std::string::npos) << unknown.err;
}

TEST_F(CheckVerb, OperatorsPrintsTheDocument) {
  const auto done = run("operators");
  ASSERT_EQ(done.status, 0) << done.err;
  EXPECT_EQ(done.out, test::slurp(test::data("../../docs/operators.md")));
}

}  // namespace
}  // namespace octet

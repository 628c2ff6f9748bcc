// What the program's settings of the quantizer do: flags, config files, --explain.
#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "octet/formats/npy.h"
#include "tests/cli/program.h"

namespace octet {
namespace {

using test::lines;
using test::Outcome;
using test::slurp;

class Config : public test::Program {
 protected:
  static std::string model() { return golden("net_cifarnet/model.pt2"); }
  static std::string calibration() { return " --calibrate 'npy:" + golden("net_cifarnet/calib_*.npy") + "'"; }
  Outcome quantize(const std::string& rest) { return run("quantize " + model() + " " + rest); }
  void write(const std::string& name, const std::string& text) { std::ofstream(file(name)) << text; }
};

TEST_F(Config, AFileBesideTheResultRepeatsTheRunBitForBit) {
  const Outcome first =
      quantize(calibration() + " --samples 3 --seed 5 --qat --mul-range reference --leave-float linear" +
               " --leave-float '*conv1*' -o " + file("a.octet"));
  ASSERT_EQ(first.status, 0) << first.err;
  const auto config = nlohmann::json::parse(slurp(file("a.octet.json")));
  EXPECT_EQ(config.at("version"), 1);
  EXPECT_EQ(config.at("target"), "imxrt700");
  EXPECT_EQ(config.at("qat"), true);
  EXPECT_EQ(config.at("mul_range"), "reference");
  ASSERT_EQ(config.at("overrides").size(), 2u);
  EXPECT_EQ(config.at("overrides")[0].at("op"), "linear");
  EXPECT_EQ(config.at("overrides")[1].at("module"), "*conv1*");
  EXPECT_EQ(config.at("calibration").at("samples"), 3);
  EXPECT_EQ(config.at("calibration").at("seed"), 5);
  EXPECT_GT(config.at("calibration").at("batch_size"), 0);

  const Outcome again = quantize("--config " + file("a.octet.json") + " -o " + file("b.octet"));
  ASSERT_EQ(again.status, 0) << again.err;
  EXPECT_EQ(slurp(file("b.octet")), slurp(file("a.octet")));
  EXPECT_EQ(slurp(file("b.octet.json")), slurp(file("a.octet.json")));
}

// How pictures become samples stands in the config too: without it the ranges are others.
TEST_F(Config, PicturesAreCalibratedOnInTheSameWayAgain) {
  for (const char* name : {"a", "b"}) {
    std::filesystem::create_directories(file(std::string("pictures/") + name));
    std::filesystem::copy(test::data("images/rgb.png"), file(std::string("pictures/") + name + "/1.png"));
    std::filesystem::copy(test::data("images/baseline.jpg"), file(std::string("pictures/") + name + "/2.jpg"));
  }
  const std::string folder = " --calibrate images:" + file("pictures");
  const std::string how = " --resize 48 --filter bicubic --mean 0.5,0.4,0.3 --std 0.25,0.5,1 --held-out 0.5";
  const Outcome first = quantize(folder + how + " -o " + file("a.octet"));
  ASSERT_EQ(first.status, 0) << first.err;
  const auto config = nlohmann::json::parse(slurp(file("a.octet.json")));
  EXPECT_EQ(config.at("calibration").at("pictures"),
            nlohmann::json::parse(R"({"resize": 48, "filter": "bicubic", "mean": [0.5, 0.4, 0.3],
                                      "std": [0.25, 0.5, 1.0], "held_out": 0.5})"));
  const Outcome again = quantize("--config " + file("a.octet.json") + " -o " + file("b.octet"));
  ASSERT_EQ(again.status, 0) << again.err;
  EXPECT_EQ(slurp(file("b.octet")), slurp(file("a.octet")));
  EXPECT_EQ(slurp(file("b.octet.json")), slurp(file("a.octet.json")));

  const Outcome other = quantize("--config " + file("a.octet.json") + " --mean 0,0,0 -o " + file("c.octet"));
  ASSERT_EQ(other.status, 0) << other.err;
  const auto flags_won = nlohmann::json::parse(slurp(file("c.octet.json"))).at("calibration").at("pictures");
  EXPECT_EQ(flags_won.at("mean"), nlohmann::json::parse("[0.0, 0.0, 0.0]"));
  EXPECT_EQ(flags_won.at("std"), config.at("calibration").at("pictures").at("std"));
  EXPECT_NE(slurp(file("c.octet")), slurp(file("a.octet")));

  ASSERT_EQ(quantize(folder + " -o " + file("plain.octet")).status, 0);
  EXPECT_FALSE(nlohmann::json::parse(slurp(file("plain.octet.json"))).at("calibration").contains("pictures"));
}

TEST_F(Config, FlagsWin) {
  write("c.json", R"({"version": 1, "qat": true, "mul_range": "observed",
    "overrides": [{"op": "linear", "activation_observer": "min_max"}, {"op": "relu", "quantize": false}],
    "calibration": {"data": "npy:nowhere_*.npy", "samples": 2}})");
  const Outcome result = quantize("--config " + file("c.json") + calibration() +
                                  " --no-qat --mul-range reference --leave-float linear -o " + file("q.octet"));
  ASSERT_EQ(result.status, 0) << result.err;
  const auto config = nlohmann::json::parse(slurp(file("q.octet.json")));
  EXPECT_EQ(config.at("qat"), false);
  EXPECT_EQ(config.at("mul_range"), "reference");
  ASSERT_EQ(config.at("overrides").size(), 2u);
  EXPECT_EQ(config.at("overrides")[0].at("op"), "relu");
  EXPECT_EQ(config.at("overrides")[1], nlohmann::json::parse(R"({"op": "linear", "quantize": false})"));
  EXPECT_EQ(config.at("calibration").at("samples"), 2);
  EXPECT_NE(config.at("calibration").at("data").get<std::string>().find("calib_"), std::string::npos);
}

TEST_F(Config, ALayerLeftInFloatIsFloatInTheFile) {
  const Outcome result = quantize(calibration() + " --leave-float linear -o " + file("q.octet"));
  ASSERT_EQ(result.status, 0) << result.err;
  EXPECT_NE(result.out.find(", 1 left in float"), std::string::npos) << result.out;
  const Outcome inspected = run("inspect --json " + file("q.octet"));
  ASSERT_EQ(inspected.status, 0) << inspected.err;
  size_t seen = 0;
  for (const auto& row : nlohmann::json::parse(inspected.out)) {
    const std::string op = row.at("op");
    if (op != "aten.linear.default" && op != "aten.conv2d.default") continue;
    ++seen;
    EXPECT_EQ(row.at("inputs").at(1).is_null(), op == "aten.linear.default") << row.dump();
  }
  EXPECT_GE(seen, 4u);
}

TEST_F(Config, TheEndOfQuantizeWarnsOfWhatIsRuined) {
  const std::string folder = golden("op_mul");
  const std::string command = "quantize --json " + folder + "/model.pt2 --calibrate 'npy:" + folder +
                              "/calib_*.npy' -o " + file("q.octet") + " --mul-range reference";
  const Outcome warned = run(command);
  ASSERT_EQ(warned.status, 0) << warned.err;
  EXPECT_NE(warned.err.find("are cut off at -0.5 and 0.496; --mul-range observed"), std::string::npos) << warned.err;
  const auto warnings = nlohmann::json::parse(warned.out).at("warnings");
  ASSERT_FALSE(warnings.empty());
  EXPECT_EQ(warnings.at(0).at("way_out"), "--mul-range observed");
  EXPECT_NE(warned.err.find(" % of "), std::string::npos) << warned.err;
  EXPECT_EQ(run(command + " --measure 0").err.find(" % of "), std::string::npos) << "measured nothing";
}

TEST_F(Config, ExplainSaysWhatBecomesOfEachOperator) {
  const Outcome result =
      quantize(calibration() + " --leave-float linear --leave-float 'no.such.*' --explain -o " + file("q.octet"));
  ASSERT_EQ(result.status, 0) << result.err;
  for (const char* part :
       {"target: imxrt700\n", "mode: post-training\n", "mul range: observed\n",
        "overrides[0]: op 'linear': leave in float: linear",
        "overrides[1]: module 'no.such.*': leave in float: matches no node", "left in float by overrides[0]",
        "HistogramObserver", "PerChannelMinMaxObserver", "bias = input * weight"}) {
    EXPECT_NE(result.out.find(part), std::string::npos) << part << "\n" << result.out;
  }
  const std::string folder = golden("conv_relu");
  const Outcome fused = run("quantize " + folder + "/model.pt2 --calibrate 'npy:" + folder + "/calib_*.npy' --explain" +
                            " --qat -o " + file("f.octet"));
  ASSERT_EQ(fused.status, 0) << fused.err;
  EXPECT_NE(fused.out.find("mode: quantization-aware\n"), std::string::npos) << fused.out;
  EXPECT_NE(fused.out.find("computed together with 'relu'"), std::string::npos) << fused.out;
  EXPECT_NE(fused.out.find("computed together with 'conv2d'"), std::string::npos) << fused.out;
  EXPECT_NE(result.err.find("overrides[1] (module 'no.such.*') matches no node"), std::string::npos) << result.err;
}

TEST_F(Config, BrokenOnesAreOneLineThatNamesTheKey) {
  const std::vector<std::pair<const char*, const char*>> broken = {
      {"{", "no valid JSON"},
      {"{\"version\": 1, \"traget\": \"imxrt700\"}", ": traget]"},
      {"{\"version\": 1, \"target\": \"imxrt1170\"}", ": target]"},
      {"{\"version\": 1, \"overrides\": [{\"op\": \"linear\", \"weight_observer\": \"max\"}]}",
       ": overrides[0].weight_observer]"},
  };
  for (const auto& [text, part] : broken) {
    write("broken.json", text);
    const Outcome result = quantize(calibration() + " --config " + file("broken.json") + " -o " + file("q.octet"));
    EXPECT_EQ(result.status, 1);
    EXPECT_EQ(lines(result.err), 1u) << result.err;
    EXPECT_NE(result.err.find(file("broken.json")), std::string::npos) << result.err;
    EXPECT_NE(result.err.find(part), std::string::npos) << result.err;
  }
  const std::vector<std::pair<const char*, const char*>> flags = {
      {" --config /no/such/file.json", "/no/such/file.json"},
      {" --mul-range half", "--mul-range"},
      {" --leave-float ''", "--leave-float"},
      {" --leave-float aten.conv9d", "--leave-float"},
      {" --target imxrt70", "imxrt700"},
  };
  for (const auto& [flag, part] : flags) {
    const Outcome result = quantize(calibration() + flag + " -o " + file("q.octet"));
    EXPECT_EQ(result.status, 1) << flag;
    EXPECT_EQ(lines(result.err), 1u) << result.err;
    EXPECT_NE(result.err.find(part), std::string::npos) << result.err;
  }
  EXPECT_EQ(quantize("-o " + file("q.octet")).status, 2) << "nothing says what to calibrate on";
  EXPECT_FALSE(std::ifstream(file("q.octet")).good());
  EXPECT_FALSE(std::ifstream(file("q.octet.json")).good());
}

TEST_F(Config, TrainingTakesTheSame) {
  at::manual_seed(0);
  write_npy(file("images_0.npy"), at::randn({16, 3, 32, 32}));
  write_npy(file("labels.npy"), at::arange(16).remainder(2));
  const std::string common = "train " + model() + " --data 'npy:" + file("images_*.npy") +
                             "' --epochs 1 --batch-size 8" + " --no-eval -o " + file("t.octet");
  const Outcome trained = run(common + " --qat --leave-float linear --explain");
  ASSERT_EQ(trained.status, 0) << trained.err;
  EXPECT_NE(trained.out.find("mode: quantization-aware"), std::string::npos) << trained.out;
  const auto config = nlohmann::json::parse(slurp(file("t.octet.json")));
  EXPECT_EQ(config.at("qat"), true);
  EXPECT_EQ(config.at("training").at("epochs"), "1");
  const std::string bytes = slurp(file("t.octet"));
  const Outcome again = run(common + " --qat --config " + file("t.octet.json"));
  ASSERT_EQ(again.status, 0) << again.err;
  EXPECT_EQ(nlohmann::json::parse(slurp(file("t.octet.json"))), config);
  EXPECT_EQ(run(common + " --float --leave-float linear").status, 2);
}

}  // namespace
}  // namespace octet

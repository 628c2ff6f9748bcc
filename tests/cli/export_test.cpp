// The files that leave the house, as a user writes and reads them.
#include <ATen/ops/equal.h>
#include <ATen/ops/randn.h>

#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>

#include "octet/formats/npy.h"
#include "octet/formats/tflite.h"
#include "tests/cli/program.h"

namespace octet {
namespace {

using test::lines;
using test::Outcome;
using test::Program;
using test::slurp;

class Export : public Program {
 protected:
  // Quantizes a golden case into `name`.
  std::string quantize(const std::string& golden_case, const std::string& name, const std::string& more = "") {
    const std::string folder = golden(golden_case);
    const Outcome result = run("quantize " + folder + "/model.pt2 --calibrate 'npy:" + folder + "/calib_*.npy' -o " +
                               file(name) + " " + more);
    EXPECT_EQ(result.status, 0) << result.err;
    return file(name);
  }
};

// A value for each operator of the network, in the graphs that Model Explorer makes of either file.
TEST_F(Export, LaysNoiseAndPlacementOverTheNetwork) {
  const std::string model = quantize("net_mobilenet_v2_w025", "q.octet");
  const std::string original = golden("net_mobilenet_v2_w025") + "/model.pt2";
  const Outcome result = run("export " + model + " --model-explorer " + file("over.json") + " --float " + original +
                             " --input " + golden("net_mobilenet_v2_w025") + "/test_0.npy");
  ASSERT_EQ(result.status, 0) << result.err;
  EXPECT_EQ(lines(result.out), 2U);
  const auto placement = nlohmann::json::parse(slurp(file("over.json")));
  const auto noise = nlohmann::json::parse(slurp(file("over.sqnr.json")));
  const auto placed = nlohmann::json::parse(run("check --json " + model).out).at("nodes");
  for (const char* graph : {"main", "graph"}) {
    const auto& where = placement.at(graph).at("results");
    const auto& decibels = noise.at(graph).at("results");
    EXPECT_EQ(where.size(), placed.size());
    for (const auto& each : placed) {
      const std::string name = each.at("name");
      ASSERT_TRUE(where.contains(name) && decibels.contains(name)) << name;
      EXPECT_EQ(where.at(name).at("value"), "NPU");
      EXPECT_GT(decibels.at(name).at("value").get<double>(), 20) << name;
    }
    EXPECT_EQ(noise.at(graph).at("thresholds").at(0).at("value"), 10);
  }
  EXPECT_EQ(run("export " + model + " --float " + original).status, 2) << "--float is for --model-explorer";
}

TEST_F(Export, WritesAPart) {
  const std::string model = quantize("net_cifarnet", "q.octet");
  const Outcome result = run("export " + model + " --tflite " + file("part.tflite") + " --from conv2d --to conv2d_1");
  ASSERT_EQ(result.status, 0) << result.err;
  const tflite::Model part = tflite::read(file("part.tflite"));
  const auto convolutions = std::count_if(part.operators.begin(), part.operators.end(),
                                          [](const auto& op) { return op.code == tflite::OpCode::kConv2d; });
  EXPECT_EQ(convolutions, 1);
  EXPECT_EQ(part.tensors[static_cast<size_t>(part.inputs.at(0))].type, tflite::Type::kInt8);
  const Outcome whole = run("export " + model + " --tflite " + file("whole.tflite") + " --largest-prefix");
  ASSERT_EQ(whole.status, 0) << whole.err;
  EXPECT_EQ(whole.err.find("left out"), std::string::npos) << whole.err;
  EXPECT_EQ(run("export " + model + " --tflite " + file("no.tflite") + " --to nothing").err,
            "octet: [nothing] is no node of the model; octet inspect --graph prints them\n");
}

// Sizes that a .pt2 leaves open follow --input-size and the inputs.
TEST_F(Export, TakesTheSizesThatAreAskedFor) {
  const std::string model = test::data("formats/symbolic_image.pt2");
  write_npy(file("x.npy"), at::randn({1, 3, 10, 6}));
  const Outcome ran = run("run " + model + " --input " + file("x.npy") + " --output " + file("rows.npy") +
                          " --output " + file("large.npy"));
  ASSERT_EQ(ran.status, 0) << ran.err;
  EXPECT_EQ(read_npy(file("rows.npy")).sizes(), (std::vector<int64_t>{1, 60, 4}));
  EXPECT_EQ(read_npy(file("large.npy")).sizes(), (std::vector<int64_t>{1, 4, 20, 12}));
  const Outcome made = run("quantize " + model + " --input-size 1,3,10,6 --calibrate 'npy:" + file("x.npy") + "' -o " +
                           file("sized.tflite"));
  ASSERT_EQ(made.status, 0) << made.err;
  const tflite::Model program = tflite::read(file("sized.tflite"));
  EXPECT_EQ(program.tensors[static_cast<size_t>(program.outputs.at(0))].shape, (std::vector<int64_t>{1, 60, 4}));
  const auto checked = nlohmann::json::parse(run("check --json " + model + " --input-size 16x24").out);
  EXPECT_EQ(checked.at("partitions"), 1) << checked;
  EXPECT_NE(run("run " + model + " --input-size 1,4,10,6 --input " + file("x.npy") + " --output a --output b")
                .err.find("size of dimension 1: expected 3, got 4"),
            std::string::npos);
}

TEST_F(Export, WritesEveryForm) {
  const std::string model = quantize("net_cifarnet", "q.octet");
  const Outcome result = run("export " + model + " --tflite " + file("m.tflite") + " --pt2 " + file("m.pt2") +
                             " --encodings " + file("e.json"));
  ASSERT_EQ(result.status, 0) << result.err;
  EXPECT_NE(result.out.find("arena"), std::string::npos) << result.out;
  const tflite::Model program = tflite::read(file("m.tflite"));
  EXPECT_EQ(program.description.rfind("octet ", 0), 0u);
  ASSERT_EQ(program.metadata.size(), 1u);
  const auto facts = nlohmann::json::parse(program.metadata[0].second);
  EXPECT_EQ(facts.at("config").at("target"), "imxrt700");
  EXPECT_TRUE(facts.contains("version"));
  // The .pt2 computes the same floats, near those that the reference recorded.
  for (const char* name : {"q.octet", "m.pt2"}) {
    const Outcome ran = run("run " + file(name) + " --input " + golden("net_cifarnet/test_0.npy") + " --output " +
                            file(std::string(name) + ".npy"));
    ASSERT_EQ(ran.status, 0) << ran.err;
  }
  const at::Tensor computed = read_npy(file("m.pt2.npy"));
  EXPECT_TRUE(at::equal(computed, read_npy(file("q.octet.npy"))));
  EXPECT_TRUE(at::allclose(computed, read_npy(golden("net_cifarnet/ptq_out.npy")), 0, 1.01 / 256));

  const auto encodings = nlohmann::json::parse(slurp(file("e.json")));
  EXPECT_EQ(encodings.at("version"), 1);
  const auto& first = encodings.at("encodings").at(0);
  EXPECT_EQ(first.at("kind"), "input");
  EXPECT_EQ(first.at("dtype"), "int8");
  const tflite::Tensor& input = program.tensors[static_cast<size_t>(program.inputs[0])];
  EXPECT_FLOAT_EQ(first.at("scale").at(0).get<float>(), input.quantization.scale[0]);
  const auto recorded = nlohmann::json::parse(slurp(golden("net_cifarnet/ptq.json"))).at(0).at("output");
  EXPECT_NEAR(first.at("scale").at(0).get<double>(), recorded.at("scale").at(0).get<double>(),
              2e-3 * recorded.at("scale").at(0).get<double>());
  EXPECT_EQ(first.at("zero_point").at(0), input.quantization.zero_point[0]);
  const auto& weight = encodings.at("encodings").at(1);
  EXPECT_EQ(weight.at("tensor"), "conv2d.weight");
  EXPECT_EQ(weight.at("axis"), 0);
  EXPECT_EQ(weight.at("scale").size(), 32u);
}

TEST_F(Export, OverflowCanBeChecked) {
  const std::string program = golden("net_unet/neutron_0.tflite");
  for (const char* flag : {"", " --check-overflow"}) {
    const Outcome result = run("run " + program + flag + " --input " + golden("net_unet/neutron_0_in_0.npy") +
                               " --output " + file("levels.npy"));
    ASSERT_EQ(result.status, 0) << result.err;
    EXPECT_TRUE(at::equal(read_npy(file("levels.npy")), read_npy(golden("net_unet/neutron_0_out_0.npy")))) << flag;
  }
}

TEST_F(Export, TheEndingNamesTheForm) {
  const std::string direct = quantize("net_cifarnet", "direct.tflite");
  const std::string plain = quantize("net_cifarnet", "plain.tflite", "--plain");
  const std::string pt2 = quantize("net_cifarnet", "q.pt2", "--pt2-layout legacy");
  EXPECT_LT(tflite::read(direct).operators.size(), tflite::read(plain).operators.size());
  EXPECT_TRUE(std::filesystem::exists(direct + ".json"));
  ASSERT_EQ(run("export " + pt2 + " --tflite " + file("again.tflite")).status, 0);
  EXPECT_EQ(tflite::read(file("again.tflite")).operators.size(), tflite::read(direct).operators.size());
}

TEST_F(Export, VerifySaysWhereTheyPart) {
  const std::string model = quantize("net_unet", "q.octet");
  ASSERT_EQ(run("export " + model + " --tflite " + file("m.tflite")).status, 0);
  const std::string arguments =
      "verify " + model + " " + file("m.tflite") + " --input " + golden("net_unet/test_0.npy");
  const Outcome text = run(arguments);
  ASSERT_EQ(text.status, 0) << text.err;
  EXPECT_NE(text.out.find("output 0: "), std::string::npos);
  EXPECT_NE(text.out.find("RESIZE_BILINEAR"), std::string::npos);
  const Outcome as_json = run(arguments + " --json");
  const auto found = nlohmann::json::parse(as_json.out);
  EXPECT_LE(found.at("outputs").at(0).at("alone").at("most_steps").get<double>(), 1.01);
  EXPECT_GE(found.at("layers").size(), 8u);

  const std::string other = quantize("op_add", "other.octet");
  const Outcome wrong = run("verify " + other + " " + file("m.tflite") + " --input " + golden("op_add/test_0.npy"));
  EXPECT_EQ(wrong.status, 1);
  EXPECT_EQ(lines(wrong.err), 1u) << wrong.err;
}

TEST_F(Export, AccuracyInIntegersIsThatOfTheFile) {
  const std::string model = quantize("net_cifarnet", "q.octet");
  ASSERT_EQ(run("export " + model + " --tflite " + file("m.tflite") + " --nhwc-io").status, 0);
  write_npy(file("x.npy"), at::randn({40, 3, 32, 32}));
  write_npy(file("labels.npy"), at::randint(10, {40}, at::kLong));
  const std::string data = " --json --data npy:" + file("x.npy");
  const auto accuracy = [&](const std::string& arguments) {
    const Outcome result = run("eval " + arguments + data);
    EXPECT_EQ(result.status, 0) << result.err;
    return nlohmann::json::parse(result.out);
  };
  const auto in_float = accuracy(model);
  const auto integer = accuracy(model + " --integer");
  const auto of_file = accuracy(file("m.tflite"));
  EXPECT_EQ(in_float.at("arithmetic"), "float");
  EXPECT_EQ(integer.at("arithmetic"), "integers");
  EXPECT_EQ(integer.at("top1"), of_file.at("top1"));
  EXPECT_DOUBLE_EQ(integer.at("loss").get<double>(), of_file.at("loss").get<double>());
  EXPECT_NEAR(in_float.at("loss").get<double>(), integer.at("loss").get<double>(), 0.05);
}

TEST_F(Export, RefusesInOneLine) {
  const std::string float_model = golden("net_cifarnet/model.pt2");
  for (const std::string& arguments :
       {"export " + float_model + " --tflite " + file("m.tflite"),
        "export " + float_model + " --encodings " + file("e.json"),
        "eval " + float_model + " --integer --data npy:" + golden("net_cifarnet/test_0.npy"),
        "verify " + float_model + " " + golden("net_cifarnet/neutron_0.tflite") + " --input " +
            golden("net_cifarnet/test_0.npy")}) {
    const Outcome result = run(arguments);
    EXPECT_EQ(result.status, 1) << arguments;
    EXPECT_EQ(lines(result.err), 1u) << arguments << ": " << result.err;
  }
  EXPECT_FALSE(std::filesystem::exists(file("m.tflite")));
  EXPECT_EQ(run("export " + float_model).status, 2);
  EXPECT_EQ(run("export " + float_model + " --pt2 " + file("copy.pt2")).status, 0) << "a float model may go to .pt2";
}

}  // namespace
}  // namespace octet

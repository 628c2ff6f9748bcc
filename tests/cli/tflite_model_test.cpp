// Files of TensorFlow's converter as models: MLPerf Tiny's keyword spotting, float with int8 weights, and int8.

#include <ATen/ops/equal.h>

#include <nlohmann/json.hpp>

#include "octet/formats/npy.h"
#include "octet/formats/tflite.h"
#include "tests/cli/program.h"

namespace octet {
namespace {

using test::Outcome;

class TfliteModels : public test::Program {
 protected:
  static std::string given(const std::string& name) { return test::data("tflite/" + name); }

  void quantize(const std::string& name, const std::string& more = "") {
    const Outcome result = run("quantize " + given("kws_fp32.tflite") + " --calibrate 'npy:" + given("kws_calib.npy") +
                               "' -o " + file(name) + " " + more);
    ASSERT_EQ(result.status, 0) << result.err;
  }
  at::Tensor results(const std::string& model, const std::string& more = "") {
    const Outcome result =
        run("run " + model + " --input " + given("kws_calib.npy") + " --output " + file("out.npy") + " " + more);
    EXPECT_EQ(result.status, 0) << result.err;
    return result.status == 0 ? read_npy(file("out.npy")) : at::Tensor();
  }
};

TEST_F(TfliteModels, AreQuantizedToFilesThatLieAsTheyDo) {
  quantize("kws.tflite");
  const tflite::Model source = tflite::read(given("kws_fp32.tflite")), program = tflite::read(file("kws.tflite"));
  EXPECT_EQ(program.tensors[static_cast<size_t>(program.inputs[0])].shape, (std::vector<int64_t>{1, 49, 10, 1}));
  for (const tflite::Operator& op : program.operators) {
    EXPECT_NE(op.code, tflite::OpCode::kTranspose);
    EXPECT_NE(op.code, tflite::OpCode::kPad);
    EXPECT_EQ(program.tensors[static_cast<size_t>(op.outputs[0])].type, tflite::Type::kInt8);
  }
  EXPECT_LE(program.operators.size(), source.operators.size());
  const at::Tensor in_float = results(given("kws_fp32.tflite"));
  const at::Tensor in_integers = results(file("kws.tflite"), "--dequantize");
  EXPECT_GE((in_float.argmax(1) == in_integers.argmax(1)).sum().item<int64_t>(), 15);
  EXPECT_LE((in_float - in_integers).abs().max().item<double>(), 0.2);
}

// As it is, nothing of a float file runs on the NPU; quantized, all of it does.
TEST_F(TfliteModels, AreCheckedAsTheyAreAndAsTheyWouldBe) {
  const Outcome result = run("check --json " + given("kws_fp32.tflite"));
  ASSERT_EQ(result.status, 0) << result.err;
  const auto json = nlohmann::json::parse(result.out);
  for (const auto& node : json.at("nodes")) EXPECT_TRUE(node.at("npu").is_null()) << node;
  EXPECT_EQ(json.at("quantized").at("partitions"), 1);
  for (const auto& node : json.at("quantized").at("nodes")) EXPECT_EQ(node.at("npu"), 0) << node;
  EXPECT_FALSE(nlohmann::json::parse(run("check --json " + given("kws_int8.tflite")).out).contains("quantized"));
  EXPECT_NE(run("check " + given("kws_fp32.tflite")).out.find("What octet quantize would make of it"),
            std::string::npos);
}

TEST_F(TfliteModels, OfInt8GiveLiteRtsBits) {
  EXPECT_TRUE(at::equal(results(given("kws_int8.tflite")), read_npy(given("kws_int8_out.npy"))));
  // The q/dq program of the same file, in float.
  const Outcome wrote = run("export " + given("kws_int8.tflite") + " --pt2 " + file("theirs.pt2"));
  ASSERT_EQ(wrote.status, 0) << wrote.err;
  const at::Tensor levels = read_npy(given("kws_int8_out.npy")).to(at::kFloat);
  EXPECT_LE((results(file("theirs.pt2")) - (levels + 128) / 256).abs().max().item<double>(), 0.1);
}

TEST_F(TfliteModels, AreComparedByTheirTensorsNames) {
  const Outcome result = run("compare " + given("kws_fp32.tflite") + " " + given("kws_int8.tflite") + " --input " +
                             given("kws_calib.npy") + " --json");
  ASSERT_EQ(result.status, 0) << result.err;
  const auto json = nlohmann::json::parse(result.out);
  EXPECT_GE(json.at("layers").size(), 10u) << result.out;
}

TEST_F(TfliteModels, MayTakeUint8AtTheirEdges) {
  quantize("signed.tflite");
  quantize("unsigned.tflite", "--uint8-io");
  const tflite::Model program = tflite::read(file("unsigned.tflite"));
  for (const int32_t index : {program.inputs[0], program.outputs[0]}) {
    EXPECT_EQ(program.tensors[static_cast<size_t>(index)].type, tflite::Type::kUInt8);
  }
  EXPECT_TRUE(
      at::equal(results(file("signed.tflite"), "--dequantize"), results(file("unsigned.tflite"), "--dequantize")));
  const Outcome both = run("quantize " + given("kws_fp32.tflite") + " --calibrate x -o y --uint8-io --float-io");
  EXPECT_EQ(both.status, 2) << both.err;
}

TEST_F(TfliteModels, AreInspectedAsGraphsToo) {
  const Outcome result = run("inspect " + given("kws_fp32.tflite") + " --graph");
  ASSERT_EQ(result.status, 0) << result.err;
  EXPECT_NE(result.out.find("aten.conv2d.default"), std::string::npos) << result.out;
  EXPECT_EQ(result.out.find("dequantize"), std::string::npos) << result.out;
}

}  // namespace
}  // namespace octet

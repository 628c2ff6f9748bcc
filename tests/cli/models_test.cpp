// Models by name: what `octet models` tells, and what the other verbs make of a name.

#include <ATen/ops/equal.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "octet/formats/npy.h"
#include "octet/formats/safetensors.h"
#include "tests/cli/program.h"

namespace octet {
namespace {

using Json = nlohmann::json;
using test::Outcome;

class NamedModels : public test::Program {
 protected:
  // All zero, but for the last bias.
  std::string weights(const std::string& name, const std::string& without = "") {
    StateDict state;
    std::ifstream reference(test::data("models/resnet8.json"));
    const auto model = nlohmann::ordered_json::parse(reference);
    for (const auto& [entry, shape] : model.at("state").items()) {
      if (entry == without) continue;
      std::vector<int64_t> sizes;
      std::stringstream text(shape.get<std::string>());
      for (std::string size; std::getline(text, size, ',');) sizes.push_back(std::stoll(size));
      state.emplace_back(entry, entry == "fc.bias" ? at::arange(10, at::kFloat) : at::zeros(sizes));
    }
    write_safetensors(file(name), state);
    return file(name);
  }
};

// docs/models.md shows the table.
TEST_F(NamedModels, AreListedAsTheDocumentSays) {
  const Outcome text = run("models");
  ASSERT_EQ(text.status, 0) << text.err;
  const std::string document = test::slurp(test::data("../../docs/models.md"));
  std::stringstream shown(text.out);
  for (std::string line; std::getline(shown, line) && !line.empty();) {
    EXPECT_NE(document.find(line), std::string::npos) << "docs/models.md lacks: " << line;
  }
  const Json all = Json::parse(run("models --json").out);
  const auto found =
      std::find_if(all.begin(), all.end(), [](const Json& each) { return each.at("name") == "resnet50"; });
  ASSERT_NE(found, all.end());
  EXPECT_EQ(found->at("parameters"), 25557032);
  EXPECT_EQ(found->at("macs"), 4089184256);
  EXPECT_EQ(found->at("input"), Json({1, 3, 224, 224}));
  EXPECT_EQ(found->at("options"), Json({"num_classes", "in_channels"}));
  for (const Json& each : all) EXPECT_NE(text.out.find(each.at("name").get<std::string>()), std::string::npos);
}

TEST_F(NamedModels, TakeWeights) {
  write_npy(file("x.npy"), at::rand({2, 3, 32, 32}));
  const std::string io = " --input " + file("x.npy") + " --output " + file("y.npy");
  const Outcome result = run("run resnet8 --weights " + weights("w.safetensors") + io);
  ASSERT_EQ(result.status, 0) << result.err;
  EXPECT_TRUE(at::equal(read_npy(file("y.npy")), at::arange(10, at::kFloat).expand({2, 10})));
}

TEST_F(NamedModels, NameTheWeightsThatDoNotFit) {
  const Outcome missing = run("inspect resnet8 --weights " + weights("w.safetensors", "stack1.bn1.bias"));
  EXPECT_EQ(missing.status, 1);
  EXPECT_NE(missing.err.find("w.safetensors] missing 'stack1.bn1.bias'; weights for resnet8"), std::string::npos)
      << missing.err;
  const std::string whole = "inspect resnet8 --classes 4 --weights " + weights("w.safetensors");
  const Outcome other_classes = run(whole);
  EXPECT_EQ(other_classes.status, 1);
  EXPECT_NE(other_classes.err.find("'fc.weight' shape: expected [4, 64], got [10, 64]"), std::string::npos);
  EXPECT_NE(other_classes.err.find("--new-classifier"), std::string::npos);
  const Outcome fresh = run(whole + " --new-classifier");
  EXPECT_EQ(fresh.status, 0) << fresh.err;
  EXPECT_EQ(test::lines(other_classes.err), 1u);
}

// The float .tflite of the same network, BatchNorms folded; its softmax stays behind the logits.
TEST_F(NamedModels, TakeTheWeightsOfAFloatTflite) {
  const std::string given = test::data("tflite/kws_fp32.tflite"), input = test::data("tflite/kws_calib.npy");
  const at::Tensor nhwc = read_npy(input);
  write_npy(file("x.npy"), nhwc.permute({0, 3, 1, 2}).contiguous());
  ASSERT_EQ(run("run " + given + " --input " + input + " --output " + file("theirs.npy")).status, 0);
  const Outcome own = run("run ds_cnn --weights " + given + " --input " + file("x.npy") + " --output " + file("y.npy"));
  ASSERT_EQ(own.status, 0) << own.err;
  EXPECT_TRUE(at::allclose(at::softmax(read_npy(file("y.npy")), 1), read_npy(file("theirs.npy")), 0, 1e-5));
  const Outcome other = run("inspect mobilenet_v1 --weights " + given);
  EXPECT_EQ(other.status, 1);
  EXPECT_NE(other.err.find("kws_fp32.tflite] no weight of [8, 3, 3, 3] is left for 'conv'; weights for mobilenet_v1"),
            std::string::npos)
      << other.err;
  const Outcome quantized = run("inspect ds_cnn --weights " + test::data("tflite/kws_int8.tflite"));
  EXPECT_NE(quantized.err.find("is quantized; weights come from the float file"), std::string::npos) << quantized.err;
}

TEST_F(NamedModels, AreBuiltAsTheFlagsSay) {
  const Json built =
      Json::parse(run("inspect mobilenet_v3_small_w050 --classes 5 --channels 1 --input-size 1,1,64,64 --json").out);
  EXPECT_EQ(built.at("inputs")[0].at("shape"), Json({1, 1, 64, 64}));
  EXPECT_EQ(built.at("outputs")[0].at("shape"), Json({1, 5}));
  EXPECT_EQ(run("inspect resnet8 --width 2").status, 2);
  EXPECT_EQ(run("inspect mobilenet_v2 --dropout 1").status, 2);
  EXPECT_EQ(run("inspect resnet8 --input-size 32,32").status, 2);
  const Outcome file_and_classes = run("inspect " + golden("conv_relu/model.pt2") + " --classes 3");
  EXPECT_EQ(file_and_classes.status, 2);
  EXPECT_NE(file_and_classes.err.find("is no model by name"), std::string::npos);
  const Outcome unknown = run("inspect mobilenet_v9");
  EXPECT_EQ(unknown.status, 1);
  EXPECT_NE(unknown.err.find("[mobilenet_v9] is neither a file nor a model's name; octet models lists the names"),
            std::string::npos)
      << unknown.err;
}

TEST_F(NamedModels, AFileOfThatNameIsTheFile) {
  ASSERT_EQ(run("export resnet8 --classes 3 --pt2 " + file("float.pt2")).status, 0);
  std::filesystem::rename(file("float.pt2"), file("resnet8"));
  const std::filesystem::path before = std::filesystem::current_path();
  std::filesystem::current_path(folder_.path());
  const Outcome result = run("inspect resnet8 --json");
  std::filesystem::current_path(before);
  ASSERT_EQ(result.status, 0) << result.err;
  const Json built = Json::parse(result.out);
  EXPECT_EQ(built.at("outputs")[0].at("shape"), Json({1, 3}));
}

// Classes are those of the data; quantized and trained as a file would be.
TEST_F(NamedModels, AreTrainedAndQuantized) {
  write_npy(file("x.npy"), at::rand({32, 1, 49, 10}));
  write_npy(file("labels.npy"), at::arange(32).remainder(5));
  const std::string data = " --data 'npy:" + file("x.npy") + "' --epochs 1 --batch-size 16 --json";
  const Outcome in_float = run("train ds_cnn --float" + data + " -o " + file("float.octet"));
  ASSERT_EQ(in_float.status, 0) << in_float.err;
  const Json built = Json::parse(run("inspect " + file("float.octet") + " --json").out);
  EXPECT_EQ(built.at("outputs")[0].at("shape"), Json({1, 5}));
  const Outcome trained = run("train ds_cnn --qat" + data + " -o " + file("qat.tflite"));
  ASSERT_EQ(trained.status, 0) << trained.err;
  const Outcome quantized = run("quantize ds_cnn --calibrate 'npy:" + file("x.npy") + "' -o " + file("ptq.tflite"));
  ASSERT_EQ(quantized.status, 0) << quantized.err;
  const Json placed = Json::parse(run("check ds_cnn --json").out);
  for (const Json& node : placed.at("nodes")) EXPECT_EQ(node.at("npu"), 0) << node;
}

}  // namespace
}  // namespace octet

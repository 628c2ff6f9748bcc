#include "octet/formats/pt2.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "octet/formats/npy.h"
#include "octet/formats/state_dict.h"
#include "octet/formats/zip.h"
#include "tests/support/error_test.h"
#include "tests/support/test_data.h"

namespace octet {
namespace {

namespace fs = std::filesystem;

std::vector<at::Tensor> read_all(const fs::path& folder, const std::string& prefix) {
  std::vector<at::Tensor> tensors;
  if (fs::exists(folder / (prefix + ".npy"))) return {read_npy(folder / (prefix + ".npy"))};
  for (int i = 0; fs::exists(folder / str(prefix, "_", i, ".npy")); ++i) {
    tensors.push_back(read_npy(folder / str(prefix, "_", i, ".npy")));
  }
  return tensors;
}

double relative_error(const at::Tensor& got, const at::Tensor& wanted) {
  if (got.sizes() != wanted.sizes() || got.scalar_type() != wanted.scalar_type()) return INFINITY;
  if (wanted.numel() == 0) return 0;
  const double scale = std::max(wanted.abs().max().item<double>(), 1e-12);
  return (got - wanted).abs().max().item<double>() / scale;
}

std::vector<fs::path> golden_folders(const std::string& kind) {
  std::vector<fs::path> folders;
  for (const auto& entry : fs::directory_iterator(test::data("golden/" + kind))) {
    if (fs::exists(entry.path() / "model.pt2")) folders.push_back(entry.path());
  }
  std::sort(folders.begin(), folders.end());
  return folders;
}

std::string folder_name(const ::testing::TestParamInfo<fs::path>& info) {
  std::string name = info.param.filename().string();
  std::replace_if(
      name.begin(), name.end(), [](char c) { return !std::isalnum(static_cast<unsigned char>(c)); }, '_');
  return name;
}

class GoldenModel : public ::testing::TestWithParam<fs::path> {};

TEST_P(GoldenModel, GivesTheRecordedOutput) {
  const at::NoGradGuard no_grad;
  const auto module = load_pt2(GetParam() / "model.pt2");
  const bool was_training = GetParam().string().find("_train_") != std::string::npos;
  EXPECT_EQ(module->is_training(), was_training);
  module->train(false);
  const auto inputs = read_all(GetParam(), "test");
  const auto wanted = read_all(GetParam(), "float_out");
  ASSERT_FALSE(wanted.empty());
  const auto got = module->run(inputs);
  ASSERT_EQ(got.size(), wanted.size());
  for (size_t i = 0; i < got.size(); ++i) EXPECT_LT(relative_error(got[i], wanted[i]), 1e-4) << "output " << i;
}

TEST_P(GoldenModel, RecordsTheShapesThatItComputes) {
  const at::NoGradGuard no_grad;
  const auto module = load_pt2(GetParam() / "model.pt2", {.batch = read_all(GetParam(), "test")[0].size(0)});
  size_t compared = 0;
  module->run_observed(read_all(GetParam(), "test"), [&](const Node& node, const c10::IValue& value) {
    if (!value.isTensor()) return;
    ASSERT_TRUE(node.meta()) << node.name();
    EXPECT_EQ(*node.meta(), (TensorMeta{value.toTensor().scalar_type(), value.toTensor().sizes().vec()}))
        << node.name();
    ++compared;
  });
  EXPECT_GT(compared, 1u);
}

INSTANTIATE_TEST_SUITE_P(Cases, GoldenModel, ::testing::ValuesIn(golden_folders("cases")), folder_name);
INSTANTIATE_TEST_SUITE_P(Variants, GoldenModel, ::testing::ValuesIn(golden_folders("pt2_variants")), folder_name);

TEST(Pt2, ReadsEveryOperatorOfTheCatalogue) {
  for (const char* mode : {"eval", "train"}) {
    const auto module = load_pt2(test::data(str("golden/pt2_variants/torch2.14_ops_catalogue/", mode, ".pt2")));
    size_t calls = 0;
    for (const Node* node : module->graph().nodes()) calls += node->is_call();
    EXPECT_GT(calls, 60u);
    module->verify();
    EXPECT_EQ(module->is_training(), std::string(mode) == "train");
  }
}

TEST(Pt2, KnowsWhereTheModelCameFrom) {
  const auto facts = [](const std::string& name) {
    return load_pt2(test::data("golden/pt2_variants/" + name + "/model.pt2"))->facts();
  };
  auto newer = facts("torch2.14_decomposed_resnet8");
  EXPECT_EQ(newer["source"], "pt2");
  EXPECT_EQ(newer["schema"], "8.20");
  EXPECT_EQ(newer["torch_version"].substr(0, 6), "2.14.1");
  EXPECT_EQ(newer["dialect"], "aten");
  EXPECT_EQ(newer["layout"], "archive");
  auto older = facts("torch2.6_eval_resnet8");
  EXPECT_EQ(older["schema"], "8.2");
  EXPECT_EQ(older["dialect"], "training");
  EXPECT_EQ(older["layout"], "flat");
}

TEST(Pt2, KeepsNamesAndModulePaths) {
  for (const char* name : {"torch2.14_eval_cifarnet", "torch2.6_eval_cifarnet"}) {
    const auto module = load_pt2(test::data(str("golden/pt2_variants/", name, "/model.pt2")));
    const Node* conv = module->graph().find("conv2d_1");
    ASSERT_NE(conv, nullptr);
    EXPECT_TRUE(conv->is_call("aten.conv2d.default"));
    EXPECT_EQ(conv->arg("weight").node()->target(), "c2.weight");
    EXPECT_EQ(*conv->notes().find(kModulePathNote), "c2");
    EXPECT_EQ(module->attr_kind("c2.weight"), AttrKind::kParameter);
    EXPECT_TRUE(module->attr("c2.weight").requires_grad());
    EXPECT_EQ(module->parameters().size(), 8u);
  }
}

TEST(Pt2, TiesWeightsAndReadsConstants) {
  for (const char* torch : {"torch2.14", "torch2.6"}) {
    const auto module =
        load_pt2(test::data(str("golden/pt2_variants/", torch, "_eval_tied_weights_and_constants/model.pt2")));
    EXPECT_EQ(module->attr_kind("k"), AttrKind::kBuffer);
    EXPECT_EQ(module->attr_kind("lifted_tensor_0"), AttrKind::kConstant);
    EXPECT_EQ(module->parameters().size(), 3u);  // one weight, two biases
  }
  const auto module = load_pt2(test::data("golden/pt2_variants/torch2.14_eval_tied_weights_and_constants/model.pt2"));
  EXPECT_EQ(module->aliases().size(), 1u);
  EXPECT_TRUE(module->attr("a.weight").is_same(module->attr("b.weight")));
}

// torch 2.8 laid archives out as later releases do, but put the tensors into files of torch.save.
TEST(Pt2, ReadsNestedWeightsInTheNewerLayout) {
  const at::NoGradGuard no_grad;
  const fs::path older = test::data("golden/pt2_variants/torch2.6_eval_tied_weights_and_constants");
  const ZipReader flat = ZipReader::open(older / "model.pt2");
  const ZipReader newer =
      ZipReader::open(test::data("golden/pt2_variants/torch2.14_eval_tied_weights_and_constants/model.pt2"));
  const test::TemporaryFolder folder;
  ZipWriter writer(folder.file("m.pt2"));
  for (const char* name : {"archive_format", "archive_version", "models/model.json"}) {
    writer.add(str("any root/", name), newer.read(str("model/", name)));
  }
  writer.add("any root/data/weights/model.pt", flat.read("serialized_state_dict.pt"));
  writer.add("any root/data/constants/model.pt", flat.read("serialized_constants.pt"));
  writer.finish();
  const at::Tensor got = load_pt2(folder.file("m.pt2"))->forward(read_npy(older / "test_0.npy"));
  EXPECT_LT(relative_error(got, read_npy(older / "float_out.npy")), 1e-6);
}

TEST(Pt2, ChoosesAProgramOfAPackage) {
  const ZipReader one = ZipReader::open(test::data("golden/cases/linear/model.pt2"));
  const ZipReader two = ZipReader::open(test::data("golden/cases/conv_relu/model.pt2"));
  const test::TemporaryFolder folder;
  ZipWriter writer(folder.file("m.pt2"));
  writer.add("m/archive_format", "pt2");
  writer.add("m/archive_version", "0");
  const auto add = [&](const ZipReader& from, const std::string& name) {
    for (const ZipEntry& entry : from.entries()) {
      std::string to = entry.name.substr(entry.name.find('/') + 1);
      if (to != "models/model.json" && to.rfind("data/", 0) != 0) continue;
      if (to.rfind("data/sample_inputs", 0) == 0) continue;
      if (to == "models/model.json") to = "models/" + name + ".json";
      const size_t config = to.find("/model_");
      if (config != std::string::npos) to.replace(config + 1, 5, name);
      std::string bytes = from.read(entry);
      if (to.find("/weight_") != std::string::npos) to += name;  // each program has weights of its own
      for (size_t at = 0; to.ends_with("_config.json") && (at = bytes.find("\"weight_", at)) != std::string::npos;
           ++at) {
        bytes.insert(bytes.find('"', at + 1), name);
      }
      writer.add("m/" + to, bytes);
    }
  };
  add(one, "first");
  add(two, "second");
  writer.finish();
  EXPECT_NE(load_pt2(folder.file("m.pt2"), {.batch = 0, .model = "first"})->graph().find("linear"), nullptr);
  EXPECT_NE(load_pt2(folder.file("m.pt2"), {.batch = 0, .model = "second"})->graph().find("conv2d"), nullptr);
  EXPECT_TRUE(test::fails_with([&] { load_pt2(folder.file("m.pt2")); }, "holds no program 'model', but first, second"));
}

TEST(Pt2, RunsDynamicBatchesOfAnotherSize) {
  const at::NoGradGuard no_grad;
  for (const char* torch : {"torch2.14", "torch2.6"}) {
    const fs::path folder = test::data(str("golden/pt2_variants/", torch, "_dynamic_batch_cifarnet"));
    const at::Tensor input = read_npy(folder / "test_0.npy");
    const at::Tensor wanted = read_npy(folder / "float_out.npy");
    const auto traced = load_pt2(folder / "model.pt2");
    EXPECT_EQ(traced->graph().placeholders()[0]->sizes()[0], 2);
    const auto module = load_pt2(folder / "model.pt2", {.batch = 5});
    EXPECT_EQ(module->graph().placeholders()[0]->sizes()[0], 5);
    EXPECT_EQ(module->graph().find("softmax")->sizes(), (std::vector<int64_t>{5, 10}));
    const at::Tensor five = at::cat({input, input, input, input, input}).slice(0, 0, 5);
    const at::Tensor got = module->forward(five);
    EXPECT_LT(relative_error(got.slice(0, 0, 1), wanted.slice(0, 0, 1)), 1e-4);
    EXPECT_EQ(got.size(0), 5);
  }
}

TEST(Pt2, FoldsSymbolicSizesForAGivenBatch) {
  const at::NoGradGuard no_grad;
  std::map<std::string, at::Tensor> data;
  for (const auto& [name, tensor] : load_state_dict(test::data("formats/symbolic_sizes.pth"))) data[name] = tensor;
  const auto module = load_pt2(test::data("formats/symbolic_sizes.pt2"), {.batch = 5});
  const auto got = module->run({data.at("x"), data.at("y")});
  ASSERT_EQ(got.size(), 3u);
  for (size_t i = 0; i < 3; ++i) EXPECT_LT(relative_error(got[i], data.at(str("out_", i))), 1e-6) << i;
  EXPECT_EQ(module->graph().find("full")->arg("size").to_ints(), std::vector<int64_t>{25});
  EXPECT_EQ(load_pt2(test::data("formats/symbolic_sizes.pt2"))->graph().find("full")->arg("size").to_ints(),
            std::vector<int64_t>{15});
}

TEST(Pt2, FoldsSymbolicSizesForGivenInputs) {
  const at::NoGradGuard no_grad;
  const std::string path = test::data("formats/symbolic_image.pt2");
  std::map<std::string, at::Tensor> data;
  for (const auto& [name, tensor] : load_state_dict(test::data("formats/symbolic_image.pth"))) data[name] = tensor;
  const auto module = load_pt2(path, {.input_sizes = {{1, 3, 10, 6}}});
  EXPECT_EQ(module->graph().placeholders()[0]->sizes(), (std::vector<int64_t>{1, 3, 10, 6}));
  const auto got = module->run({data.at("x")});
  ASSERT_EQ(got.size(), 2u);
  for (size_t i = 0; i < 2; ++i) EXPECT_LT(relative_error(got[i], data.at(str("out_", i))), 1e-6) << i;
  const auto fails = [&](std::vector<std::vector<int64_t>> sizes, const std::string& message) {
    return test::fails_with([&] { load_pt2(path, {.input_sizes = std::move(sizes)}); }, message);
  };
  EXPECT_TRUE(fails({{1, 4, 10, 6}}, "[x] size of dimension 1: expected 3, got 4"));
  EXPECT_TRUE(fails({{1, 3, 10}}, "[x] dimensions: expected 4, got 3"));
  EXPECT_TRUE(fails({{1, 3, 10, 6}, {1}}, "one for each of 1 inputs"));
}

TEST(Pt2, TrainsADecomposedGraphAndSwitchesItToEval) {
  std::map<std::string, at::Tensor> data;
  for (const auto& [name, tensor] : load_state_dict(test::data("formats/train_decomposed.pth"))) data[name] = tensor;
  const auto module = load_pt2(test::data("formats/train_decomposed.pt2"));
  EXPECT_TRUE(module->is_training());
  EXPECT_EQ(module->facts()["dialect"], "aten");
  const auto results = module->run({data.at("input")});
  ASSERT_EQ(results.size(), 1u);  // updates of buffers are no results
  EXPECT_LT(relative_error(results[0].detach(), data.at("output")), 1e-5);
  EXPECT_LT(relative_error(module->attr("bn.running_mean"), data.at("running_mean")), 1e-5);
  EXPECT_LT(relative_error(module->attr("bn.running_var"), data.at("running_var")), 1e-5);
  EXPECT_EQ(module->attr("bn.num_batches_tracked").item<int64_t>(), 1);
  results[0].sum().backward();
  EXPECT_TRUE(module->attr("conv.weight").grad().defined());
  module->train(false);
  EXPECT_LT(relative_error(module->run({data.at("input")})[0].detach(), data.at("eval_output")), 1e-5);
}

TEST(Pt2, NamesFileAndReasonOfWhatItCannotRead) {
  EXPECT_TRUE(test::fails_with([] { load_pt2("/no/such/model.pt2"); }, "[/no/such/model.pt2] cannot be opened"));
  EXPECT_TRUE(test::fails_with([] { load_pt2(test::data("formats/weights.pth")); }, "no .pt2"));
  EXPECT_TRUE(test::fails_with([] { load_pt2(test::data("formats/make_fixtures.py")); }, "is no zip archive"));
}

}  // namespace
}  // namespace octet

#include "octet/formats/pt2_writer.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>

#include "octet/formats/json.h"
#include "octet/formats/torch_save.h"
#include "octet/formats/zip.h"
#include "tests/formats/same_model.h"
#include "tests/support/error_test.h"
#include "tests/support/test_data.h"

namespace octet {
namespace {

namespace fs = std::filesystem;
using test::fails_with;

constexpr Pt2WriteOptions kLayouts[] = {{Pt2Layout::kCurrent}, {Pt2Layout::kLegacy}};

std::shared_ptr<GraphModule> through(const GraphModule& module, const Pt2WriteOptions& options) {
  const test::TemporaryFolder folder;
  write_pt2(module, folder.file("m.pt2"), options);
  return load_pt2(folder.file("m.pt2"));
}

std::vector<fs::path> float_files() {
  std::vector<fs::path> files = test::pt2_files(test::data("golden/cases"));
  for (const fs::path& file : test::pt2_files(test::data("golden/pt2_variants"))) files.push_back(file);
  files.push_back(test::data("formats/symbolic_sizes.pt2"));
  files.push_back(test::data("formats/train_decomposed.pt2"));
  return files;
}

class WrittenModel : public ::testing::TestWithParam<fs::path> {};

TEST_P(WrittenModel, ComesBackTheSame) {
  const auto original = load_pt2(GetParam());
  const auto given = test::numbered_arrays(GetParam().parent_path(), "test");
  const std::string label = GetParam().parent_path().filename().string() + "_" + GetParam().stem().string();
  test::keep_for_peers(*original, "float/" + label, given.empty() ? example_inputs(*original) : given);
  for (const Pt2WriteOptions& options : kLayouts) {
    const auto again = through(*original, options);
    test::expect_same_model(*again, *original);
    auto facts = original->facts();
    facts["layout"] = options.layout == Pt2Layout::kLegacy ? "flat" : "archive";
    facts["schema"] = options.layout == Pt2Layout::kLegacy ? "8.2" : "8.20";
    EXPECT_EQ(again->facts().at("torch_version"), facts["torch_version"]);
    EXPECT_EQ(again->facts().at("layout"), facts["layout"]);
    EXPECT_EQ(again->facts().at("schema"), facts["schema"]);
    EXPECT_EQ(again->facts().count(kCallSignatureFact), facts.count(kCallSignatureFact));
    const auto inputs = test::numbered_arrays(GetParam().parent_path(), "test");
    if (inputs.empty()) continue;
    const auto evaluated = original->copy();
    evaluated->train(false);
    again->train(false);
    test::expect_same_results(*again, *evaluated, inputs);
  }
}

std::string file_label(const ::testing::TestParamInfo<fs::path>& info) {
  std::string name = info.param.parent_path().filename().string() + "_" + info.param.stem().string();
  std::replace_if(
      name.begin(), name.end(), [](char c) { return !std::isalnum(static_cast<unsigned char>(c)); }, '_');
  return name;
}
INSTANTIATE_TEST_SUITE_P(Files, WrittenModel, ::testing::ValuesIn(float_files()), file_label);

std::string tied() { return test::data("golden/pt2_variants/torch2.14_eval_tied_weights_and_constants/model.pt2"); }

TEST(Pt2Writer, WritesEqualFilesForEqualModels) {
  const test::TemporaryFolder folder;
  for (const Pt2WriteOptions& options : kLayouts) {
    write_pt2(*load_pt2(tied()), folder.file("a.pt2"), options);
    write_pt2(*load_pt2(folder.file("a.pt2")), folder.file("b.pt2"), options);
    EXPECT_EQ(read_file(folder.file("a.pt2")), read_file(folder.file("b.pt2")));
  }
}

// Field by field against what torch wrote: the same program, but for what octet says it does not keep.
TEST(Pt2Writer, WritesTheProgramThatTorchWrote) {
  const test::TemporaryFolder folder;
  const auto compare = [&](const std::string& file, const std::string& entry, const Pt2WriteOptions& options) {
    write_pt2(*load_pt2(file), folder.file("m.pt2"), options);
    nlohmann::json wanted = parse_json(ZipReader::open(file).read(entry), "torch");
    nlohmann::json got = parse_json(ZipReader::open(folder.file("m.pt2")).read(entry), "octet");
    nlohmann::json& calls = wanted["graph_module"]["module_call_graph"];
    calls = nlohmann::json::array({calls[0]});
    for (nlohmann::json* root : {&wanted, &got}) {
      nlohmann::json& signature = (*root)["graph_module"]["module_call_graph"][0]["signature"];
      for (const char* spec : {"in_spec", "out_spec"})
        signature[spec] = nlohmann::json::parse(signature[spec].get<std::string>());
    }
    EXPECT_EQ(nlohmann::json::diff(wanted, got).dump(1), "[]") << file;
  };
  compare(tied(), "model/models/model.json", {Pt2Layout::kCurrent});
  compare(test::data("golden/pt2_variants/torch2.14_eval_cifarnet/model.pt2"), "model/models/model.json",
          {Pt2Layout::kCurrent});
  compare(test::data("golden/pt2_variants/torch2.6_eval_cifarnet/model.pt2"), "serialized_exported_program.json",
          {Pt2Layout::kLegacy});
}

TEST(Pt2Writer, KeepsTiesAndPersistence) {
  for (const Pt2WriteOptions& options : kLayouts) {
    const auto module = through(*load_pt2(tied()), options);
    EXPECT_TRUE(module->attr("a.weight").is_same(module->attr("b.weight")));
    EXPECT_EQ(module->attr_kind("k"), AttrKind::kBuffer);
    const test::TemporaryFolder folder;
    write_pt2(*module, folder.file("m.pt2"));
    const ZipReader zip = ZipReader::open(folder.file("m.pt2"));
    const auto config = parse_json(zip.read("model/data/weights/model_weights_config.json"), "weights")["config"];
    EXPECT_EQ(config["a.weight"]["path_name"], config["b.weight"]["path_name"]);
    EXPECT_FALSE(config.contains("k"));
    EXPECT_TRUE(
        parse_json(zip.read("model/data/constants/model_constants_config.json"), "constants")["config"].contains("k"));
  }
}

// --- programs made here

struct Sample {
  std::shared_ptr<GraphModule> module = std::make_shared<GraphModule>();
  Graph& graph() { return module->graph(); }
  Node* input(const std::string& name, std::vector<int64_t> sizes, at::ScalarType dtype = at::kFloat) {
    Node* node = graph().placeholder(name);
    node->set_meta(TensorMeta{dtype, std::move(sizes)});
    return node;
  }
};

TEST(Pt2Writer, KeepsEveryKindOfTensor) {
  Sample sample;
  Node* x = sample.input("x", {2, 3});
  std::vector<Arg> results = {Arg(x)};
  const at::ScalarType types[] = {at::kChar,     at::kByte,  at::kShort,  at::kInt,  at::kLong,   at::kHalf,
                                  at::kBFloat16, at::kFloat, at::kDouble, at::kBool, at::kUInt16, at::kComplexFloat};
  for (const at::ScalarType type : types) {
    const std::string name = octet::str("folder.t_", static_cast<int>(type));
    sample.module->set_attr(name, at::arange(6).reshape({2, 3}).to(type), AttrKind::kBuffer);
    results.emplace_back(sample.graph().get_attr(name));
  }
  sample.module->set_attr("int8_parameter", at::ones({4}, at::kChar), AttrKind::kParameter);
  sample.module->set_attr("grad", at::ones({4}).requires_grad_(), AttrKind::kParameter);
  sample.module->set_attr("transposed", at::arange(6.0).reshape({2, 3}).t(), AttrKind::kBuffer);
  sample.module->set_attr("part", at::arange(12.0).slice(0, 2, 12, 3), AttrKind::kBuffer);
  sample.module->set_attr("expanded", at::ones({1}).expand({3}), AttrKind::kConstant);
  sample.module->set_attr("empty", at::zeros({0, 3}), AttrKind::kConstant);
  sample.module->set_attr("number", at::tensor(7), AttrKind::kConstant);
  sample.module->set_attr("channels_last", at::randn({1, 2, 3, 3}).contiguous(at::MemoryFormat::ChannelsLast),
                          AttrKind::kParameter);
  sample.module->attr("channels_last").set_requires_grad(false);
  sample.graph().output(results);
  test::keep_for_peers(*sample.module, "made/tensors", {at::zeros({2, 3})});
  for (const Pt2WriteOptions& options : kLayouts) {
    const auto again = through(*sample.module, options);
    for (const std::string& name : sample.module->attr_names()) {
      const at::Tensor got = again->attr(name);
      const at::Tensor wanted = sample.module->attr(name);
      ASSERT_EQ(got.scalar_type(), wanted.scalar_type()) << name;
      ASSERT_EQ(got.sizes(), wanted.sizes()) << name;
      EXPECT_TRUE(at::equal(got.to(at::kComplexDouble), wanted.to(at::kComplexDouble))) << name;
      EXPECT_EQ(again->attr_kind(name), sample.module->attr_kind(name)) << name;
      EXPECT_EQ(got.requires_grad(), wanted.requires_grad()) << name;
    }
    EXPECT_EQ(again->attr("transposed").strides().vec(), (std::vector<int64_t>{1, 3}));
    EXPECT_EQ(again->run({at::zeros({2, 3})}).size(), results.size());
  }
}

TEST(Pt2Writer, KnowsWhichTypesALayoutHas) {
  for (const at::ScalarType type : {at::kUInt32, at::kUInt64, at::kFloat8_e4m3fn, at::kFloat8_e5m2}) {
    Sample sample;
    Node* x = sample.input("x", {1});
    sample.module->set_attr("w", at::arange(4).to(type), AttrKind::kBuffer);
    sample.graph().output({Arg(x), Arg(sample.graph().get_attr("w"))});
    EXPECT_EQ(through(*sample.module, {Pt2Layout::kCurrent})->attr("w").scalar_type(), type);
    EXPECT_TRUE(fails_with([&] { through(*sample.module, {Pt2Layout::kLegacy}); }, "['w'] is of type"));
  }
}

TEST(Pt2Writer, KeepsEveryKindOfArgument) {
  Sample sample;
  Graph& graph = sample.graph();
  Node* x = sample.input("x", {1, 4, 6, 6});
  Node* i = sample.input("i", {2}, at::kLong);
  std::vector<Arg> results;
  const auto keep = [&](Node* node) {
    results.emplace_back(node);
    return node;
  };
  keep(graph.call("aten.clamp.default", {Arg(x), Arg(), Arg(0.5)}));
  keep(graph.call("aten.masked_fill.Scalar", {Arg(x), Arg(graph.call("aten.gt.Scalar", {Arg(x), Arg(0)})),
                                              Arg(-std::numeric_limits<double>::infinity())}));
  keep(graph.call("aten.add.Tensor", {Arg(x), Arg(2)}, {{"alpha", Arg(3)}}));
  keep(graph.call("aten.upsample_bilinear2d.vec",
                  {Arg(x), Arg(), Arg(false), Arg(c10::IValue(std::vector<double>{2.0, 2.0}))}));
  keep(graph.call("aten.pad.default", {Arg(x), Arg(std::vector<int64_t>{1, 1, 1, 1}), Arg("reflect")}));
  keep(graph.call("aten.index.Tensor", {Arg(x), Arg(std::vector<Arg>{Arg(), Arg(i)})}));
  keep(graph.call("aten.index.Tensor", {Arg(x), Arg(std::vector<Arg>{Arg(i), Arg(i)})}));
  keep(graph.call("aten.to.dtype", {Arg(x), Arg(at::kDouble)}));
  keep(graph.call("aten.clone.default", {Arg(x)},
                  {{"memory_format", Arg(static_cast<int64_t>(at::MemoryFormat::ChannelsLast))}}));
  keep(graph.call("aten.zeros.default", {Arg(std::vector<int64_t>{})},
                  {{"dtype", Arg(at::kInt)}, {"device", Arg(c10::IValue(c10::Device(c10::kCPU)))}}));
  keep(graph.call("aten.sum.dim_IntList", {Arg(x), Arg(std::vector<int64_t>{1, 2}), Arg(true)}));
  keep(graph.call("aten.norm.Scalar", {Arg(x), Arg(2)}));
  Node* pooled = graph.call("aten.max_pool2d_with_indices.default", {Arg(x), Arg(std::vector<int64_t>{2, 2})});
  keep(graph.get_item(pooled, 1, "indices"));  // the values themselves are unused
  Node* parts = graph.call("aten.split_with_sizes.default", {Arg(x), Arg(std::vector<int64_t>{1, 2, 1}), Arg(1)});
  keep(graph.get_item(parts, 1));
  keep(graph.get_item(parts, 1));
  keep(graph.call("aten.cat.default", {Arg(std::vector<Arg>{Arg(x), Arg(x)}), Arg(1)}));
  graph.output(results);
  const at::Tensor input = at::randn({1, 4, 6, 6});
  const at::Tensor indices = at::tensor(std::vector<int64_t>{0, 0});
  test::keep_for_peers(*sample.module, "made/arguments", {input, indices});
  for (const Pt2WriteOptions& options : kLayouts) {
    const auto again = through(*sample.module, options);
    test::expect_same_results(*again, *sample.module, {input, indices});
    EXPECT_EQ(again->graph().find("masked_fill")->arg(2).to_double(), -std::numeric_limits<double>::infinity());
    const auto twice = through(*again, options);
    EXPECT_EQ(twice->graph().text(), again->graph().text());
  }
}

TEST(Pt2Writer, KeepsHowPythonCallsIt) {
  const auto module = load_pt2(test::data("golden/cases/linear/model.pt2"));
  const std::string leaf = R"({"type":null,"context":null,"children_spec":[]})";
  const std::string named =
      R"([1,{"type":"builtins.tuple","context":"null","children_spec":[{"type":"builtins.tuple","context":"null","children_spec":[]},{"type":"builtins.dict","context":"[\"image\"]","children_spec":[)" +
      leaf + "]}]}]";
  const std::string dict = R"([1,{"type":"builtins.dict","context":"[\"score\"]","children_spec":[)" + leaf + "]}]";
  module->facts()[kCallSignatureFact] = nlohmann::json{{"in", named}, {"out", dict}, {"names", {"image"}}}.dump();
  for (const Pt2WriteOptions& options : kLayouts) {
    const auto again = through(*module, options);
    EXPECT_EQ(again->facts().at(kCallSignatureFact), module->facts().at(kCallSignatureFact));
    // One that no longer fits the program, or that needs a class of the user's, gives way to the plain one.
    for (const std::string& in :
         {dict, std::string("no tree"),
          std::string(R"([1,{"type":"my.Class","context":"null","children_spec":[)") + leaf + "]}]"}) {
      auto odd = module->copy();
      odd->facts()[kCallSignatureFact] =
          nlohmann::json{{"in", in}, {"out", "[1," + leaf + "," + leaf + "]"}, {"names", {"image"}}}.dump();
      EXPECT_EQ(through(*odd, options)->facts().count(kCallSignatureFact), 0u);
    }
  }
}

TEST(Pt2Writer, ComputesMissingShapes) {
  const auto original = load_pt2(test::data("golden/pt2_variants/torch2.14_eval_resnet8/model.pt2"));
  const auto bare = original->copy();
  for (Node* node : bare->graph().nodes()) {
    if (node->is_call()) node->set_meta(std::nullopt);
  }
  EXPECT_EQ(through(*bare, {})->graph().text(), original->graph().text());
}

class Watcher : public CallableModule {
 public:
  Watcher() : CallableModule("Watcher") {}
  at::Tensor call(const std::vector<at::Tensor>& inputs) override { return inputs.at(0); }
  std::shared_ptr<CallableModule> copy() const override { return std::make_shared<Watcher>(); }
};

TEST(Pt2Writer, SaysWhatItCannotWrite) {
  const test::TemporaryFolder folder;
  const auto write = [&](Sample& sample) { return [&] { write_pt2(*sample.module, folder.file("m.pt2")); }; };
  {
    Sample sample;
    EXPECT_TRUE(fails_with(write(sample), "has no output node"));
  }
  {
    Sample sample;
    Node* x = sample.graph().placeholder("x");
    sample.graph().output({Arg(x)});
    EXPECT_TRUE(fails_with(write(sample), "the input's shape is not known, but a .pt2 must say it; propagate_shapes"));
  }
  {
    Sample sample;
    Node* x = sample.input("x", {1});
    sample.module->set_callable("watcher", std::make_shared<Watcher>());
    sample.graph().output({Arg(sample.graph().call_module("watcher", {Arg(x)}))});
    EXPECT_TRUE(
        fails_with(write(sample), "calls the submodule 'watcher', which a .pt2 cannot hold; convert the model"));
  }
  {
    Sample sample;
    Node* x = sample.input("x", {1});
    Node* read = sample.graph().get_attr("nowhere");
    sample.graph().output({Arg(sample.graph().call("aten.add.Tensor", {Arg(x), Arg(read)}))});
    EXPECT_TRUE(fails_with(write(sample), "reads 'nowhere', which the module does not have"));
  }
  {
    Sample sample;
    Node* x = sample.input("x", {1});
    Node* number = sample.graph().call("aten.item.default", {Arg(x)});
    sample.graph().output({Arg(sample.graph().call("aten.mul.Scalar", {Arg(x), Arg(number)}))});
    EXPECT_TRUE(fails_with(write(sample), "aten.item.default gives something else than tensors"));
  }
  {
    Sample sample;
    Node* x = sample.input("x", {1, 4});
    Node* parts = sample.graph().call("aten.chunk.default", {Arg(x), Arg(2), Arg(1)});
    sample.graph().output({Arg(sample.graph().get_item(parts, 0)), Arg(sample.graph().get_item(parts, 5, "sixth"))});
    parts->set_element_metas({{at::kFloat, {1, 2}}, {at::kFloat, {1, 2}}});
    EXPECT_TRUE(fails_with(write(sample), "gives 2 tensors, but 'sixth' is number 5"));
  }
  {
    Sample sample;
    Node* x = sample.input("x", {1});
    sample.module->set_attr("bits", at::eye(3).to_sparse(), AttrKind::kBuffer);
    sample.graph().output({Arg(x)});
    EXPECT_TRUE(fails_with(write(sample), "['bits'] holds a tensor of layout Sparse"));
  }
  EXPECT_FALSE(fs::exists(folder.file("m.pt2")));
  {
    Sample sample;
    Node* x = sample.input("x", {1});
    sample.graph().output({Arg(x)});
    EXPECT_TRUE(fails_with([&] { write_pt2(*sample.module, "/no/such/folder/m.pt2"); }, "/no/such/folder"));
  }
}

TEST(TorchSaveWriter, WritesWhatTheReaderReads) {
  const at::Tensor shared = at::arange(4.0);
  const std::vector<SavedTensor> saved = {{"a", shared, true, true},
                                          {"b.c", shared, true, true},
                                          {"big", at::zeros({70000}), false, false},
                                          {"u", at::arange(3).to(at::kUInt16), false, false}};
  const auto source = memory_source("saved", torch_save_bytes(saved));
  const auto read = read_torch_save(ZipReader(source));
  ASSERT_EQ(read.size(), saved.size());
  for (size_t i = 0; i < saved.size(); ++i) {
    EXPECT_EQ(read[i].name, saved[i].name);
    EXPECT_EQ(read[i].is_parameter, saved[i].is_parameter);
    EXPECT_EQ(read[i].requires_grad, saved[i].requires_grad);
    EXPECT_TRUE(at::equal(read[i].tensor.to(at::kDouble), saved[i].tensor.to(at::kDouble)));
  }
  EXPECT_TRUE(read[0].tensor.is_same(read[1].tensor));
  EXPECT_TRUE(read_torch_save(ZipReader(memory_source("none", torch_save_bytes({})))).empty());
}

}  // namespace
}  // namespace octet

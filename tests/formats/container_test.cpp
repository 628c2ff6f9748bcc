#include "octet/formats/container.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <random>

#include "octet/formats/graph_json.h"
#include "octet/formats/json.h"
#include "octet/formats/model_file.h"
#include "octet/formats/npy.h"
#include "octet/formats/pt2.h"
#include "octet/formats/zip.h"
#include "tests/formats/zip_edit.h"
#include "tests/support/error_test.h"
#include "tests/support/test_data.h"

namespace octet {
namespace {

namespace fs = std::filesystem;
using test::fails_with;

TEST(Container, KeepsEveryGoldenModelToTheBit) {
  const at::NoGradGuard no_grad;
  const test::TemporaryFolder folder;
  std::vector<fs::path> files;
  for (const char* kind : {"golden/cases", "golden/pt2_variants"}) {
    for (const auto& entry : fs::recursive_directory_iterator(test::data(kind))) {
      if (entry.path().extension() == ".pt2") files.push_back(entry.path());
    }
  }
  ASSERT_GT(files.size(), 150u);
  for (const fs::path& file : files) {
    const auto before = load_pt2(file);
    save_octet(*before, folder.file("m.octet"));
    const auto after = load_octet(folder.file("m.octet"));
    EXPECT_EQ(after->graph().text(), before->graph().text()) << file;
    EXPECT_EQ(after->facts(), before->facts());
    EXPECT_EQ(after->aliases(), before->aliases());
    EXPECT_EQ(after->is_training(), before->is_training());
    ASSERT_EQ(after->attr_names(), before->attr_names());
    for (const std::string& name : before->attr_names()) {
      EXPECT_TRUE(at::equal(after->attr(name), before->attr(name))) << name;
      EXPECT_EQ(after->attr_kind(name), before->attr_kind(name));
      EXPECT_EQ(after->attr(name).requires_grad(), before->attr(name).requires_grad());
    }
    if (!fs::exists(file.parent_path() / "test_0.npy") || fs::exists(file.parent_path() / "test_1.npy")) continue;
    before->train(false);
    after->train(false);
    const at::Tensor input = read_npy(file.parent_path() / "test_0.npy");
    EXPECT_TRUE(at::equal(before->forward(input), after->forward(input))) << file;
  }
}

TEST(Container, WritesEqualFilesForEqualModels) {
  const test::TemporaryFolder folder;
  const auto module = load_pt2(test::data("golden/cases/conv_bn_relu/model.pt2"));
  save_octet(*module, folder.file("a"));
  save_octet(*load_octet(folder.file("a")), folder.file("b"));
  EXPECT_EQ(read_file(folder.file("a")), read_file(folder.file("b")));
}

TEST(Container, SurvivesDamage) {
  const test::TemporaryFolder folder;
  save_octet(*load_pt2(test::data("golden/pt2_variants/torch2.14_eval_tied_weights_and_constants/model.pt2")),
             folder.file("good"));
  const std::string good = read_file(folder.file("good"));
  const auto load = [&](const std::string& bytes) { load_octet(memory_source("bad", bytes)); };
  for (size_t size = 0; size < good.size(); size += 17) {
    ASSERT_TRUE(fails_with([&] { load(good.substr(0, size)); }, "bad")) << size;
  }
  std::mt19937 random(7);
  const ZipReader zip(memory_source("good", good));
  const std::string program = zip.read("octet.json");
  for (int round = 0; round < 2000; ++round) {
    std::string bad = program;  // behind the checksum; digits and letters, so that much of it stays JSON
    for (int flips = 1 + static_cast<int>(random() % 3); flips > 0; --flips) {
      char& at = bad[random() % bad.size()];
      at = std::isdigit(static_cast<unsigned char>(at)) ? static_cast<char>('0' + random() % 10)
                                                        : static_cast<char>(random() % 128);
    }
    ASSERT_TRUE(test::works_or_reports([&] { load(test::with_payload(good, zip, "octet.json", bad)); }));
  }
  const std::string newer = nlohmann::json::parse(program).dump();
  const size_t version = newer.find("\"version\":1");
  ASSERT_NE(version, std::string::npos);
  std::string bad = newer;
  bad[version + 10] = '2';
  EXPECT_TRUE(
      fails_with([&] { load(test::with_payload(good, zip, "octet.json", bad)); }, "a newer octet may have written it"));
}

TEST(ModelFile, TellsModelsByTheirContent) {
  const test::TemporaryFolder folder;
  const std::string pt2 = test::data("golden/cases/linear/model.pt2");
  EXPECT_EQ(load_model(pt2)->facts()["source"], "pt2");
  save_octet(*load_pt2(pt2), folder.file("any.name"));
  EXPECT_EQ(load_model(folder.file("any.name"))->graph().text(), load_pt2(pt2)->graph().text());
  EXPECT_EQ(load_model(test::data("golden/pt2_variants/torch2.6_eval_resnet8/model.pt2"))->facts()["layout"], "flat");
  EXPECT_TRUE(fails_with([] { load_model(test::data("formats/torchscript.pt")); }, "shapes of its inputs"));
  const auto script = load_model(test::data("formats/torchscript.pt"), {{{2, 3, 6, 6}}});
  EXPECT_EQ(script->forward(at::zeros({2, 3, 6, 6})).sizes().vec(), (std::vector<int64_t>{2, 5}));
  EXPECT_TRUE(fails_with([] { load_model(test::data("formats/weights.pth")); }, "weights without a program"));
  EXPECT_TRUE(fails_with([] { load_model(test::data("formats/make_fixtures.py")); },
                         "is no model: neither a zip archive nor ONNX"));
  EXPECT_TRUE(fails_with([] { load_model("/no/such/file"); }, "[/no/such/file] cannot be opened"));
}

// A name has one type, whatever a file says of it.
TEST(Container, NotesAreOfTheTypeOfTheirName) {
  Graph graph;
  Node* x = graph.placeholder("x");
  x->notes()[kModulePathNote] = "a.b";
  x->notes().set_saved("free", int64_t{3});
  graph.output({x});
  nlohmann::json nodes = graph_to_json(graph);
  Budget budget("nodes.json", 0);
  Graph read;
  graph_from_json(JsonCursor(nodes, "nodes.json"), read, {}, budget);
  EXPECT_EQ(*read.find("x")->notes().find(kModulePathNote), "a.b");
  EXPECT_EQ(graph_to_json(read), nodes);
  const std::pair<const char*, nlohmann::json> wrong[] = {
      {"module_path", true}, {"held_mode", "yes"}, {"held_mode", 1}, {"non_persistent", "x"}};
  for (const auto& [name, value] : wrong) {
    nodes[0]["notes"] = {{name, value}};
    Graph refused;
    EXPECT_TRUE(fails_with([&] { graph_from_json(JsonCursor(nodes, "nodes.json"), refused, {}, budget); },
                           std::string("note '") + name + "'"));
  }
}

}  // namespace
}  // namespace octet

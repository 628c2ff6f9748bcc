#include <gtest/gtest.h>

#include <random>

#include "octet/formats/json.h"
#include "octet/formats/pt2.h"
#include "tests/formats/zip_edit.h"
#include "tests/support/error_test.h"
#include "tests/support/test_data.h"

namespace octet {
namespace {

using nlohmann::json;
using test::fails_with;
using test::kNewer;
using test::kOlder;
using test::kProgram;
using test::kWeights;

// Loads an archive from memory.
std::shared_ptr<GraphModule> load(std::string bytes) { return load_pt2(memory_source("model.pt2", std::move(bytes))); }
std::string text_of(const std::string& bytes) { return load(bytes)->graph().text(); }

// The archive with one JSON member edited; written compactly there is room for longer values.
class Edited {
 public:
  explicit Edited(const std::string& file)
      : archive_(read_file(test::data(file))), zip_(memory_source("good.pt2", archive_)) {}

  json member(const std::string& name) const { return json::parse(zip_.read(name)); }
  std::string text(const std::string& name, std::string text) const {
    const size_t room = zip_.find(name)->size;
    text.resize(std::max(room, text.size()), ' ');
    if (text.size() > room) return "";
    return test::with_payload(archive_, zip_, name, text);
  }
  std::string with(const std::string& name, const json& document) const { return text(name, document.dump()); }
  std::string with(const std::string& name, const char* pointer, const json& value) const {
    json document = member(name);
    document[json::json_pointer(pointer)] = value;
    return with(name, document);
  }
  std::string without(const std::string& name, const char* parent, const char* key) const {
    json document = member(name);
    document[json::json_pointer(parent)].erase(key);
    return with(name, document);
  }
  const std::string& archive() const { return archive_; }
  const ZipReader& zip() const { return zip_; }

 private:
  std::string archive_;
  ZipReader zip_;
};

TEST(Pt2Damage, TheEditorItselfChangesNothing) {
  const Edited file(kNewer);
  EXPECT_EQ(text_of(file.with(kProgram, file.member(kProgram))), text_of(file.archive()));
}

TEST(Pt2Damage, NamesWhatIsWrongInTheProgram) {
  const Edited file(kNewer);
  const auto set = [&](const char* pointer, const json& value) {
    return [&file, pointer, value] { load(file.with(kProgram, pointer, value)); };
  };
  EXPECT_TRUE(fails_with(set("/schema_version/major", 7),
                         "model.pt2/model/models/model.json: schema_version] schema major: expected 8, got 7"));
  EXPECT_TRUE(fails_with(set("/schema_version/major", 9), "schema major: expected 8, got 9"));
  EXPECT_EQ(text_of(file.with(kProgram, "/schema_version/minor", 99)), text_of(file.archive()));
  EXPECT_TRUE(fails_with(set("/graph_module/graph/nodes/1/target", "torch.ops.aten.frobnicate.default"),
                         "graph_module.graph.nodes[1]: 'relu'] unknown operator 'aten.frobnicate.default'"));
  EXPECT_TRUE(fails_with(set("/graph_module/graph/nodes/1/target", "os.system"), "unknown operator 'os.system'"));
  EXPECT_TRUE(fails_with(set("/graph_module/graph/nodes/1/target", "torch.ops.higher_order.cond"),
                         "higher-order operator 'cond'"));
  EXPECT_TRUE(fails_with(set("/graph_module/graph/nodes/0/inputs/0/arg", {{"as_tensor", {{"name", "nobody"}}}}),
                         "'nobody' is not defined"));
  EXPECT_TRUE(
      fails_with(set("/graph_module/graph/nodes/0/inputs/0/arg", {{"as_teapot", 1}}), "as_teapot is not supported"));
  EXPECT_TRUE(fails_with(set("/graph_module/graph/nodes/0/inputs/0/arg", {{"as_int", 1}, {"as_none", true}}),
                         "members of a union: expected 1, got 2"));
  EXPECT_TRUE(fails_with(set("/graph_module/graph/nodes/0/inputs/0/arg", {{"as_string", "x"}}),
                         "argument 'input' of aten.linear.default"));
  EXPECT_TRUE(fails_with(set("/graph_module/graph/nodes/0/inputs/0/name", "wrong"), "has no argument 'wrong'"));
  EXPECT_TRUE(fails_with(set("/graph_module/graph/nodes/1/outputs/0/as_tensor/name", "linear"), "defined twice"));
  EXPECT_TRUE(fails_with(set("/graph_module/graph/tensor_values/p_a_bias/dtype", 77), "dtype 77 is not supported"));
  EXPECT_TRUE(
      fails_with(set("/graph_module/graph/tensor_values/p_a_bias/dtype", 8), "expected float64[8], got float32[8]"));
  EXPECT_TRUE(fails_with(set("/graph_module/graph/tensor_values/p_a_bias/sizes/0/as_int", 9),
                         "expected float32[9], got float32[8]"));
  EXPECT_TRUE(fails_with(set("/graph_module/graph/tensor_values/p_a_bias/layout", 1), "layout 1 is not supported"));
  EXPECT_TRUE(fails_with(set("/graph_module/signature/input_specs/0/parameter/parameter_name", "a.wrong"),
                         "no data for this parameter"));
  EXPECT_TRUE(fails_with(set("/graph_module/signature/input_specs", json::array()), "input_specs: expected 7, got 0"));
  EXPECT_TRUE(fails_with(set("/graph_module/graph/nodes", 5), "graph_module.graph.nodes] expected an array, got 5"));
  EXPECT_TRUE(fails_with([&] { load(file.without(kProgram, "/graph_module/graph", "outputs")); },
                         "the field 'outputs' is missing"));
  EXPECT_TRUE(fails_with([&] { load(file.text(kProgram, "{\"a\": 1, \"a\": 2}")); }, "stands twice"));
  EXPECT_TRUE(fails_with([&] { load(file.text(kProgram, "hello")); }, "is no valid JSON"));
  EXPECT_TRUE(fails_with([&] { load(file.text(kProgram, std::string(5000, '['))); }, "nested deeper"));
}

TEST(Pt2Damage, NamesWhatIsWrongInTheWeights) {
  const Edited file(kNewer);
  const auto set = [&](const char* pointer, const json& value) {
    return [&file, pointer, value] { load(file.with(kWeights, pointer, value)); };
  };
  const std::string meta = "/config/a.bias/tensor_meta";
  EXPECT_TRUE(
      fails_with(set("/config/a.bias/path_name", "weight_9"), "model.pt2/model/data/weights/weight_9] is missing"));
  EXPECT_TRUE(fails_with(set("/config/a.bias/path_name", "../constants/tensor_0"), "is missing"));
  EXPECT_TRUE(fails_with(set("/config/a.bias/use_pickle", true), "pickled subclass"));
  EXPECT_TRUE(fails_with(set((meta + "/sizes/0/as_int").c_str(), 9), "weight_1] reaches past the end of its data"));
  EXPECT_TRUE(fails_with(set((meta + "/sizes/0/as_int").c_str(), INT64_MAX), "absurd sizes"));
  EXPECT_TRUE(fails_with(set((meta + "/sizes/0/as_int").c_str(), -8), "negative size"));
  EXPECT_TRUE(fails_with(set((meta + "/strides/0/as_int").c_str(), 2), "reaches past the end"));
  EXPECT_TRUE(fails_with(set((meta + "/strides/0/as_int").c_str(), INT64_MAX), "reaches past the end"));
  EXPECT_TRUE(fails_with(set((meta + "/strides/0/as_int").c_str(), -1), "negative strides"));
  EXPECT_TRUE(fails_with(set((meta + "/storage_offset/as_int").c_str(), 1), "reaches past the end"));
  EXPECT_TRUE(fails_with(set((meta + "/storage_offset/as_int").c_str(), INT64_MAX), "reaches past the end"));
  EXPECT_TRUE(fails_with(set((meta + "/storage_offset/as_int").c_str(), -1), "reaches past the end"));
  EXPECT_TRUE(fails_with(set((meta + "/strides").c_str(), json::array()), "strides: expected 1, got 0"));
  EXPECT_TRUE(fails_with(set((meta + "/dtype").c_str(), 4), "expected float32[8], got int32[8]"));
  EXPECT_TRUE(fails_with([&] { load(file.without(kWeights, "/config", "b.bias")); },
                         "'b.bias'] the file holds no data for this parameter"));
}

TEST(Pt2Damage, ChecksTheArchivesVersion) {
  const Edited newer(kNewer);
  EXPECT_TRUE(
      fails_with([&] { load(newer.text("model/archive_version", "1")); }, "archive version: expected 0, got 1"));
  EXPECT_TRUE(fails_with([&] { load(newer.text("model/byteorder", "bigend")); }, "not little-endian"));
  const Edited older(kOlder);
  EXPECT_TRUE(
      fails_with([&] { load(older.text("version", "7.1")); }, "model.pt2/version] schema major: expected 8, got 7.1"));
  EXPECT_TRUE(fails_with([&] { load(older.text("version", "x")); }, "schema major"));
}

TEST(Pt2Damage, ReportsTruncationAnywhere) {
  for (const char* name : {kNewer, kOlder}) {
    const std::string good = read_file(test::data(name));
    for (size_t size = 0; size < good.size(); size += 37) {
      ASSERT_TRUE(fails_with([&] { load(good.substr(0, size)); }, "model.pt2")) << size;
    }
  }
}

TEST(Pt2Damage, SurvivesFlippedBytes) {
  std::mt19937 random(5);
  for (const char* name : {kNewer, kOlder}) {
    const std::string good = read_file(test::data(name));
    for (int round = 0; round < 1500; ++round) {
      std::string bad = good;
      bad[random() % bad.size()] = static_cast<char>(random());
      ASSERT_TRUE(test::works_or_reports([&] { load(bad); }));
    }
  }
}

void collect(const json& value, const json::json_pointer& at, std::vector<json::json_pointer>& to) {
  to.push_back(at);
  if (value.is_object()) {
    for (const auto& [key, member] : value.items()) collect(member, at / key, to);
  } else if (value.is_array()) {
    for (size_t i = 0; i < value.size(); ++i) collect(value[i], at / i, to);
  }
}

// Any value of the document becomes another: hostile numbers, other types, values from elsewhere in the document.
TEST(Pt2Damage, SurvivesHostilePrograms) {
  const std::vector<json> hostile = {nullptr,
                                     true,
                                     -1,
                                     0,
                                     1,
                                     63,
                                     INT64_MAX,
                                     INT64_MIN,
                                     UINT64_MAX,
                                     1e300,
                                     "",
                                     "x",
                                     "NaN",
                                     json::array(),
                                     json::object(),
                                     {{"as_int", INT64_MAX}},
                                     {{"as_none", true}},
                                     {{"as_expr", {{"expr_str", "FloorDiv(1,0)"}}}}};
  std::mt19937 random(6);
  int rejected = 0;
  int rounds = 0;
  for (const char* file : {kNewer, kOlder, "formats/symbolic_sizes.pt2", "formats/train_decomposed.pt2"}) {
    const Edited edited(file);
    for (const ZipEntry& entry : edited.zip().entries()) {
      if (!entry.name.ends_with(".json")) continue;
      const json good = edited.member(entry.name);
      std::vector<json::json_pointer> places;
      collect(good, json::json_pointer(), places);
      for (int round = 0; round < 1000; ++round) {
        json bad = good;
        json& target = bad[places[random() % places.size()]];
        target = random() % 3 == 0 ? good[places[random() % places.size()]] : hostile[random() % hostile.size()];
        const std::string archive = edited.with(entry.name, bad);
        if (archive.empty()) continue;  // too long for its place
        bool threw = true;
        const auto result = test::works_or_reports([&] {
          load(archive);
          threw = false;
        });
        ASSERT_TRUE(result) << entry.name << ": " << json::diff(good, bad).dump();
        rejected += threw;
        ++rounds;
      }
    }
  }
  EXPECT_GT(rounds, 5000);
  EXPECT_GT(rejected, rounds / 4);  // metadata and defaults may be anything; structure may not
}

}  // namespace
}  // namespace octet

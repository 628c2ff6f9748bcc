// Files made to hurt: small ones that ask for gigabytes, minutes, the stack, or another file.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "octet/formats/container.h"
#include "octet/formats/guard.h"
#include "octet/formats/json.h"
#include "octet/formats/npy.h"
#include "octet/formats/pickle.h"
#include "octet/formats/pt2.h"
#include "octet/formats/raw_tensor.h"
#include "octet/formats/safetensors.h"
#include "octet/formats/torch_save.h"
#include "tests/formats/malformed.h"
#include "tests/formats/zip_edit.h"
#include "tests/support/error_test.h"

namespace octet {
namespace {

using namespace std::string_literals;
using nlohmann::json;
using test::fails_with;
using test::kNewer;
using test::kOlder;
using test::kProgram;
using test::kWeights;
using test::rezipped;

std::shared_ptr<GraphModule> load_program(const std::string& bytes) {
  return load_pt2(memory_source("model.pt2", bytes));
}
void load_weights(const std::string& bytes) { load_torch_save(memory_source("w.pth", bytes)); }

std::string member(const std::string& archive, const std::string& name) {
  return ZipReader(memory_source("good.zip", archive)).read(name);
}

json as_ints(const std::vector<int64_t>& values) {
  json list = json::array();
  for (const int64_t value : values) list.push_back({{"as_int", value}});
  return list;
}

// A weights config whose tensors 0, 1, ... are views of `file`.
std::string views_config(const std::string& good, int64_t count, const std::vector<int64_t>& sizes,
                         const std::vector<int64_t>& strides, int64_t offset_step) {
  json config = json::parse(good);
  json entry = config["config"]["a.bias"];
  entry["tensor_meta"]["sizes"] = as_ints(sizes);
  entry["tensor_meta"]["strides"] = as_ints(strides);
  for (int64_t i = 0; i < count; ++i) {
    entry["tensor_meta"]["storage_offset"] = {{"as_int", i * offset_step}};
    config["config"]["x" + std::to_string(i)] = entry;
  }
  return config.dump();
}

TEST(Hostile, ViewsThatRepeatTheirStorageTakeNoEndlessMemory) {
  const std::string good = read_file(test::data(kNewer));
  const std::string config = member(good, kWeights);
  const auto load = [&](int64_t count, const std::vector<int64_t>& sizes, int64_t step) {
    return load_program(rezipped(good, {{kWeights, views_config(config, count, sizes, {0}, step)}}));
  };
  EXPECT_EQ(load(1, {1000000}, 0)->graph().text(), load_program(good)->graph().text())
      << "an expanded tensor is honest";
  EXPECT_TRUE(fails_with([&] { load(1, {int64_t{1} << 40}, 0); }, "[model.pt2] is refused: tensors that repeat"));
  EXPECT_TRUE(fails_with([&] { load(8, {4000000}, 1); }, "tensors that repeat what it holds would take"));
}

TEST(StorageTable, GivesOneTensorForEqualViewsAndCopiesForOthers) {
  Budget budget("f", 16);
  StorageTable table(budget);
  int loads = 0;
  const auto load = [&] {
    ++loads;
    return at::arange(16, at::kByte);
  };
  const auto view = [&](at::ScalarType dtype, std::vector<int64_t> sizes, std::vector<int64_t> strides,
                        int64_t offset) {
    return table.tensor("s", {dtype, std::move(sizes), std::move(strides), offset}, "w", load);
  };
  const at::Tensor whole = view(at::kByte, {4, 4}, {4, 1}, 0);
  EXPECT_TRUE(whole.is_same(view(at::kByte, {4, 4}, {4, 1}, 0)));
  EXPECT_EQ(view(at::kByte, {4, 4}, {1, 4}, 0).const_data_ptr(), whole.const_data_ptr());
  const at::Tensor row = view(at::kByte, {4}, {1}, 4);
  EXPECT_TRUE(at::equal(row, whole[1]));
  EXPECT_NE(row.const_data_ptr(), whole[1].const_data_ptr());
  const at::Tensor flags = view(at::kBool, {3}, {1}, 0);
  EXPECT_TRUE(at::equal(flags.to(at::kInt), at::tensor({0, 1, 1}, at::kInt)));
  EXPECT_EQ(whole[0][3].item<int>(), 3);  // reading bools changes nobody else's bytes
  EXPECT_EQ(loads, 1);
}

TEST(Hostile, NamesOfManyModulesDoNotTakeTheStack) {
  std::string deep = "a";
  for (int i = 0; i < 10000; ++i) deep += ".a";
  const std::string good = read_file(test::data(kNewer));
  json program = json::parse(member(good, kProgram));
  json weights = json::parse(member(good, kWeights));
  program["graph_module"]["signature"]["input_specs"][0]["parameter"]["parameter_name"] = deep;
  weights["config"][deep] = weights["config"]["a.weight"];
  const std::string bad = rezipped(good, {{kProgram, program.dump()}, {kWeights, weights.dump()}});
  EXPECT_TRUE(test::reports(load_program, bad, "more than 64 modules", false));
}

TEST(Hostile, ArchivesInArchivesDoNotMultiply) {
  const std::string zeros(20 << 20, '\0');
  std::vector<std::pair<std::string, std::string>> members;
  for (int i = 0; i < 5; ++i) members.emplace_back("archive/data/" + std::to_string(i), zeros);
  const std::string bomb = test::deflated_zip_of(members);
  EXPECT_TRUE(fails_with([&] { load_weights(bomb); }, "[w.pth] is refused as a zip bomb"));
  // Within an archive, which is read by one budget with those in it.
  members.resize(2);
  const std::string half = test::deflated_zip_of(members);
  EXPECT_TRUE(fails_with([&] { load_weights(half); }, "data.pkl is missing"));
  const std::string older = read_file(test::data(kOlder));
  const std::string outer = rezipped(older, {{"serialized_state_dict.pt", bomb}});
  EXPECT_TRUE(fails_with([&] { load_program(outer); }, "model.pt2/serialized_state_dict.pt] is refused as a zip bomb"));
  const auto archive = std::make_shared<Budget>("a", 0);
  archive->charge(30 << 20, "what came before");
  EXPECT_TRUE(fails_with([&] { ZipReader(memory_source("b", half), archive); }, "[b] is refused as a zip bomb"));
}

TEST(Hostile, PicklesCannotCopyListsWithoutEnd) {
  // A tuple of 100000 values that is the arguments of call upon call.
  std::string calls = "\x80\x02("s + std::string(100000, 'N') +
                      "tq\x01"
                      "0ctorch._utils\n_rebuild_tensor_v2\nq\x02"
                      "0(";
  for (int i = 0; i < 100000; ++i) calls += "h\x02h\x01R";
  EXPECT_TRUE(fails_with([&] { read_pickle(calls + "t.", "p"); }, "with 100000 arguments"));
  // A tuple of 100000 sizes that every tensor names.
  std::string pickle = "\x80\x02("s;
  for (int i = 0; i < 100000; ++i) pickle += "K\x01";
  pickle +=
      "tq\x01"
      "0}X\x01\x00\x00\x00wctorch._utils\n_rebuild_tensor_v2\n(("
      "X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x00"
      "0X\x03\x00\x00\x00"
      "cpuK\x04tQK\x00h\x01h\x01\x89"
      "ccollections\nOrderedDict\n)RtRs."s;
  const std::string file = test::zip_of({{"archive/data.pkl", pickle}, {"archive/data/0", std::string(16, '\0')}});
  EXPECT_TRUE(fails_with([&] { load_weights(file); }, "'w'] has 100000 dimensions"));
}

TEST(Hostile, ObjectsThatHoldThemselvesAreNoTensors) {
  // l = []; l.append(l); {"w": l} and {"w": _rebuild_parameter(l, ...)}, and a dict that holds itself as its state dict
  const auto load = [](const std::string& pickle) { load_weights(test::zip_of({{"archive/data.pkl", pickle}})); };
  EXPECT_TRUE(fails_with(
      [&] {
        load(
            "\x80\x02}X\x01\x00\x00\x00w]q\x01h\x01"
            "as."s);
      },
      "holds no tensors"));
  EXPECT_TRUE(fails_with(
      [&] {
        load(
            "\x80\x02}X\x01\x00\x00\x00w"
            "ctorch._utils\n_rebuild_parameter\n(]q\x01h\x01"
            "a\x89)tRs."s);
      },
      "parameter without a tensor"));
  EXPECT_TRUE(fails_with([&] { load("\x80\x02}q\x01X\x0a\x00\x00\x00state_dicth\x01s."s); }, "holds no tensors"));
  EXPECT_TRUE(fails_with(
      [&] {
        load(
            "\x80\x02}X\x01\x00\x00\x00w"
            "ctorch._utils\n_rebuild_parameter\n(N\x89)tq\x01h\x01Rs."s);
      },
      "[w.pth"));
}

TEST(Hostile, OperatorsThatReachFilesAreRefused) {
  const std::string good = read_file(test::data(kNewer));
  json program = json::parse(member(good, kProgram));
  json& node = program["graph_module"]["graph"]["nodes"][0];
  node["target"] = "torch.ops.aten.from_file.default";
  node["inputs"] = {{{"name", "filename"}, {"arg", {{"as_string", "/tmp/octet-hostile"}}}, {"kind", 1}},
                    {{"name", "shared"}, {"arg", {{"as_bool", true}}}, {"kind", 1}},
                    {{"name", "size"}, {"arg", {{"as_int", 8}}}, {"kind", 1}}};
  EXPECT_TRUE(fails_with(
      [&] {
        load_program(rezipped(good, {{kProgram, program.dump()}}));
      },
      "opens, maps or writes files; no file may hold it"));
  const test::TemporaryFolder folder;
  save_octet(*load_pt2(test::data(kNewer)), folder.file("m"));
  const std::string saved = read_file(folder.file("m"));
  json root = json::parse(member(saved, "octet.json"));
  for (json& entry : root["graph"]) {
    if (entry["kind"] != "call") continue;
    entry["target"] = "aten.from_file.default";
    entry["args"] = {"/tmp/octet-hostile", true, 8, nullptr, nullptr, nullptr, nullptr};
    break;
  }
  const std::string bad = rezipped(saved, {{"octet.json", root.dump()}});
  EXPECT_TRUE(fails_with([&] { load_octet(memory_source("m.octet", bad)); },
                         "opens, maps or writes files; no file may hold it"));
}

TEST(Hostile, InputsOfAbsurdSizesAreRefused) {
  const std::string good = read_file(test::data(kNewer));
  const json program = json::parse(member(good, kProgram));
  const std::string input =
      program["graph_module"]["signature"]["input_specs"].back()["user_input"]["arg"]["as_tensor"]["name"];
  const auto load = [&](int64_t size) {
    json bad = program;
    bad["graph_module"]["graph"]["tensor_values"][input]["sizes"][0] = {{"as_int", size}};
    return load_program(rezipped(good, {{kProgram, bad.dump()}}));
  };
  EXPECT_EQ(load(64)->graph().placeholders().at(0)->sizes().at(0), 64);
  EXPECT_TRUE(fails_with([&] { load(-1); }, "'" + input + "'] has a negative size"));
  EXPECT_TRUE(fails_with([&] { load(int64_t{1} << 40); }, "the input has absurd sizes"));
  EXPECT_TRUE(fails_with([&] { load(INT64_MAX); }, "absurd"));
  const test::TemporaryFolder folder;
  save_octet(*load_pt2(test::data(kNewer)), folder.file("m"));
  const std::string saved = read_file(folder.file("m"));
  json root = json::parse(member(saved, "octet.json"));
  for (json& entry : root["graph"]) {
    if (entry["kind"] == "placeholder") entry["meta"]["sizes"][0] = int64_t{1} << 40;
  }
  const std::string bad = rezipped(saved, {{"octet.json", root.dump()}});
  EXPECT_TRUE(fails_with([&] { load_octet(memory_source("m.octet", bad)); }, "the input has absurd sizes"));
}

// As libtorch throws it of a number beyond its type.
TEST(Hostile, WhateverAReaderThrowsNamesTheFile) {
  const auto read = [] { guard_loading("bad.octet", [] { throw std::runtime_error("value without overflow"); }); };
  EXPECT_TRUE(fails_with(read, "[bad.octet] value without overflow"));
}

TEST(Hostile, ProgramsWithoutResultsNameTheirFile) {
  const std::string good = read_file(test::data(kNewer));
  json program = json::parse(member(good, kProgram));
  program["graph_module"]["graph"]["outputs"] = json::array();
  program["graph_module"]["signature"]["output_specs"] = json::array();
  EXPECT_TRUE(fails_with(
      [&] {
        load_program(rezipped(good, {{kProgram, program.dump()}}));
      },
      "[model.pt2/model/models/model.json] the program returns no tensor"));
}

TEST(Hostile, NamesCannotBreakTheLineOfAMessage) {
  const std::string name = "a\nb\x1b[2J" + std::string(60000, 'x');
  const std::string zip = test::zip_of({{name, "1"}});
  std::string damaged = zip;
  damaged[damaged.rfind("PK\x01\x02") + 16] ^= 1;
  const auto read = [](const std::string& bytes) {
    const ZipReader reader(memory_source("z.zip", bytes));
    reader.read(reader.entries()[0]);
  };
  EXPECT_TRUE(test::reports(read, damaged, "CRC-32", false));
  const std::string good = read_file(test::data(kNewer));
  json program = json::parse(member(good, kProgram));
  program["graph_module"]["graph"]["nodes"][0]["target"] = std::string(3 << 20, 'y') + "\n\x07";
  EXPECT_TRUE(test::reports(load_program, rezipped(good, {{kProgram, program.dump()}}), "model.pt2", false));
}

TEST(Hostile, TensorsOfManyDimensionsAreRefusedNotCrashedOn) {
  std::string ones;
  for (int i = 0; i < 65; ++i) ones += "1,";
  const std::string header = "{'descr': '<f4', 'fortran_order': True, 'shape': (" + ones + "), }";
  std::string npy = "\x93NUMPY\x01"s + '\0' + static_cast<char>(header.size() & 0xff) +
                    static_cast<char>(header.size() >> 8) + header;
  EXPECT_TRUE(fails_with([&] { parse_npy(npy + "\0\0\0\0"s, "x.npy"); }, "more than 64 dimensions"));
  json safe = {{"w", {{"dtype", "F32"}, {"shape", std::vector<int>(1000, 1)}, {"data_offsets", {0, 4}}}}};
  const std::string text = safe.dump();
  std::string file;
  for (int i = 0; i < 8; ++i) file += static_cast<char>(text.size() >> (8 * i) & 0xff);
  EXPECT_TRUE(fails_with([&] { read_safetensors(memory_source("s.safetensors", file + text + "\0\0\0\0"s)); },
                         "1000 dimensions"));
  Budget budget("f", 8);
  StorageTable table(budget);
  const std::vector<int64_t> sizes(64, 1);
  EXPECT_EQ(table.tensor("s", {at::kFloat, sizes, sizes, 1}, "w", [] { return at::zeros({8}, at::kByte); }).dim(), 64);
}

TEST(Hostile, EveryReaderReportsEveryDamage) {
  const std::string pth = read_file(test::data("formats/weights.pth"));
  const std::string pickle = member(pth, "weights/data.pkl");
  const std::string npy = npy_bytes(at::arange(12, at::kInt).reshape({3, 4}), "x.npy");
  const std::string safe = read_file(test::data("formats/weights.safetensors"));
  const std::string newer = read_file(test::data(kNewer));
  const std::string older = read_file(test::data(kOlder));
  struct Case {
    const char* name;
    test::Loader load;
    std::string good;
    int rounds;
    size_t step;
  };
  const auto rezip_and = [](const test::Loader& load, const std::string& archive, const std::string& name) {
    return [=](const std::string& bytes) { load(rezipped(archive, {{name, bytes + (bytes.empty() ? " " : "")}})); };
  };
  const std::vector<Case> cases = {
      {"x.npy", [](const std::string& bytes) { parse_npy(bytes, "x.npy"); }, npy, 4000, 1},
      {"doc", [](const std::string& bytes) { parse_json(bytes, "doc"); }, member(newer, kWeights), 4000, 7},
      {"p.pkl", [](const std::string& bytes) { read_pickle(bytes, "p.pkl"); }, pickle, 6000, 1},
      {"w.pth/weights/data.pkl", rezip_and(load_weights, pth, "weights/data.pkl"), pickle, 300, 41},
      {"w.pth", load_weights, pth, 1500, 61},
      {"w.pth", load_weights, read_file(test::data("formats/weights_legacy.pth")), 3000, 13},
      {"s.safetensors", [](const std::string& bytes) { read_safetensors(memory_source("s.safetensors", bytes)); }, safe,
       3000, 5},
      {"model.pt2", load_program, newer, 1000, 97},
      {"model.pt2", load_program, older, 1000, 97},
      {kProgram, rezip_and(load_program, newer, kProgram), member(newer, kProgram), 300, 501},
      {kWeights, rezip_and(load_program, newer, kWeights), member(newer, kWeights), 300, 101},
      {"serialized_exported_program.json", rezip_and(load_program, older, "serialized_exported_program.json"),
       member(older, "serialized_exported_program.json"), 300, 501},
  };
  unsigned seed = 100;
  for (const Case& one : cases) {
    SCOPED_TRACE(str(one.name, " seed ", seed));
    // A text that was cut within the white space at its end is whole; nothing here ends so.
    test::expect_truncations_reported(one.load, one.good, one.name, one.step);
    const test::Loader anything = one.load;
    test::expect_damage_reported(anything, one.good, "", one.rounds, seed++);
    if (HasFatalFailure()) return;
  }
}

TEST(Hostile, ArchivesThatLackAPartNameIt) {
  for (const char* file : {kNewer, kOlder}) {
    const std::string good = read_file(test::data(file));
    const ZipReader zip(memory_source("good.zip", good));
    for (const ZipEntry& entry : zip.entries()) {
      EXPECT_TRUE(test::reports(load_program, rezipped(good, {{entry.name, ""}}), "model.pt2")) << entry.name;
    }
  }
  const std::string good = read_file(test::data(kNewer));
  EXPECT_TRUE(fails_with([&] { load_program(rezipped(good, {{kProgram, ""}})); }, "no exported program"));
  EXPECT_TRUE(fails_with(
      [&] {
        load_program(rezipped(good, {{"model/data/weights/weight_0", ""}}));
      },
      "model.pt2/model/data/weights/weight_0] is missing"));
  EXPECT_TRUE(fails_with([&] { load_program(rezipped(good, {{kWeights, ""}})); }, "holds no data for this parameter"));
}

}  // namespace
}  // namespace octet

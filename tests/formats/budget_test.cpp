// Small files that ask for much memory: what a reader may take follows from the file's size, whatever stands in it.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "octet/formats/container.h"
#include "octet/formats/json.h"
#include "octet/formats/npy.h"
#include "octet/formats/pickle.h"
#include "octet/formats/pt2.h"
#include "octet/formats/safetensors.h"
#include "octet/formats/sym_expr.h"
#include "octet/formats/torch_save.h"
#include "tests/formats/malformed.h"
#include "tests/formats/zip_edit.h"
#include "tests/support/error_test.h"
#include "tests/support/peak_memory.h"

namespace octet {
namespace {

using namespace std::string_literals;
using test::deflated_zip_of;
using test::fails_with;
using test::kProgram;

constexpr uint64_t kMegabyte = 1 << 20;
const char* const kModel = "golden/pt2_variants/torch2.14_eval_tied_weights_and_constants/model.pt2";

std::string repeated(std::string_view piece, size_t bytes) {
  std::string text;
  text.reserve(bytes + piece.size());
  while (text.size() < bytes) text += piece;
  return text;
}

// Refused, and with no more memory than any file of this size may take, twice: what was read, and what is made of it.
::testing::AssertionResult is_refused(const test::Loader& load, const std::string& bytes, const std::string& name) {
  ::testing::AssertionResult result = ::testing::AssertionSuccess();
  const uint64_t peak = test::peak_memory_of([&] { result = test::reports(load, bytes, name, false); });
  const uint64_t most = 2 * Budget(name, bytes.size()).limit();
  if (!result || peak <= most) return result;
  return ::testing::AssertionFailure() << "took " << peak << " bytes, at most " << most << " expected";
}

TEST(Budget, GrantsBytesByTheSizeOfTheFile) {
  Budget budget("f", 100, 1000);
  EXPECT_EQ(budget.limit(), 1000 + 100 * limits::kMemoryPerByte);
  budget.charge(1000, "a thing");
  budget.charge(10, 40, "things");
  EXPECT_EQ(budget.used(), 1400u);
  EXPECT_TRUE(fails_with([&] { budget.charge(budget.limit(), "a table"); },
                         "[f] is refused: a table would take 3400 bytes of memory beside 1400 before it; a file of 100 "
                         "bytes may take 3400"));
  EXPECT_TRUE(fails_with([&] { budget.charge(uint64_t{1} << 40, uint64_t{1} << 40, "things"); }, "[f] is refused"));
  EXPECT_EQ(budget.used(), 1400u);  // what was refused is not there
  EXPECT_EQ(Budget("g", UINT64_MAX).limit(), UINT64_MAX);
}

// Values are counted before they are made: the count must not be below what they take.
TEST(Budget, CountsNoDocumentTooLow) {
  std::vector<std::string> texts = {
      ZipReader::open(test::data(kModel)).read(kProgram),
      "[" + repeated("[],", kMegabyte) + "0]",
      "[" + repeated("{},", kMegabyte) + "0]",
      "[" + repeated("1,", kMegabyte) + "0]",
      "[" + repeated("\"\",", kMegabyte) + "0]",
      "[" + repeated("\"a text of some length beyond what fits\",", kMegabyte) + "0]",
      "[" + repeated("{\"a\":1},", kMegabyte) + "0]",
      "[" + repeated("[[[[[[[[]]]]]]]],", kMegabyte) + "0]",
  };
  std::string keys = "{";
  for (int i = 0; i < 100000; ++i) keys += str("\"k", i, "\":0,");
  texts.push_back(keys + "\"z\":0}");
  for (const std::string& text : texts) {
    SCOPED_TRACE(text.substr(0, 40));
    Budget budget("f", 0, uint64_t{1} << 40);
    const uint64_t before = test::heap_in_use();
    const nlohmann::json document = parse_json(text, "f", budget);
    const uint64_t taken = test::heap_in_use() - before;
    if (kAddressSanitizer) continue;
    EXPECT_GT(taken, text.size() / 4);
    EXPECT_LE(taken, budget.used());
  }
}

TEST(Budget, RefusesDocumentsOfManyValues) {
  const auto load_container = [](const std::string& bytes) { load_octet(memory_source("m.octet", bytes)); };
  const auto load_program = [](const std::string& bytes) { load_pt2(memory_source("m.pt2", bytes)); };
  std::string keys = "{";
  for (int i = 0; i < 1000000; ++i) keys += str("\"k", i, "\":0,");
  keys += "\"z\":0}";
  const std::vector<std::string> bombs = {
      "[" + repeated("[],", 4 * kMegabyte) + "[]]",
      "[" + repeated("{},", 4 * kMegabyte) + "{}]",
      "[" + repeated("1,", 4 * kMegabyte) + "1]",
      "[" + repeated("\"\",", 4 * kMegabyte) + "1]",
      "[" + repeated("{\"as_int\":1},", 4 * kMegabyte) + "1]",
      repeated("[", 4 * kMegabyte),
      repeated("[[[[[[[[[]]]]]]]]]", 4 * kMegabyte),
      "\"" + std::string(40 * kMegabyte, 'x') + "\"",
      keys,
  };
  for (const std::string& bomb : bombs) {
    SCOPED_TRACE(bomb.substr(0, 20));
    EXPECT_TRUE(is_refused(load_container, deflated_zip_of({{"octet.json", bomb}}), "m.octet"));
    EXPECT_TRUE(is_refused(
        load_program,
        deflated_zip_of({{"m/archive_format", "pt2"}, {"m/archive_version", "0"}, {"m/models/model.json", bomb}}),
        "m.pt2"));
    EXPECT_TRUE(is_refused(load_program,
                           deflated_zip_of({{"m/archive_format", "pt2"},
                                            {"m/archive_version", "0"},
                                            {"m/models/model.json", "{}"},
                                            {"m/data/weights/model_weights_config.json", bomb}}),
                           "m.pt2"));
    EXPECT_TRUE(is_refused(load_program,
                           deflated_zip_of({{"version", "8.0"}, {"serialized_exported_program.json", bomb}}), "m.pt2"));
  }
  EXPECT_TRUE(is_refused(load_container, read_file(test::data("hostile/bomb.octet")), "its JSON would take"));
}

// A program in order, whose lists are long: what is made of the document counts too.
TEST(Budget, RefusesProgramsOfManyArguments) {
  const test::TemporaryFolder folder;
  save_octet(*load_pt2(test::data(kModel)), folder.file("m"));
  const std::string saved = read_file(folder.file("m"));
  const ZipReader zip(memory_source("good", saved));
  for (const char* piece : {"[],", "0,", "[[[[]]]],", "{\"double\":0},"}) {
    nlohmann::json root = nlohmann::json::parse(zip.read("octet.json"));
    root["graph"][0]["args"] = "HERE";
    std::string text = root.dump();
    text.replace(text.find("\"HERE\""), 6, "[" + repeated(piece, kMegabyte) + "0]");
    std::vector<std::pair<std::string, std::string>> members;
    for (const ZipEntry& entry : zip.entries()) {
      members.emplace_back(entry.name, entry.name == "octet.json" ? text : zip.read(entry));
    }
    const std::string bytes = deflated_zip_of(members);
    const uint64_t peak = test::peak_memory_of(
        [&] { EXPECT_TRUE(test::works_or_reports([&] { load_octet(memory_source("m.octet", bytes)); })); });
    EXPECT_LE(peak, 2 * Budget("m.octet", bytes.size()).limit()) << piece;
  }
}

TEST(Budget, RefusesPicklesOfManyValues) {
  const auto load = [](const std::string& bytes) { load_torch_save(memory_source("w.pth", bytes)); };
  std::string slots = "\x80\x02N";
  for (uint32_t i = 0; i < 1500000; ++i) {
    slots += 'r';
    for (int byte = 0; byte < 4; ++byte) slots += static_cast<char>(i >> (8 * byte) & 0xff);
  }
  const std::string size = "\xff\xff\xff\x7f";
  const std::vector<std::string> pickles = {
      repeated("(", 8 * kMegabyte),
      "\x80\x02" + repeated("]", 8 * kMegabyte) + ".",
      "\x80\x02" + repeated("}", 8 * kMegabyte) + ".",
      "\x80\x02" + repeated("N", 8 * kMegabyte) + ".",
      "\x80\x02" + repeated("K\x01", 8 * kMegabyte) + ".",
      "\x80\x04N" + repeated("\x94", 8 * kMegabyte) + ".",
      "\x80\x02N" + repeated("2", 8 * kMegabyte) + ".",
      "\x80\x02N" + repeated("q\x01h\x01", 8 * kMegabyte) + ".",
      "\x80\x02]q" + "\x01"s +
          repeated("h\x01h\x01"
                   "a",
                   8 * kMegabyte) +
          ".",
      "\x80\x02\x8b" + size + repeated("\x01", kMegabyte),
      "\x80\x02X" + size + repeated("x", kMegabyte),
      "\x80\x02" + repeated("(t", 8 * kMegabyte) + ".",
      slots + ".",
  };
  for (const std::string& pickle : pickles) {
    SCOPED_TRACE(str("0x", int{static_cast<uint8_t>(pickle[3])}));
    EXPECT_TRUE(is_refused(load, deflated_zip_of({{"archive/data.pkl", pickle}}), "w.pth"));
  }
  EXPECT_TRUE(fails_with([&] { read_pickle(repeated("(", 1000), "p"); }, "nested deeper than 100 marks"));
  EXPECT_TRUE(fails_with([&] { read_pickle("\x80\x02\x8b\x00\x01\x00\x00"s + std::string(256, 'x'), "p"); },
                         "an integer of 256 bytes"));
  // The format before 1.6 is no archive: its bytes are the file's.
  const std::string magic("\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.", 15);
  EXPECT_TRUE(is_refused(load, magic + repeated("]", 2 * kMegabyte), "w.pth"));
}

TEST(Budget, RefusesTensorsThatNameOneMemberEndlessly) {
  const test::TemporaryFolder folder;
  save_octet(*load_pt2(test::data(kModel)), folder.file("m"));
  const std::string saved = read_file(folder.file("m"));
  nlohmann::json root = nlohmann::json::parse(ZipReader(memory_source("good", saved)).read("octet.json"));
  nlohmann::json entry = {{"dtype", "uint8"},       {"file", "tensors/big"},     {"kind", "buffer"},
                          {"requires_grad", false}, {"sizes", {int{kMegabyte}}}, {"name", ""}};
  for (int i = 0; i < 200; ++i) {
    entry["name"] = "x" + std::to_string(i);
    root["tensors"].push_back(entry);
  }
  const std::string bad =
      test::rezipped(saved, {{"octet.json", root.dump()}, {"tensors/big", std::string(kMegabyte, '\0')}});
  const auto load = [](const std::string& bytes) { load_octet(memory_source("m.octet", bytes)); };
  EXPECT_TRUE(is_refused(load, bad, "what it holds would take 1048576 bytes"));
}

TEST(Budget, RefusesNamesOfEndlessModules) {
  const test::TemporaryFolder folder;
  save_octet(*load_pt2(test::data(kModel)), folder.file("m"));
  const std::string saved = read_file(folder.file("m"));
  nlohmann::json root = nlohmann::json::parse(ZipReader(memory_source("good", saved)).read("octet.json"));
  nlohmann::json entry = root["tensors"][0];
  for (int i = 0; i < 4000; ++i) {
    std::string name = "m" + std::to_string(i);
    for (int level = 0; level < 60; ++level) name += ".a";
    entry["name"] = name;
    root["tensors"].push_back(entry);
  }
  const std::string bad = test::rezipped(saved, {{"octet.json", root.dump()}});
  const auto load = [](const std::string& bytes) { load_octet(memory_source("m.octet", bytes)); };
  EXPECT_TRUE(is_refused(load, bad, "the modules that its names ask for would take"));
}

TEST(Budget, RefusesHeadersOfManyValues) {
  const auto number = [](uint64_t value, int bytes) {
    std::string text;
    for (int i = 0; i < bytes; ++i) text += static_cast<char>(value >> (8 * i) & 0xff);
    return text;
  };
  const auto load_safe = [](const std::string& bytes) { read_safetensors(memory_source("s.safetensors", bytes)); };
  const std::string header = "{\"a\":[" + repeated("[],", 8 * kMegabyte) + "0]}";
  EXPECT_TRUE(is_refused(load_safe, number(header.size(), 8) + header, "s.safetensors"));
  EXPECT_TRUE(is_refused(load_safe, number(uint64_t{1} << 62, 8) + "{}", "a header of"));
  const auto load_npy = [](const std::string& bytes) { parse_npy(bytes, "x.npy"); };
  const std::string shape =
      "{'descr': '<f4', 'fortran_order': False, 'shape': (" + repeated("1,", 2 * kMegabyte) + ")}";
  EXPECT_TRUE(is_refused(load_npy, "\x93NUMPY\x02"s + '\0' + number(shape.size(), 4) + shape, "absurd header size"));
  const std::string short_shape = shape.substr(0, 60000) + ")}";
  EXPECT_TRUE(is_refused(load_npy, "\x93NUMPY\x01"s + '\0' + number(short_shape.size(), 2) + short_shape,
                         "more than 64 dimensions"));
}

TEST(Budget, RefusesExpressionsOfAbsurdLength) {
  const auto value = [](const std::string& text) { return evaluate_symbolic_int(text, {{"s0", 6}}, "f"); };
  EXPECT_EQ(value(repeated("s0+", 30000) + "0"), 60000);
  EXPECT_TRUE(fails_with([&] { value(repeated("s0+", kMegabyte) + "0"); }, "characters long"));
  EXPECT_TRUE(fails_with([&] { value(repeated("Add(", 1000)); }, "nested too deeply"));
  EXPECT_TRUE(fails_with([&] { value(repeated("2**", 1000)); }, "nested too deeply"));
}

}  // namespace
}  // namespace octet

#include <gtest/gtest.h>

#include <fstream>

#include "../graph/expect_error.h"
#include "../support/test_data.h"
#include "malformed.h"
#include "octet/formats/model_file.h"
#include "octet/formats/onnx.h"
#include "onnx_writer.h"
#include "tests/support/peak_memory.h"

namespace octet {
namespace {

using test::data;
using test::expect_error;
using namespace test::onnx;  // NOLINT: writers of parts of a file

std::shared_ptr<GraphModule> load(const std::string& bytes) { return load_onnx(memory_source("net.onnx", bytes)); }

void refuses(const std::string& bytes, const std::vector<std::string>& parts) {
  expect_error([&] { load(bytes); }, parts);
}

std::string file_bytes(const std::string& path) {
  std::ifstream stream(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), {}};
}

TEST(OnnxDamage, TruncatedAndChangedFilesAreErrors) {
  const test::Loader reader = [](const std::string& bytes) { load(bytes); };
  const std::string good = file_bytes(data("onnx/network.onnx"));
  for (size_t size = 0; size + 40 < good.size(); size += 7) {  // the last fields are the opset alone
    ASSERT_TRUE(test::reports(reader, good.substr(0, size), "", false)) << "cut at " << size;
  }
  test::expect_damage_reported(reader, good, "", 400, 1);
  test::expect_damage_reported(reader, file_bytes(data("onnx/qdq.onnx")), "", 200, 2);
}

TEST(OnnxDamage, AFileIsToldByItsContent) {
  const test::TemporaryFolder folder;
  const auto told = [&](const std::string& bytes) {
    std::ofstream(folder.file("file"), std::ios::binary | std::ios::trunc) << bytes;
    return is_onnx(*open_file(folder.file("file")));
  };
  const std::string good = one_step(node("Relu", {"x"}, {"y"}));
  EXPECT_TRUE(told(good));
  EXPECT_TRUE(told(good.substr(0, good.size() / 2)));  // a damaged one is one still
  EXPECT_FALSE(told(""));
  EXPECT_FALSE(told("\x08"));
  EXPECT_FALSE(told("hello, world"));
  EXPECT_FALSE(told(file_bytes(data("litert/op_relu.tflite"))));
  EXPECT_FALSE(told(file_bytes(data("formats/weights.safetensors"))));
  std::ofstream(folder.file("net"), std::ios::binary) << good;
  EXPECT_EQ(load_model(folder.file("net"))->graph().placeholders().size(), 1U);
}

TEST(OnnxDamage, GraphsThatAreNone) {
  refuses(one_step(node("Relu", {"y"}, {"y"})), {"Relu 'y'", "'y' is not defined before its use"});
  refuses(model({{node("Relu", {"b"}, {"a"}), node("Relu", {"a"}, {"b"})}, {value("x", {1, 2})}, {"b"}, {}}),
          {"'b' is not defined before its use"});  // a cycle
  refuses(model({{node("Relu", {"x"}, {"a"}), node("Tanh", {"x"}, {"a"})}, {value("x", {1, 2})}, {"a"}, {}}),
          {"Tanh 'a'", "'a' is defined twice"});
  refuses(model({{node("Relu", {"x"}, {"y"})}, {value("x", {1, 2}), value("x", {1, 2})}, {"y"}, {}}),
          {"'x' is defined twice"});
  refuses(one_step(node("Einsum", {"", "x"}, {"y"}, {attribute("equation", std::string("bij,bjk->bik"))})),
          {"Einsum 'y'", "input 0: expected a value, got none"});
  refuses(one_step(node("Concat", {"", "x"}, {"y"}, {attribute("axis", 1)})), {"input 0: expected a value, got none"});
  refuses(model({{node("Relu", {"x"}, {"y"})}, {value("x", {1, 2})}, {}, {}}), {"no outputs"});
  refuses(model({{node("Relu", {"x"}, {"y"})}, {value("x", {1, 2})}, {"z"}, {}}), {"'z' is not defined"});
  refuses(model({{node("Relu", {"x"}, {"y"})}, {value("x", {1, -3})}, {"y"}, {}}), {"open"});
  refuses(model({{node("Relu", {"x"}, {"y"})}, {value("x", {int64_t{1} << 40, int64_t{1} << 40})}, {"y"}, {}}),
          {"'x'"});
  refuses(model({{node("Relu", {"x"}, {"y"})}, {value("x", {1, 2})}, {"y"}, {}}, 0), {"opset"});
  refuses(one_step(node("Relu", {"x"}, {"y"}, {bytes(1, "body") + bytes(6, "")})), {"attribute 'body' holds a graph"});
}

TEST(OnnxDamage, TensorsThatAreNone) {
  const auto with = [](const std::string& initializer) {
    return one_step(node("Add", {"x", "w"}, {"y"}), {initializer});
  };
  refuses(with(tensor("w", kFloat, {4}, "123")), {"'w'", "expected 16 bytes, got 3"});
  refuses(with(tensor("w", kFloat, {-4}, "")), {"'w'", "-4"});
  refuses(with(tensor("w", kFloat, {int64_t{1} << 62, 4}, "")), {"'w'"});
  refuses(with(tensor("w", kFloat, Sizes(100, 1), "1234")), {"'w'"});
  refuses(with(tensor("w", 8, {1}, "1234")), {"'w'", "texts"});
  refuses(with(tensor("w", 22, {2}, "1")), {"'w'", "4-bit"});
  refuses(with(number(1, 4) + number(2, kFloat) + bytes(8, "w") + bytes(4, of_floats({1, 2}))),
          {"'w'", "expected 4 numbers, got 2"});
  const auto typed = load(with(number(1, 4) + number(2, kFloat) + bytes(8, "w") + bytes(4, of_floats({1, 2, 3, 4}))));
  EXPECT_EQ(typed->run({at::zeros({1, 2, 4, 4})})[0].sum().item<float>(), 80.0F);
}

TEST(OnnxDamage, NumbersThatReachBeyondTheirTensors) {
  const auto ints = [](const std::string& name, const Sizes& values) {
    return tensor(name, kInt64, {static_cast<int64_t>(values.size())}, of_integers(values));
  };
  refuses(one_step(node("Transpose", {"x"}, {"y"}, {attribute("perm", Sizes{0, 1, 1, 3})})), {"Transpose 'y'"});
  refuses(one_step(node("Gather", {"x", "i"}, {"y"}, {attribute("axis", int64_t{1})}), {ints("i", {2})}),
          {"Gather 'y'"});
  refuses(one_step(node("Slice", {"x", "a", "b", "c", "d"}, {"y"}),
                   {ints("a", {0}), ints("b", {4}), ints("c", {2}), ints("d", {0})}),
          {"steps"});
  refuses(one_step(node("Squeeze", {"x", "a"}, {"y"}), {ints("a", {9})}), {"axis"});
  refuses(one_step(node("Conv", {"x", "w"}, {"y"}, {attribute("strides", Sizes{0, 1})}),
                   {tensor("w", kFloat, {1, 2, 1, 1}, of_floats({1, 2}))}),
          {"strides: expected numbers from 1, got 0"});
  refuses(one_step(node("Conv", {"x", "w"}, {"y"}, {attribute("pads", Sizes{0, 0})}),
                   {tensor("w", kFloat, {1, 2, 1, 1}, of_floats({1, 2}))}),
          {"pads: expected 4 numbers, got 2"});
  refuses(one_step(node("Split", {"x", "i"}, {"y"}, {attribute("axis", int64_t{1})}), {ints("i", {5})}), {"Split 'y'"});
  refuses(one_step(node("Reshape", {"x", "i"}, {"y"}), {ints("i", {-1, -1})}), {"Reshape 'y'"});
}

// What a file says of itself buys no memory.
TEST(OnnxDamage, AbsurdSizesAreErrors) {
  const std::string huge = tensor("i", kInt64, {2}, of_integers({int64_t{1} << 20, int64_t{1} << 20}));
  refuses(one_step(node("ConstantOfShape", {"i"}, {"y"}), {huge}), {"is refused", "would take"});
  refuses(one_step(node("Tile", {"i", "r"}, {"y"}), {huge, tensor("r", kInt64, {1}, of_integers({int64_t{1} << 40}))}),
          {"is refused"});
  std::string nodes;
  for (int i = 0; i < 1 << 22; ++i) nodes += bytes(1, "");  // empty messages: a hundred bytes each in memory
  const std::string bomb = number(1, 8) + bytes(7, nodes) + bytes(8, number(2, 17));
  const uint64_t peak = test::peak_memory_of([&] { refuses(bomb, {"is refused", "its nodes"}); });
  EXPECT_LT(peak, 400U << 20);
}

// Constants are charged before they are computed; of large values that the program computes only the sizes are worked
// out.
TEST(OnnxDamage, CallsTakeNoMemoryForWhatTheyWouldMake) {
  const auto doubled = [](const std::string& first) {
    Texts steps;
    for (int i = 0; i < 40; ++i) {
      const std::string from = i == 0 ? first : str("v", i - 1);
      steps.push_back(node("Concat", {from, from}, {i == 39 ? "y" : str("v", i)}, {attribute("axis", int64_t{1})}));
    }
    return model({steps, {value("x", {1, 2})}, {"y"}, {tensor("c", kFloat, {1, 2}, of_floats({1, 2}))}});
  };
  const uint64_t peak = test::peak_memory_of([&] {
    refuses(doubled("c"), {"is refused", "its constants"});
    const std::vector<int64_t> sizes = load(doubled("x"))->graph().output()->inputs()[0]->sizes();
    EXPECT_EQ(sizes, (std::vector<int64_t>{1, int64_t{2} << 40}));
  });
  EXPECT_LT(peak, 300U << 20);
}

TEST(OnnxDamage, DepthIsNoRecursion) {
  std::string nested;
  for (int i = 0; i < 2000; ++i) nested = bytes(6, bytes(1, bytes(5, nested)));
  refuses(one_step(node("If", {"x"}, {"y"}, {bytes(1, "then_branch") + nested})), {"If 'y'"});
  Texts chain;
  for (int i = 0; i < 3000; ++i) {
    chain.push_back(node("Relu", {i == 0 ? "x" : str("v", i - 1)}, {i == 2999 ? "y" : str("v", i)}));
  }
  EXPECT_EQ(load(model({chain, {value("x", {1, 2})}, {"y"}, {}}))->graph().size(), 3002U);
}

}  // namespace
}  // namespace octet

// Programs that keep values between runs: variables become inputs and outputs.

#include <gtest/gtest.h>

#include <cstring>
#include <functional>

#include "octet/formats/tflite.h"
#include "tests/support/error_test.h"
#include "tests/support/test_data.h"
#include "tflite_generated.h"

namespace octet::tflite_variables_tests {
namespace {

using test::fails_with;
using tflite::Type;
using namespace tflite::fb;

constexpr int32_t kAddCode = 0, kCallOnceCode = 129, kVarHandleCode = 142, kReadCode = 143, kAssignCode = 144;

// Which of the model's operator codes: in this order.
enum Code : uint32_t { kAdd, kCallOnce, kVarHandle, kRead, kAssign };

std::unique_ptr<TensorT> tensor_of(const std::string& name, std::vector<int32_t> shape, int type, uint32_t buffer = 0) {
  auto tensor = std::make_unique<TensorT>();
  tensor->name = name;
  tensor->shape = std::move(shape);
  tensor->type = static_cast<int8_t>(type);
  tensor->buffer = buffer;
  return tensor;
}

std::unique_ptr<OperatorT> call(Code code, std::vector<int32_t> inputs, std::vector<int32_t> outputs) {
  auto op = std::make_unique<OperatorT>();
  op->opcode_index = code;
  op->inputs = std::move(inputs);
  op->outputs = std::move(outputs);
  if (code == kAdd) op->builtin_options.Set(AddOptionsT());
  if (code == kVarHandle) {
    VarHandleOptionsT options;
    options.shared_name = "sum";
    op->builtin_options.Set(options);
  }
  if (code == kCallOnce) {
    CallOnceOptionsT options;
    options.init_subgraph_index = 1;
    op->builtin_options.Set(options);
  }
  return op;
}

// y = sum + x; sum = y, which begins as (1, 2).
ModelT running_sum() {
  constexpr int kFloat = 0, kResource = 13;
  ModelT model;
  model.version = 3;
  for (const int32_t number : {kAddCode, kCallOnceCode, kVarHandleCode, kReadCode, kAssignCode}) {
    auto code = std::make_unique<OperatorCodeT>();
    code->builtin_code = number;
    code->deprecated_builtin_code = static_cast<int8_t>(std::min(number, 127));
    model.operator_codes.push_back(std::move(code));
  }
  for (int i = 0; i < 2; ++i) model.buffers.push_back(std::make_unique<BufferT>());
  const float begin[] = {1.0F, 2.0F};
  model.buffers[1]->data.resize(sizeof begin);
  std::memcpy(model.buffers[1]->data.data(), begin, sizeof begin);
  auto main = std::make_unique<SubGraphT>();
  main->tensors.push_back(tensor_of("x", {1, 2}, kFloat));
  main->tensors.push_back(tensor_of("handle", {}, kResource));
  main->tensors.push_back(tensor_of("old", {1, 2}, kFloat));
  main->tensors.push_back(tensor_of("y", {1, 2}, kFloat));
  main->inputs = {0};
  main->outputs = {3};
  main->operators.push_back(call(kCallOnce, {}, {}));
  main->operators.push_back(call(kVarHandle, {}, {1}));
  main->operators.push_back(call(kRead, {1}, {2}));
  main->operators.push_back(call(kAdd, {2, 0}, {3}));
  main->operators.push_back(call(kAssign, {1, 3}, {}));
  model.subgraphs.push_back(std::move(main));
  auto first = std::make_unique<SubGraphT>();
  first->tensors.push_back(tensor_of("handle", {}, kResource));
  first->tensors.push_back(tensor_of("begin", {1, 2}, kFloat, 1));
  first->operators.push_back(call(kVarHandle, {}, {0}));
  first->operators.push_back(call(kAssign, {0, 1}, {}));
  model.subgraphs.push_back(std::move(first));
  return model;
}

tflite::Model read_edited(const std::function<void(ModelT&)>& edit) {
  ModelT model = running_sum();
  edit(model);
  flatbuffers::FlatBufferBuilder builder;
  FinishModelBuffer(builder, Model::Pack(builder, &model));
  return tflite::read(memory_source(
      "v.tflite", std::string(reinterpret_cast<const char*>(builder.GetBufferPointer()), builder.GetSize())));
}

::testing::AssertionResult refuses(const std::function<void(ModelT&)>& edit, const std::string& message) {
  return fails_with([&] { read_edited(edit); }, message);
}

TEST(TfliteVariables, AreAnInputAndAnOutputBehindTheOthers) {
  const tflite::Model program = read_edited([](ModelT&) {});
  EXPECT_EQ(program.inputs, (std::vector<int32_t>{0, 2}));
  EXPECT_EQ(program.outputs, (std::vector<int32_t>{3, 3}));
  ASSERT_EQ(program.operators.size(), 1u);
  EXPECT_EQ(program.operators[0].code, tflite::OpCode::kAdd);
  ASSERT_EQ(program.states.size(), 1u);
  EXPECT_EQ(program.states[0].name, "sum");
  EXPECT_EQ(program.states[0].input, 2);
  EXPECT_EQ(program.states[0].output, 3);
  float begin[2];
  ASSERT_EQ(program.states[0].data.size(), sizeof begin);
  std::memcpy(begin, program.states[0].data.data(), sizeof begin);
  EXPECT_EQ(begin[1], 2.0F);
  EXPECT_EQ(program.tensors[2].name, "sum");
}

TEST(TfliteVariables, OfWhichNobodyAssignsAreConstants) {
  const tflite::Model program = read_edited([](ModelT& m) { m.subgraphs[0]->operators.pop_back(); });
  EXPECT_EQ(program.inputs, std::vector<int32_t>{0});
  EXPECT_TRUE(program.states.empty());
  EXPECT_TRUE(program.tensors[2].is_constant);
  EXPECT_EQ(program.tensors[2].data.size(), 8u);
}

TEST(TfliteVariables, AreReadAsTheyWereAssigned) {
  // Read again behind the assignment: y + y.
  const tflite::Model program = read_edited([](ModelT& m) {
    m.subgraphs[0]->tensors.push_back(tensor_of("new", {1, 2}, 0));
    m.subgraphs[0]->tensors.push_back(tensor_of("twice", {1, 2}, 0));
    m.subgraphs[0]->operators.push_back(call(kRead, {1}, {4}));
    m.subgraphs[0]->operators.push_back(call(kAdd, {4, 3}, {5}));
    m.subgraphs[0]->outputs = {5};
  });
  EXPECT_EQ(program.operators.back().inputs, (std::vector<int32_t>{3, 3}));
  EXPECT_EQ(program.outputs, (std::vector<int32_t>{5, 3}));
}

TEST(TfliteVariables, DamagedOnesAreErrors) {
  const auto main = [](ModelT& m) -> SubGraphT& { return *m.subgraphs[0]; };
  const auto first = [](ModelT& m) -> SubGraphT& { return *m.subgraphs[1]; };
  EXPECT_TRUE(refuses([&](ModelT& m) { main(m).operators[2]->inputs = {0}; },
                      "v.tflite: operator 2 READ_VARIABLE] names no variable of this program"));
  EXPECT_TRUE(refuses([&](ModelT& m) { main(m).operators[4]->inputs = {1, 99}; }, "there is no tensor 99"));
  EXPECT_TRUE(refuses([&](ModelT& m) { main(m).operators[4]->inputs = {1}; },
                      "operator 4 ASSIGN_VARIABLE] inputs and outputs: expected 2 and 0, got 1 and 0"));
  EXPECT_TRUE(refuses([&](ModelT& m) { main(m).operators[1]->outputs = {-1}; }, "there is no tensor -1"));
  EXPECT_TRUE(refuses(
      [&](ModelT& m) {
        main(m).tensors[3]->shape = {1, 3};
      },
      "v.tflite: variable 'sum'] value: expected float32[1, 2], got float32[1, 3]"));
  EXPECT_TRUE(refuses([&](ModelT& m) { first(m).tensors[1]->shape = {2, 1}; }, "variable 'sum'] value"));
  EXPECT_TRUE(refuses([&](ModelT& m) { m.buffers[1]->data.resize(4); },
                      "variable 'sum'] bytes of its first value: expected 8, got 4"));
  EXPECT_TRUE(refuses([&](ModelT& m) { first(m).tensors[1]->buffer = 0; }, "with other than a constant"));
  EXPECT_TRUE(refuses([&](ModelT& m) { first(m).operators[1]->opcode_index = kAdd; },
                      "ADD is not one that octet reads where variables begin"));
  EXPECT_TRUE(
      refuses([&](ModelT& m) { main(m).operators[0]->builtin_options.AsCallOnceOptions()->init_subgraph_index = 7; },
              "operator 0 CALL_ONCE] there is no subgraph 7 to call"));
  EXPECT_TRUE(
      refuses([&](ModelT& m) { main(m).operators.erase(main(m).operators.begin()); }, "subgraphs: expected 1, got 2"));
}

}  // namespace
}  // namespace octet::tflite_variables_tests

#include "octet/integer/executor.h"

#include <ATen/ops/cat.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/full.h>
#include <ATen/ops/randint.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

#include <array>
#include <cstring>
#include <random>

#include "octet/formats/npy.h"
#include "octet/integer/rows.h"
#include "octet/support/byte_source.h"
#include "octet/support/error.h"
#include "tests/integer/programs.h"
#include "tests/support/test_data.h"

namespace octet {
namespace {

std::string file(const std::string& name) { return test::data("golden/cases/" + name); }

template <typename T>
tflite::Tensor constant(tflite::Type type, std::vector<int64_t> shape, const std::vector<T>& values, float scale) {
  tflite::Tensor tensor;
  tensor.name = "constant";
  tensor.type = type;
  tensor.shape = std::move(shape);
  tensor.quantization = {{scale}, {0}, 0};
  tensor.is_constant = true;
  tensor.data.resize(values.size() * sizeof(T));
  std::memcpy(tensor.data.data(), values.data(), tensor.data.size());
  return tensor;
}

tflite::Tensor value(const std::string& name, std::vector<int64_t> shape, float scale, int64_t zero_point = 0) {
  tflite::Tensor tensor;
  tensor.name = name;
  tensor.shape = std::move(shape);
  tensor.quantization = {{scale}, {zero_point}, 0};
  return tensor;
}

// y = W x with one weight row: x of `depth` levels.
tflite::Model matrix(int64_t depth, int32_t bias, float result_scale = 1e6F) {
  tflite::Model model;
  model.tensors = {value("x", {1, depth}, 1.0F),
                   constant<int8_t>(tflite::Type::kInt8, {1, depth}, std::vector<int8_t>(depth, 127), 1.0F),
                   constant<int32_t>(tflite::Type::kInt32, {1}, {bias}, 1.0F), value("y", {1, 1}, result_scale)};
  tflite::Operator op;
  op.code = tflite::OpCode::kFullyConnected;
  op.inputs = {0, 1, 2};
  op.outputs = {3};
  model.operators = {op};
  model.inputs = {0};
  model.outputs = {3};
  return model;
}

// Two layers of random weights with a sigmoid between them, whose result is a second one; `rows` of an example.
tflite::Model layers(int64_t rows) {
  std::mt19937 random(11);
  const auto weights = [&](int64_t channels, int64_t depth) {
    std::vector<int8_t> levels(static_cast<size_t>(channels * depth));
    for (int8_t& level : levels) level = static_cast<int8_t>(static_cast<int>(random() % 255) - 127);
    return constant<int8_t>(tflite::Type::kInt8, {channels, depth}, levels, 0.01F);
  };
  tflite::Model model;
  model.tensors = {value("x", {rows, 33}, 0.05F, 3),
                   weights(48, 33),
                   constant<int32_t>(tflite::Type::kInt32, {48}, std::vector<int32_t>(48, 700), 0.0005F),
                   value("h", {rows, 48}, 0.07F, -4),
                   value("s", {rows, 48}, 1.0F / 256, -128),
                   weights(40, 48),
                   value("y", {rows, 40}, 0.02F, 9),
                   value("r", {rows, 40}, 0.02F, 9)};
  model.operators.resize(4);
  model.operators[0].code = tflite::OpCode::kFullyConnected;
  model.operators[0].inputs = {0, 1, 2};
  model.operators[1].code = tflite::OpCode::kLogistic;
  model.operators[1].inputs = {3};
  model.operators[2].code = tflite::OpCode::kFullyConnected;
  model.operators[2].inputs = {4, 5, -1};
  model.operators[3].code = tflite::OpCode::kRelu;
  model.operators[3].inputs = {6};
  for (size_t i = 0; i < 4; ++i) model.operators[i].outputs = {std::array<int32_t, 4>{3, 4, 6, 7}[i]};
  model.inputs = {0};
  model.outputs = {7, 4};
  return model;
}

// Of so many equal classes none has half a step: a shift by more than 31, or a sum beyond int32, must not make
// something of it.
TEST(Executor, SoftmaxOverManyEqualClassesIsZero) {
  for (const int64_t classes : {511, 512, 2048, 8194}) {
    tflite::Model model;
    model.tensors = {value("x", {1, classes}, 0.1F), value("y", {1, classes}, 1.0F / 256, -128)};
    tflite::Operator op;
    op.code = tflite::OpCode::kSoftmax;
    op.inputs = {0};
    op.outputs = {1};
    model.operators = {op};
    model.inputs = {0};
    model.outputs = {1};
    const at::Tensor result = integer::Executor(model).run({at::full({1, classes}, 5, at::kChar)}).at(0);
    const int64_t level = classes < 512 ? -127 : -128;
    EXPECT_TRUE(at::equal(result, at::full({1, classes}, level, at::kChar))) << classes;
  }
}

TEST(Executor, AnyBatchGivesTheSamplesRows) {
  const integer::Executor executor(tflite::read(file("net_cifarnet/neutron_0.tflite")));
  const at::Tensor one = read_npy(file("net_cifarnet/neutron_0_in_0.npy"));
  const at::Tensor other = at::randint(-128, 128, one.sizes(), at::TensorOptions(at::kChar));
  const at::Tensor both = executor.run({at::cat({one, other, one})}).at(0);
  EXPECT_TRUE(at::equal(both.slice(0, 0, 1), executor.run({one}).at(0)));
  EXPECT_TRUE(at::equal(both.slice(0, 1, 2), executor.run({other}).at(0)));
  EXPECT_TRUE(at::equal(both.slice(0, 2, 3), executor.run({one}).at(0)));
}

// Layers of matrices take several samples at once: the rest of them, and rows of an example of several, come out alike.
TEST(Executor, AnyBatchOfMatricesGivesTheSamplesRows) {
  at::manual_seed(3);
  for (const auto& [rows, last] : {std::pair(1, tflite::OpCode::kRelu), std::pair(2, tflite::OpCode::kAbs)}) {
    tflite::Model model = layers(rows);
    model.operators.back().code = last;
    ASSERT_TRUE(integer::works_by_rows(model));
    const integer::Executor executor(model);
    for (const int64_t samples : {1, 7, 8, 9, 31}) {
      const at::Tensor x = at::randint(-128, 128, {samples * rows, 33}, at::TensorOptions(at::kChar));
      const std::vector<at::Tensor> all = executor.run({x});
      for (int64_t i = 0; i < samples; ++i) {
        const std::vector<at::Tensor> alone = executor.run({x.slice(0, i * rows, (i + 1) * rows)});
        for (size_t k = 0; k < all.size(); ++k) {
          EXPECT_TRUE(at::equal(all[k].slice(0, i * rows, (i + 1) * rows), alone[k])) << samples << ", " << i;
        }
      }
    }
  }
}

TEST(Executor, RowsThatMeetAreNotTakenApart) {
  EXPECT_FALSE(integer::works_by_rows(tflite::read(file("net_cifarnet/neutron_0.tflite")))) << "images";
  tflite::Model model = layers(1);
  model.operators.front().inputs[1] = model.inputs[0];
  EXPECT_FALSE(integer::works_by_rows(model)) << "computed weights";
  model = layers(2);
  model.tensors[static_cast<size_t>(model.outputs[0])].shape = {1, 2 * 40};
  EXPECT_FALSE(integer::works_by_rows(model)) << "samples in a row";
  model = layers(1);
  model.operators.back().code = tflite::OpCode::kBatchMatmul;
  EXPECT_FALSE(integer::works_by_rows(model)) << "another operator";
}

TEST(Executor, FloatInputsAreQuantized) {
  const integer::Executor executor(tflite::read(file("net_cifarnet/neutron_0.tflite")));
  const at::Tensor levels = read_npy(file("net_cifarnet/neutron_0_in_0.npy"));
  const auto& input = executor.model().tensors[static_cast<size_t>(executor.model().inputs[0])];
  const at::Tensor real =
      (levels.to(at::kFloat) - static_cast<float>(input.quantization.zero_point[0])) * input.quantization.scale[0];
  const at::Tensor of_litert = read_npy(file("net_cifarnet/neutron_0_out_0.npy"));
  EXPECT_TRUE(at::equal(executor.run({real}).at(0), of_litert));
  // A softmax: steps of 1/256 from 0, exact in float.
  const at::Tensor results = executor.run_dequantized({real}).at(0);
  EXPECT_EQ(results.scalar_type(), at::kFloat);
  EXPECT_TRUE(at::equal(results, (of_litert.to(at::kFloat) + 128) / 256));
}

// An input is quantized as the program's own QUANTIZE would.
TEST(Executor, FloatInputsRoundAsQuantizeDoes) {
  tflite::Model model = matrix(1, 0);
  model.tensors[1].data = {1};
  model.tensors[3].quantization.scale = {1.0F};
  const at::Tensor just_below_a_half = at::full({1, 1}, 0.49999997F);
  EXPECT_EQ(integer::Executor(model).run({just_below_a_half}).at(0).item<int8_t>(), 0);
}

TEST(Executor, RefusesWhatDoesNotFit) {
  const integer::Executor executor(tflite::read(file("op_add/neutron_0.tflite")));
  const at::Tensor input = read_npy(file("op_add/neutron_0_in_0.npy"));
  EXPECT_THROW(executor.run({}), Error);
  EXPECT_THROW(executor.run({input.to(at::kInt)}), Error);
  EXPECT_THROW(executor.run({input.slice(1, 0, 2)}), Error);
  EXPECT_THROW(executor.run({input[0]}), Error);
}

TEST(Executor, ChecksAccumulators) {
  const auto result = [](const tflite::Model& model, bool check_overflow) {
    const int64_t depth = model.tensors[0].shape[1];
    const at::Tensor full = at::full({1, depth}, 127, at::TensorOptions(at::kChar));
    return integer::Executor(model, {.check_overflow = check_overflow}).run({full}).at(0).item<int64_t>();
  };
  // 127 * 127 * 200000 is 2^31 + 1078316352; that wraps to -1069167296, as on the machine: -107 steps of 1e7.
  EXPECT_EQ(result(matrix(200000, 0, 1e7F), false), -107);
  EXPECT_THROW(result(matrix(200000, 0, 1e7F), true), Error);
  for (const bool check_overflow : {false, true}) {
    EXPECT_EQ(result(matrix(10, 0, 2000.0F), check_overflow), 81) << "127 * 127 * 10 / 2000";
  }
  EXPECT_THROW(result(matrix(10, INT32_MAX, 1e7F), true), Error);
}

TEST(Executor, NamesTheOperatorThatDoesNotFit) {
  tflite::Model model = matrix(10, 0);
  model.tensors[3].shape = {1, 3};
  try {
    integer::Executor broken(model);
    FAIL() << "accepted";
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("[FULLY_CONNECTED 'y'] elements"), std::string::npos) << error.what();
  }
  model = matrix(10, 0);
  model.operators[0].code = tflite::OpCode::kNeg;
  EXPECT_THROW(integer::Executor{model}, Error);
}

// What LiteRT finds out from inputs and options must be what the file says of its tensors.
TEST(Executor, RefusesOutputsThatContradictTheOperator) {
  const auto refusal = [](const test::Program& program) {
    try {
      integer::Executor(program.model());
    } catch (const Error& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  const tflite::Quantization grid{{0.5F}, {0}};
  const at::Tensor x = at::zeros({2, 3, 4}, at::kChar);
  for (const bool fits : {true, false}) {
    test::Program shape(tflite::OpCode::kReshape);
    shape.input(x, grid);
    shape.constant(test::integers({2, fits ? 12 : 6}));
    shape.output({2, 12}, tflite::Type::kInt8, grid);
    EXPECT_EQ(refusal(shape), fits ? "" : "[RESHAPE 't2'] output shape: expected [2, 6], got [2, 12]");

    test::Program least(tflite::OpCode::kMinimum);
    least.input(x, grid);
    least.constant(at::ones({1}, at::kChar), grid);
    least.output(fits ? std::vector<int64_t>{2, 3, 4} : std::vector<int64_t>{1, 2, 3, 4}, tflite::Type::kInt8, grid);
    EXPECT_EQ(refusal(least),
              fits ? "" : "[MINIMUM 't2'] dimensions of the output: expected 3, as the operands have, got 4");

    test::Program place(tflite::OpCode::kArgMax);
    place.input(x, grid);
    place.constant(test::integers({1}));
    place.options().out_type = fits ? tflite::Type::kInt64 : tflite::Type::kInt32;
    place.output({2, 4}, tflite::Type::kInt64);
    EXPECT_EQ(refusal(place), fits ? "" : "[ARG_MAX 't2'] type of 't2': expected int32, got int64");

    test::Program wide(tflite::OpCode::kTransposeConv);
    const int width = fits ? 4 : 8;
    wide.constant(test::integers({1, 6, width, 2}));
    wide.constant(at::ones({2, 2, 2, 3}, at::kChar), grid);
    wide.input(at::zeros({1, 3, 2, 3}, at::kChar), grid);
    wide.options().stride_h = wide.options().stride_w = 2;
    wide.options().padding = tflite::Padding::kSame;
    wide.output({1, 6, width, 2}, tflite::Type::kInt8, grid);
    EXPECT_EQ(refusal(wide), fits ? "" : "[TRANSPOSE_CONV 't3'] input size: expected 4 for an output of 8, got 2");

    test::Program named(tflite::OpCode::kTransposeConv);
    named.constant(test::integers({1, 6, fits ? 4 : 3, 2}));
    named.constant(at::ones({2, 2, 2, 3}, at::kChar), grid);
    named.input(at::zeros({1, 3, 2, 3}, at::kChar), grid);
    named.options() = wide.options();
    named.output({1, 6, 4, 2}, tflite::Type::kInt8, grid);
    EXPECT_EQ(refusal(named),
              fits ? "" : "[TRANSPOSE_CONV 't3'] output shape: expected [1, 6, 3, 2], got [1, 6, 4, 2]");

    test::Program turned(tflite::OpCode::kReverseV2);
    turned.input(x, grid);
    turned.constant(fits ? test::integers({1}) : test::integers({1}).reshape({}));
    turned.output({2, 3, 4}, tflite::Type::kInt8, grid);
    EXPECT_EQ(refusal(turned), fits ? "" : "[REVERSE_V2 't2'] dimensions of 't1': expected 1, got 0");
  }
}

// Tables of a size that stands beside a 0 would take all memory.
TEST(Executor, SizesBesideAZeroCostNothing) {
  tflite::Model model;
  model.tensors = {value("x", {0, INT32_MAX}, 1.0F), constant<int32_t>(tflite::Type::kInt32, {2}, {1, 0}, 1.0F),
                   value("y", {INT32_MAX, 0}, 1.0F)};
  model.tensors[1].quantization = {};
  tflite::Operator op;
  op.code = tflite::OpCode::kTranspose;
  op.inputs = {0, 1};
  op.outputs = {2};
  model.operators = {op};
  model.inputs = {0};
  model.outputs = {2};
  EXPECT_EQ(integer::Executor(model).memory().arena_bytes, 0);
}

// A damaged program is refused, or runs within its memory.
TEST(Executor, SurvivesDamagedPrograms) {
  std::mt19937 random(11);
  int64_t refused = 0, ran = 0;
  for (const char* name : {"op_add", "op_slice", "op_pad_constant", "op_mean_dim", "op_softmax", "op_permute", "op_cat",
                           "conv_transpose2d", "conv_depthwise", "op_upsample_bilinear", "op_max_pool2d", "op_bmm"}) {
    const std::string bytes = read_file(file(std::string(name) + "/neutron_0.tflite"));
    for (int i = 0; i < 300; ++i) {
      std::string damaged = bytes;
      for (int flips = 0; flips < 2; ++flips) {
        damaged[random() % damaged.size()] = static_cast<char>(random() % 256);
      }
      try {
        const integer::Executor executor(tflite::read(memory_source("damaged", damaged)));
        std::vector<at::Tensor> inputs;
        int64_t elements = executor.memory().arena_bytes;
        for (const int32_t index : executor.model().inputs) {
          const auto& tensor = executor.model().tensors[static_cast<size_t>(index)];
          inputs.push_back(at::zeros(tensor.shape, at::TensorOptions(integer::scalar_type(tensor.type))));
        }
        if (elements < (1 << 24)) executor.run(inputs);
        ++ran;
      } catch (const Error&) {
        ++refused;
      }
    }
  }
  EXPECT_GT(refused, 100);
  EXPECT_GT(ran, 100);
}

TEST(MemoryPlan, TensorsThatLiveTogetherLieApart) {
  const tflite::Model model = tflite::read(file("net_mobilenet_v2_w025/neutron_0.tflite"));
  const integer::MemoryPlan plan = integer::plan_memory(model), by_lines = integer::plan_memory(model, 64);
  EXPECT_GE(plan.arena_bytes, plan.peak_bytes);
  EXPECT_LE(plan.arena_bytes, plan.peak_bytes * 5 / 4) << "greedy by size comes close to the bound";
  int64_t all = 0;
  std::vector<std::pair<int64_t, int64_t>> lives(model.tensors.size(), {INT64_MAX, -1});
  const auto use = [&](int32_t tensor, int64_t step) {
    if (tensor < 0) return;
    auto& [first, last] = lives[static_cast<size_t>(tensor)];
    first = std::min(first, step);
    last = std::max(last, step);
  };
  for (size_t step = 0; step < model.operators.size(); ++step) {
    for (const int32_t tensor : model.operators[step].inputs) use(tensor, static_cast<int64_t>(step));
    for (const int32_t tensor : model.operators[step].outputs) use(tensor, static_cast<int64_t>(step));
  }
  for (size_t a = 0; a < model.tensors.size(); ++a) {
    if (plan.offsets[a] < 0) continue;
    EXPECT_EQ(plan.offsets[a] % 16, 0);
    EXPECT_EQ(by_lines.offsets[a] % 64, 0);
    all += model.tensors[a].numel();
    for (size_t b = 0; b < a; ++b) {
      if (plan.offsets[b] < 0) continue;
      if (lives[a].first > lives[b].second || lives[b].first > lives[a].second) continue;
      const bool apart = plan.offsets[a] + model.tensors[a].numel() <= plan.offsets[b] ||
                         plan.offsets[b] + model.tensors[b].numel() <= plan.offsets[a];
      EXPECT_TRUE(apart) << model.tensors[a].name << " and " << model.tensors[b].name;
    }
  }
  EXPECT_LT(plan.arena_bytes, all / 4) << "bytes are shared";
}

}  // namespace
}  // namespace octet

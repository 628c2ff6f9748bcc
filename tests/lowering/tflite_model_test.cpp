// A `.tflite` as a model: float, hybrid, float16, and what becomes of it.

#include <ATen/ops/allclose.h>
#include <ATen/ops/equal.h>
#include <gtest/gtest.h>

#include <random>

#include "octet/formats/tflite_table.h"
#include "octet/integer/executor.h"
#include "octet/lowering/batch.h"
#include "octet/lowering/lowering.h"
#include "octet/lowering/program_graph.h"
#include "octet/quantize/qdq.h"
#include "octet/targets/engine/calibrate_and_quantize.h"
#include "octet/targets/neutron/neutron_quantizer.h"
#include "tests/engine/graph_builder.h"
#include "tests/integer/programs.h"
#include "tests/support/error_test.h"
#include "tests/support/test_data.h"

namespace octet::tflite_model_tests {
namespace {

using enum tflite::OpCode;
using test::GraphBuilder;
using tflite::OpCode;
using tflite::Type;
using Sizes = std::vector<int64_t>;

at::Tensor floats(const Sizes& sizes) { return at::randn(sizes, at::kFloat); }

std::vector<at::Tensor> inputs_for(const tflite::Model& program) {
  std::vector<at::Tensor> inputs;
  for (const int32_t index : program.inputs) {
    inputs.push_back(floats(program.tensors[static_cast<size_t>(index)].shape));
  }
  return inputs;
}

// The model's results are the executor's, to rounding, and lie as the program has them.
::testing::AssertionResult agrees(const tflite::Model& program) {
  const at::NoGradGuard no_grad;
  const auto model = model_of(program);
  const std::vector<at::Tensor> inputs = inputs_for(program);
  const auto wanted = integer::Executor(program).run(inputs);
  const auto got = model->run(inputs);
  if (got.size() != wanted.size()) return ::testing::AssertionFailure() << got.size() << " results";
  for (size_t i = 0; i < got.size(); ++i) {
    if (got[i].sizes() != wanted[i].sizes()) return ::testing::AssertionFailure() << "sizes " << got[i].sizes();
    if (!at::allclose(got[i], wanted[i], 1e-4, 1e-5)) {
      return ::testing::AssertionFailure()
             << "result " << i << " is " << (got[i] - wanted[i]).abs().max().item<double>() << " off\n"
             << model->graph().text();
    }
  }
  return ::testing::AssertionSuccess();
}

int64_t count(const tflite::Model& program, OpCode code) {
  return std::count_if(program.operators.begin(), program.operators.end(),
                       [&](const tflite::Operator& op) { return op.code == code; });
}

struct Window {
  tflite::Padding padding;
  int32_t stride;
  int64_t in, out;
};

// Each kernel, stride and size, in which SAME pads evenly, by one more behind, or not at all.
std::vector<std::pair<int64_t, Window>> windows() {
  std::vector<std::pair<int64_t, Window>> all;
  for (const int64_t kernel : {1, 2, 3, 4, 5}) {
    for (const int32_t stride : {1, 2, 3}) {
      for (const int64_t in : {7, 8}) {
        all.push_back({kernel, {tflite::Padding::kSame, stride, in, (in + stride - 1) / stride}});
        all.push_back({kernel, {tflite::Padding::kValid, stride, in, (in - kernel) / stride + 1}});
      }
    }
  }
  return all;
}

void set_window(tflite::Options& options, const Window& window) {
  options.padding = window.padding;
  options.stride_h = options.stride_w = window.stride;
}

TEST(TfliteModel, ConvolutionsPadAsTheFileSays) {
  for (const auto& [kernel, window] : windows()) {
    for (const bool is_depthwise : {false, true}) {
      test::Program program(is_depthwise ? kDepthwiseConv2d : kConv2d);
      set_window(program.options(), window);
      program.options().activation = tflite::Activation::kRelu6;
      program.options().depth_multiplier = is_depthwise ? 2 : 1;
      program.input(floats({1, window.in, window.in, 3}));
      program.constant(floats({is_depthwise ? 1 : 6, kernel, kernel, is_depthwise ? 6 : 3}));
      program.constant(floats({6}));
      program.output({1, window.out, window.out, 6}, Type::kFloat32);
      EXPECT_TRUE(agrees(program.model())) << kernel << " / " << window.stride << " of " << window.in;
    }
  }
}

TEST(TfliteModel, PoolsPadAsTheFileSays) {
  for (const auto& [kernel, window] : windows()) {
    for (const OpCode code : {kMaxPool2d, kAveragePool2d}) {
      test::Program program(code);
      set_window(program.options(), window);
      program.options().filter_h = program.options().filter_w = static_cast<int32_t>(kernel);
      program.input(floats({1, window.in, window.in, 3}));
      program.output({1, window.out, window.out, 3}, Type::kFloat32);
      EXPECT_TRUE(agrees(program.model())) << kernel << " / " << window.stride << " of " << window.in;
    }
  }
}

TEST(TfliteModel, TransposedConvolutionsAreCutAsTheFileSays) {
  for (const int64_t kernel : {1, 2, 3, 4, 5}) {
    for (const bool is_same : {true, false}) {
      const int64_t out = is_same ? 10 : 4 * 2 + std::max<int64_t>(kernel, 2);
      test::Program program(kTransposeConv);
      program.options().stride_h = program.options().stride_w = 2;
      program.options().padding = is_same ? tflite::Padding::kSame : tflite::Padding::kValid;
      program.constant(test::integers({1, static_cast<int32_t>(out), static_cast<int32_t>(out), 4}));
      program.constant(floats({4, kernel, kernel, 3}));
      program.input(floats({1, 5, 5, 3}));
      program.output({1, out, out, 4}, Type::kFloat32);
      EXPECT_TRUE(agrees(program.model())) << kernel << (is_same ? " same" : " valid");
    }
  }
  // VALID pads nothing: a row that no window reaches holds the bias.
  for (const int64_t out : {10, 11}) {
    test::Program program(kTransposeConv);
    program.options().stride_h = program.options().stride_w = 2;
    program.options().padding = tflite::Padding::kValid;
    program.constant(test::integers({1, static_cast<int32_t>(out), static_cast<int32_t>(out), 4}));
    program.constant(floats({4, 4, 4, 3}));
    program.input(floats({1, 4, 4, 3}));
    program.output({1, out, out, 4}, Type::kFloat32);
    EXPECT_TRUE(agrees(program.model())) << out << " for 10";
  }
}

TEST(TfliteModel, ResizesReadWhatTheFileSays) {
  for (const int32_t out : {3, 7, 10, 15}) {
    for (const bool half : {false, true}) {
      test::Program program(kResizeNearestNeighbor);
      program.options().half_pixel_centers = half;
      program.input(floats({1, 5, 5, 3}));
      program.constant(test::integers({out, out}));
      program.output({1, out, out, 3}, Type::kFloat32);
      EXPECT_TRUE(agrees(program.model())) << out << half;
    }
  }
  test::Program program(kResizeBilinear);
  program.input(floats({1, 5, 5, 3}));
  program.constant(test::integers({10, 10}));
  program.output({1, 10, 10, 3}, Type::kFloat32);
  EXPECT_TRUE(test::fails_with([&] { model_of(program.model()); },
                               "[RESIZE_BILINEAR 't2'] has no counterpart among PyTorch's operators"));
}

TEST(TfliteModel, ProductsTakeAnyRank) {
  struct Case {
    Sizes in, weight, out;
    bool keeps;
  };
  for (const Case& each : std::vector<Case>{{{1, 6}, {4, 6}, {1, 4}, false},
                                            {{2, 3, 6}, {4, 6}, {2, 3, 4}, true},
                                            {{2, 3, 6}, {4, 6}, {6, 4}, false},
                                            {{1, 2, 2, 3}, {4, 12}, {1, 4}, false},
                                            {{1, 2, 5, 6}, {4, 6}, {1, 2, 5, 4}, true},
                                            {{6}, {4, 6}, {1, 4}, false}}) {
    test::Program program(kFullyConnected);
    program.options().keep_num_dims = each.keeps;
    program.input(floats(each.in));
    program.constant(floats(each.weight));
    program.absent();
    program.output(each.out, Type::kFloat32);
    EXPECT_TRUE(agrees(program.model())) << at::IntArrayRef(each.in);
  }
  for (const bool adjoint : {false, true}) {
    for (const Sizes& batch : {Sizes{3}, Sizes{1, 2}, Sizes{}}) {
      Sizes left = batch, right = batch, out = batch;
      left.insert(left.end(), {4, 5});
      right.insert(right.end(), {adjoint ? 6 : 5, adjoint ? 5 : 6});
      out.insert(out.end(), {4, 6});
      test::Program program(kBatchMatmul);
      program.options().adj_y = adjoint;
      program.input(floats(left));
      program.input(floats(right));
      program.output(out, Type::kFloat32);
      EXPECT_TRUE(agrees(program.model())) << at::IntArrayRef(left);
    }
  }
}

TEST(TfliteModel, BroadcastingGoesByTheFilesAxes) {
  for (const auto& [left, right] : std::vector<std::pair<Sizes, Sizes>>{{{1, 4, 5, 3}, {3}},
                                                                        {{1, 4, 5, 3}, {5, 3}},
                                                                        {{1, 4, 5, 3}, {1, 4, 5, 1}},
                                                                        {{2, 5}, {1}},
                                                                        {{1, 4, 5, 3}, {}}}) {
    for (const OpCode code : {kAdd, kMul, kSub}) {
      for (const bool is_constant : {true, false}) {
        test::Program program(code);
        program.options().activation = tflite::Activation::kRelu;
        program.input(floats(left));
        if (is_constant) {
          program.constant(floats(right));
        } else {
          program.input(floats(right));
        }
        program.output(left, Type::kFloat32);
        EXPECT_TRUE(agrees(program.model())) << at::IntArrayRef(right);
      }
    }
  }
}

// An image beside a value of more dimensions lies as the file has it.
TEST(TfliteModel, ImagesAreBroadcastToMoreDimensions) {
  test::Program program(kMaxPool2d);
  set_window(program.options(), {tflite::Padding::kValid, 1, 4, 3});
  program.options().filter_h = program.options().filter_w = 2;
  program.input(floats({1, 4, 5, 3}));
  program.output({1, 3, 4, 3}, Type::kFloat32);
  tflite::Model model = program.model();
  tflite::Tensor five = model.tensors[0];
  five.name = "five";
  five.shape = {2, 1, 1, 4, 3};
  model.tensors.push_back(five);
  five.name = "sum";
  five.shape = {2, 1, 3, 4, 3};
  model.tensors.push_back(five);
  tflite::Operator sum;
  sum.code = kAdd;
  sum.inputs = {1, 2};
  sum.outputs = {3};
  model.operators.push_back(sum);
  model.inputs.push_back(2);
  model.outputs = {3};
  EXPECT_TRUE(agrees(model));
}

TEST(TfliteModel, SlopesAndSoftmaxes) {
  for (const Sizes& sizes : {Sizes{2, 4}, Sizes{1, 5, 4}, Sizes{1, 3, 5, 4}}) {
    test::Program prelu(kPrelu);
    prelu.input(floats(sizes));
    Sizes slopes(sizes.size() - 1, 1);
    slopes.back() = 4;
    prelu.constant(floats(slopes));
    prelu.output(sizes, Type::kFloat32);
    EXPECT_TRUE(agrees(prelu.model())) << at::IntArrayRef(sizes);
    test::Program softmax(kSoftmax);
    softmax.options().beta = 0.5F;
    softmax.input(floats(sizes));
    softmax.output(sizes, Type::kFloat32);
    EXPECT_TRUE(agrees(softmax.model())) << at::IntArrayRef(sizes);
  }
}

// ---- constants in other forms
// ----------------------------------------------------------------------------------------

TEST(TfliteModel, WeightsOfHybridFilesAreTheNumbersOfTheirLevels) {
  for (const bool by_channel : {false, true}) {
    test::Program program(kConv2d);
    program.input(floats({1, 6, 6, 3}));
    const at::Tensor levels = at::randint(-127, 128, {4, 3, 3, 3}, at::kChar);
    tflite::Quantization grid{{0.02F}, {0}, 0};
    if (by_channel) grid = {{0.02F, 0.01F, 0.5F, 0.1F}, {0, 0, 0, 0}, 0};
    program.constant(levels, grid);
    program.output({1, 4, 4, 4}, Type::kFloat32);
    EXPECT_TRUE(agrees(program.model()));
    const auto model = model_of(program.model());
    ASSERT_EQ(model->parameters().size(), 1u);
    const at::Tensor scale = at::tensor(at::ArrayRef<float>(grid.scale)).view({-1, 1, 1, 1});
    EXPECT_TRUE(at::equal(model->attr("t1"), levels.permute({0, 3, 1, 2}).to(at::kFloat) * scale));
    EXPECT_FALSE(is_quantized(*model));
  }
}

TEST(TfliteModel, ConstantsInFloat16AreFolded) {
  const at::Tensor halves = floats({4, 6}).to(at::kHalf);
  test::Program direct(kFullyConnected);
  direct.input(floats({2, 6}));
  direct.constant(halves);
  direct.output({2, 4}, Type::kFloat32);
  EXPECT_TRUE(agrees(direct.model()));
  // As TFLite's converter writes it: behind a DEQUANTIZE.
  tflite::Model program = direct.model();
  tflite::Operator dequantize;
  dequantize.code = kDequantize;
  dequantize.inputs = {1};
  dequantize.outputs = {3};
  program.tensors.push_back({"weights", Type::kFloat32, {4, 6}, {}, false, {}});
  program.operators[0].inputs[1] = 3;
  program.operators.insert(program.operators.begin(), dequantize);
  EXPECT_TRUE(agrees(program));
  EXPECT_TRUE(at::equal(model_of(program)->attr("weights"), halves.to(at::kFloat)));
}

TEST(TfliteModel, ShapesAreFolded) {
  // x -> SHAPE -> RESHAPE's sizes: how a converter flattens a batch that it does not know.
  test::Program reshape(kReshape);
  reshape.input(floats({2, 6}));
  reshape.constant(test::integers({0, 0}));
  reshape.output({2, 6}, Type::kFloat32);
  tflite::Model program = reshape.model();
  tflite::Operator shape;
  shape.code = kShape;
  shape.options.out_type = Type::kInt32;
  shape.inputs = {0};
  shape.outputs = {1};
  program.tensors[1].is_constant = false;
  program.tensors[1].data.clear();
  program.operators.insert(program.operators.begin(), shape);
  EXPECT_TRUE(agrees(program));
}

TEST(TfliteModel, ConstantsTakeNoEndlessMemory) {
  tflite::Model program;
  program.tensors.push_back({"x", Type::kFloat32, {1}, {}, false, {}});
  program.inputs = {0};
  program.tensors.push_back({"one", Type::kFloat32, {1}, {}, true, {0, 0, 0, 0}});
  for (int32_t i = 0; i < 64; ++i) {
    const auto size = static_cast<int32_t>(1 << 20);
    tflite::Tensor sizes{"sizes", Type::kInt32, {1}, {}, true, {0, 0, 0, 0}};
    std::memcpy(sizes.data.data(), &size, sizeof size);
    program.tensors.push_back(sizes);
    program.tensors.push_back({"wide", Type::kFloat32, {size}, {}, false, {}});
    tflite::Operator wide;
    wide.code = kBroadcastTo;
    wide.inputs = {1, 2 + 2 * i};
    wide.outputs = {3 + 2 * i};
    program.operators.push_back(wide);
  }
  program.outputs = {3};
  EXPECT_TRUE(test::fails_with([&] { model_of(program); }, "what its constants become"));
}

// ---- whole networks
// ---------------------------------------------------------------------------------------------------

// Random networks of what TFLite's converter makes of small ones.
std::shared_ptr<GraphModule> random_network(GraphBuilder& g, int64_t seed) {
  at::manual_seed(static_cast<uint64_t>(seed));
  const auto pick = [&](int64_t count) { return at::randint(count, {1}).item<int64_t>(); };
  Node* x = g.input({1, 3, 12, 12});
  int64_t channels = 3;
  for (int step = 0; step < 5; ++step) {
    const std::string name = octet::str("s", step);
    switch (pick(8)) {
      case 0:
        x = g.call("aten.relu.default", {g.conv2d(name, x, channels, 4)});
        channels = 4;
        break;
      case 1:
        x = g.call("aten.hardtanh.default", {g.conv2d(name, x, channels, channels, channels), 0.0, 6.0});
        break;
      case 2:
        x = g.call("aten.add.Tensor", {x, g.conv2d(name, x, channels, channels)});
        break;
      case 3:
        x = g.call("aten.cat.default", {std::vector<Arg>{x, g.call("aten.sigmoid.default", {x})}, int64_t{1}});
        channels *= 2;
        break;
      case 4:
        x = g.call("aten.max_pool2d.default", {x, Sizes{3, 3}, Sizes{1, 1}, Sizes{1, 1}});
        break;
      case 5:
        x = g.call("aten.mul.Tensor", {x, g.call("aten.mean.dim", {x, Sizes{2, 3}, true})});
        break;
      case 6:
        x = g.call("aten.pad.default", {x, Sizes{0, 1, 1, 0}, std::string("constant"), 0.0});
        x = g.call("aten.slice.Tensor", {x, int64_t{2}, int64_t{1}, int64_t{13}});
        x = g.call("aten.slice.Tensor", {x, int64_t{3}, int64_t{0}, int64_t{12}});
        break;
      default:
        x = g.call("aten.prelu.default", {x, g.parameter(name, {channels})});
    }
  }
  x = g.call("aten.avg_pool2d.default", {x, Sizes{2, 2}, Sizes{2, 2}});
  x = g.call("aten.flatten.using_ints", {x, int64_t{1}});
  x = g.call("aten.softmax.int", {g.linear("head", x, channels * 36, 5), int64_t{1}});
  return g.finish({x});
}

TEST(TfliteModel, ANetworkThatIsWrittenAndReadIsTheSame) {
  const at::NoGradGuard no_grad;
  for (int64_t seed = 0; seed < 24; ++seed) {
    GraphBuilder g;
    const auto network = random_network(g, seed);
    for (const bool nhwc : {false, true}) {
      const std::vector<uint8_t> bytes = tflite::serialize(lower(*network, {.nhwc_io = nhwc}));
      const tflite::Model program = tflite::read(memory_source("n.tflite", std::string(bytes.begin(), bytes.end())));
      EXPECT_TRUE(agrees(program)) << seed;
      const auto model = model_of(program);
      const at::Tensor image = nhwc ? g.inputs()[0].permute({0, 2, 3, 1}).contiguous() : g.inputs()[0];
      const at::Tensor wanted = network->run(g.inputs())[0], got = model->run({image})[0];
      EXPECT_TRUE(at::allclose(got, wanted, 1e-4, 1e-5)) << seed << '\n' << model->graph().text();
    }
  }
}

TEST(TfliteModel, IsQuantizedAndWrittenAsItLies) {
  const at::NoGradGuard no_grad;
  for (int64_t seed = 0; seed < 8; ++seed) {
    GraphBuilder g;
    const tflite::Model source = lower(*random_network(g, seed), {.nhwc_io = true});
    const auto model = model_of(source);
    std::vector<std::vector<at::Tensor>> samples;
    for (int i = 0; i < 4; ++i) samples.push_back({floats({1, 12, 12, 3})});
    NeutronQuantizer quantizer(NeutronTargetSpec("imxrt700"));
    const auto converted = calibrate_and_quantize(model, samples, quantizer);
    const tflite::Model program = lower(*converted);
    EXPECT_EQ(program.tensors[static_cast<size_t>(program.inputs[0])].shape, Sizes({1, 12, 12, 3})) << seed;
    EXPECT_EQ(program.tensors[static_cast<size_t>(program.inputs[0])].type, Type::kInt8) << seed;
    EXPECT_EQ(count(program, kTranspose), 0) << seed;
    EXPECT_EQ(count(program, kPad), count(source, kPad)) << seed;
    // The int8 file is a model as well, and it computes what it did.
    const auto again = model_of(program);
    EXPECT_TRUE(is_quantized(*again));
    EXPECT_EQ(again->graph().placeholders()[0]->sizes(), Sizes({1, 12, 12, 3}));
    const at::Tensor wanted = integer::Executor(program).run_dequantized(samples[0])[0];
    // A step of the logits is up to a tenth of a share.
    EXPECT_LE((again->run(samples[0])[0] - wanted).abs().max().item<double>(), 0.1) << seed;
  }
}

TEST(TfliteModel, TakesAnyBatch) {
  const at::NoGradGuard no_grad;
  GraphBuilder g;
  const auto model = model_of(lower(*random_network(g, 3), {.nhwc_io = true}));
  make_batch_flexible(*model);
  const at::Tensor images = floats({5, 12, 12, 3});
  const at::Tensor all = model->run({images})[0];
  for (int64_t i = 0; i < 5; ++i) {
    EXPECT_TRUE(at::allclose(all.narrow(0, i, 1), model->run({images.narrow(0, i, 1)})[0], 1e-4, 1e-5));
  }
}

// ---- paddings in front of windows
// -------------------------------------------------------------------------------------

TEST(Lowering, PaddingsAreSameWhereTFLiteHasThem) {
  const at::NoGradGuard no_grad;
  struct Case {
    Sizes by;
    int64_t stride;
    bool is_same;
  };
  for (const Case& each : std::vector<Case>{
           {{0, 1, 0, 1}, 2, true}, {{1, 1, 1, 1}, 1, true}, {{1, 0, 1, 0}, 2, false}, {{2, 2, 2, 2}, 1, false}}) {
    GraphBuilder g;
    Node* x = g.call("aten.pad.default", {g.input({1, 3, 8, 8}), each.by, std::string("constant"), 0.0});
    const auto model = g.finish(
        {g.call("aten.conv2d.default", {x, g.parameter("w", {4, 3, 3, 3}), Arg(), Sizes{each.stride, each.stride}})});
    const tflite::Model program = lower(*model);
    EXPECT_EQ(count(program, kPad), each.is_same ? 0 : 1);
    const at::Tensor wanted = model->run(g.inputs())[0];
    EXPECT_TRUE(at::allclose(integer::Executor(program).run(g.inputs())[0], wanted, 1e-4, 1e-5));
  }
}

// ---- what is refused ----------------------------------------------------------------------------------------------

// Files in order whose programs are not: each change of a number, an operand or an operator is taken or refused.
TEST(TfliteModel, ProgramsWithoutSenseAreErrors) {
  const at::NoGradGuard no_grad;
  int taken = 0, refused = 0;
  for (int64_t seed = 0; seed < 6; ++seed) {
    GraphBuilder g;
    const tflite::Model good = lower(*random_network(g, seed), {.nhwc_io = true});
    std::minstd_rand random(static_cast<unsigned>(seed) + 1);
    const auto below = [&](size_t count) { return static_cast<size_t>(random() % count); };
    for (int change = 0; change < 80; ++change) {
      tflite::Model program = good;
      tflite::Operator& op = program.operators[below(program.operators.size())];
      tflite::Tensor& tensor = program.tensors[below(program.tensors.size())];
      int32_t* const numbers[] = {&op.options.stride_h, &op.options.filter_w, &op.options.axis, &op.options.dilation_h};
      switch (below(6)) {
        case 0:
          if (!tensor.shape.empty()) tensor.shape[below(tensor.shape.size())] = static_cast<int64_t>(below(9));
          break;
        case 1:
          tensor.shape.insert(tensor.shape.begin() + static_cast<ptrdiff_t>(below(tensor.shape.size() + 1)), 1);
          break;
        case 2:
          if (!tensor.shape.empty()) tensor.shape.pop_back();
          break;
        case 3:
          *numbers[below(4)] = static_cast<int32_t>(below(12)) - 2;
          break;
        case 4:
          if (!op.inputs.empty())
            op.inputs[below(op.inputs.size())] = static_cast<int32_t>(below(program.tensors.size()));
          break;
        default:
          op.code = tflite::op_codes()[below(tflite::op_codes().size())];
          op.options = {};
      }
      if (tensor.is_constant) tensor.data.resize(static_cast<size_t>(tensor.numel() * tflite::type_size(tensor.type)));
      try {
        model_of(program);
        ++taken;
      } catch (const Error&) {
        ++refused;
      }
    }
  }
  EXPECT_GT(taken, 50);
  EXPECT_GT(refused, 100);
}

TEST(TfliteModel, SaysWhatItCannotTake) {
  test::Program cast(kCast);
  cast.options().in_type = Type::kInt32;
  cast.options().out_type = Type::kFloat32;
  cast.input(test::integers({1, 2}));
  cast.output({2}, Type::kFloat32);
  EXPECT_NO_THROW(model_of(cast.model()));
  test::Program levels(kCast);
  levels.options().in_type = Type::kInt8;
  levels.input(at::zeros({2}, at::kChar), {{0.5F}, {3}});
  levels.output({2}, Type::kFloat32);
  EXPECT_TRUE(test::fails_with([&] { model_of(levels.model()); },
                               "[CAST 't1'] has no counterpart among PyTorch's operators: a cast of levels"));
  test::Program convolution(kConv2d);
  convolution.input(floats({1, 6, 6, 3}));
  convolution.constant(floats({4, 3, 3, 3}));
  convolution.output({1, 5, 5, 4}, Type::kFloat32);  // it gives 4 by 4
  EXPECT_TRUE(
      test::fails_with([&] { model_of(convolution.model()); }, "shape: expected [1, 4, 5, 5], got [1, 4, 4, 4]"));
  test::Program flat(kConv2d);
  flat.input(floats({6}));
  flat.constant(floats({4, 3, 3, 3}));
  flat.output({4}, Type::kFloat32);
  EXPECT_TRUE(test::fails_with([&] { model_of(flat.model()); }, "[CONV_2D 't2']"));
  test::Program slice(kSlice);
  slice.input(floats({6}));
  slice.constant(test::integers({0, 0, 0}));
  slice.constant(test::integers({1, 1, 1}));
  slice.output({1}, Type::kFloat32);
  EXPECT_TRUE(test::fails_with([&] { model_of(slice.model()); }, "[SLICE 't3']"));
  test::Program offset(kStridedSlice);
  offset.options().masks.offset = true;
  offset.input(floats({6}));
  for (const int32_t number : {2, 3, 1}) offset.constant(test::integers({number}));
  offset.output({3}, Type::kFloat32);
  EXPECT_TRUE(test::fails_with([&] { model_of(offset.model()); }, "end is counted from its beginning"));
  test::Program computed(kConv2d);
  computed.input(floats({1, 6, 6, 3}));
  computed.input(floats({4, 3, 3, 3}));
  computed.output({1, 4, 4, 4}, Type::kFloat32);
  EXPECT_TRUE(test::fails_with([&] { model_of(computed.model()); }, "is computed by the program"));
}

}  // namespace
}  // namespace octet::tflite_model_tests

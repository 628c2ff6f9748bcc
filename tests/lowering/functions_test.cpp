// What TFLite has no operator for, by others in float: functions, distances, bags, layers along a sequence.

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <limits>

#include "octet/lowering/complex_parts.h"
#include "tests/engine/graph_builder.h"
#include "tests/lowering/expect_lowered.h"
#include "tests/support/error_test.h"

namespace octet {
namespace {

using test::expect_lowered;
using test::GraphBuilder;
using Ints = std::vector<int64_t>;

TEST(Functions, Activations) {
  at::manual_seed(1);
  GraphBuilder g;
  Node* x = g.input({2, 3, 40});
  expect_lowered(g,
                 {g.call("aten.threshold.default", {x, 0.1, -2.0}), g.call("aten.hardshrink.default", {x, 0.4}),
                  g.call("aten.softshrink.default", {x, 0.4})},
                 "GREATER SELECT_V2 ABS GREATER SELECT_V2 MINIMUM MAXIMUM SUB");
  GraphBuilder soft;
  x = soft.input({2, 3, 40});
  expect_lowered(soft,
                 {soft.call("aten.log_sigmoid.default", {x}), soft.call("aten.softplus.default", {x, 2.0, 1.0}),
                  soft.call("aten.mish.default", {x})},
                 "NEG ABS NEG EXP ADD LOG MAXIMUM ADD NEG MUL ABS NEG EXP ADD LOG MAXIMUM ADD MUL GREATER SELECT_V2 "
                 "ABS NEG EXP ADD LOG MAXIMUM ADD TANH MUL");
  GraphBuilder steep;
  x = steep.input({2, 3, 40});
  const std::string one = "MINIMUM MUL EXP SUB MUL MAXIMUM MUL ADD";
  expect_lowered(steep,
                 {steep.call("aten.selu.default", {x}), steep.call("aten.celu.default", {x, 0.5}),
                  steep.call("aten.elu.default", {x, 0.7})},
                 one + " " + one + " " + one);
}

TEST(Functions, OfOneNumber) {
  at::manual_seed(2);
  GraphBuilder g;
  Node* x = g.input({2, 30});
  Node* above = g.call("aten.add.Tensor", {g.call("aten.abs.default", {x}), 1.5});
  Node* within = g.call("aten.tanh.default", {x});
  std::vector<Arg> results;
  for (const char* name : {"sinh", "cosh", "asinh", "expm1", "exp2", "tan", "trunc", "frac"}) {
    results.emplace_back(g.call(octet::str("aten.", name, ".default"), {within}));
  }
  for (const char* name : {"acosh", "log2", "log10", "log1p"}) {
    results.emplace_back(g.call(octet::str("aten.", name, ".default"), {above}));
  }
  results.emplace_back(g.call("aten.atanh.default", {g.call("aten.mul.Tensor", {within, 0.9})}));
  for (const char* name : {"asin", "acos", "atan", "erf"}) {
    results.emplace_back(g.call(octet::str("aten.", name, ".default"), {within}));
  }
  Node* wide = g.call("aten.mul.Tensor", {x, 3.0});
  for (const char* name : {"atan", "erf", "special_erf"}) {
    results.emplace_back(g.call(octet::str("aten.", name, ".default"), {wide}));
  }
  const auto module = g.finish(std::move(results));
  const std::vector<at::Tensor> wanted = module->run(g.inputs());
  const std::vector<at::Tensor> got = integer::Executor(lower(*module)).run(g.inputs());
  for (size_t i = 0; i < wanted.size(); ++i) test::expect_equal(got[i], wanted[i], octet::str("result ", i));
}

TEST(Functions, AnglesOfAllQuadrants) {
  GraphBuilder g;
  Node* y = g.input({9, 1});
  Node* x = g.input({1, 9});
  const auto module = g.finish({g.call("aten.atan2.default", {y, x})});
  const at::Tensor ends = at::linspace(-4.0, 4.0, 9);
  const std::vector<at::Tensor> inputs = {ends.view({9, 1}), (ends * ends.abs()).view({1, 9})};
  test::expect_equal(integer::Executor(lower(*module)).run(inputs)[0], module->run(inputs)[0], "atan2");
}

TEST(Functions, QuotientsThatAreCut) {
  GraphBuilder g;
  Node* x = g.input({2, 3, 12});
  Node* place = g.call("aten.sub.Tensor", {g.call("aten.argmax.default", {x, 2}), 5});
  expect_lowered(g,
                 {g.call("aten.div.Tensor_mode", {place, 4}, {{"rounding_mode", Arg("trunc")}}),
                  g.call("aten.div.Scalar_mode", {x, 0.3}, {{"rounding_mode", Arg("trunc")}}),
                  g.call("aten.fmod.Scalar", {x, 0.3})},
                 "ARG_MAX SUB CAST FLOOR_DIV MUL SUB LESS NOT_EQUAL LOGICAL_AND CAST ADD CAST DIV ABS FLOOR SIGN MUL "
                 "DIV ABS FLOOR SIGN MUL MUL SUB");
}

// TFLite has no complex numbers: two values stand for each.
TEST(Functions, ComplexNumbers) {
  at::manual_seed(5);
  GraphBuilder g;
  Node* turn = g.call("aten.unsqueeze.default", {g.tensor("turn", at::randn({6, 4}, at::kComplexFloat)), int64_t{0}});
  Node* pairs = g.call("aten.view_as_complex.default", {g.input({1, 6, 4, 2})});
  Node* sound = g.input({1, 64});
  Node* spectrum = g.call("aten.fft_rfft.default", {sound, Arg(), int64_t{-1}, "ortho"});
  Node* window = g.call("aten.hann_window.default", {int64_t{12}});
  Node* spectra = g.call("aten.stft.default", {sound, int64_t{16}, int64_t{4}, int64_t{12}, window, true, Arg(), true});
  Node* length = g.call("aten.abs.default", {spectra});
  const auto module = g.finish(
      {g.call("aten.view_as_real.default", {g.call("aten.mul.Tensor", {pairs, turn})}),
       g.call("aten.real.default", {spectrum}), g.call("aten.imag.default", {spectrum}), length,
       g.call("aten.pow.Tensor_Scalar", {length, int64_t{2}}),
       g.call("aten.view_as_real.default", {g.call("aten.transpose.int", {spectra, int64_t{1}, int64_t{2}})})});
  const std::vector<at::Tensor> wanted = module->run(g.inputs());
  const std::vector<at::Tensor> got = integer::Executor(lower(*module)).run(g.inputs());
  ASSERT_EQ(got.size(), wanted.size());
  for (size_t i = 0; i < got.size(); ++i) {
    ASSERT_EQ(got[i].sizes(), wanted[i].sizes()) << i;
    EXPECT_TRUE(at::allclose(got[i], wanted[i], 1e-4, 1e-4)) << i;
  }
}

// A file says how long a transform is: its matrix may be beyond any memory.
TEST(Functions, TransformsOfManyPlacesStay) {
  GraphBuilder g;
  Node* spectrum = g.call("aten.fft_rfft.default", {g.input({1, 20000})});
  const auto module = g.finish({g.call("aten.real.default", {spectrum})});
  EXPECT_FALSE(lowering::decompose_complex(*module, lowering::ComplexSources::kSpectra));
}

// TFLite's QUANTIZE wraps around where value / scale leaves int32: -inf would become the highest level.
TEST(Functions, WhatLiesFarFromAGridIsCutInFrontOfIt) {
  GraphBuilder g;
  Node* x = g.input({2, 6});
  Node* far = g.tensor("far", at::tensor({-std::numeric_limits<float>::infinity(), -1e9F, 1e9F, 0.0F, 1.0F, -3e38F}));
  Node* masked = g.call("aten.where.self", {g.call("aten.gt.Scalar", {x, 0.0}), x, far});
  Node* levels = g.call("quantized_decomposed.quantize_per_tensor.default",
                        {masked, 0.01, int64_t{-5}, int64_t{-128}, int64_t{127}, static_cast<int64_t>(at::kChar)});
  const auto module = g.finish({levels});
  const tflite::Model program = lower(*module);
  EXPECT_EQ(test::operators_of(program), "GREATER SELECT_V2 MAXIMUM MINIMUM QUANTIZE");
  EXPECT_TRUE(at::equal(integer::Executor(program).run(g.inputs())[0], module->run(g.inputs())[0]));
}

TEST(Functions, Distances) {
  at::manual_seed(3);
  GraphBuilder g;
  Node* a = g.input({2, 5, 6});
  Node* b = g.input({2, 4, 6});
  Node* c = g.input({2, 6});
  Node* d = g.input({2, 6});
  const auto module =
      g.finish({g.call("aten.cdist.default", {a, b, 2.0}), g.call("aten.cdist.default", {a, b, 1.0}),
                g.call("aten.cosine_similarity.default", {c, d, 1, 1e-8}),
                g.call("aten.cosine_similarity.default", {a, g.call("aten.slice.Tensor", {b, 1, 0, 1}), -1}),
                g.call("aten.pairwise_distance.default", {c, d}),
                g.call("aten.pairwise_distance.default", {c, d, 1.0, 1e-6, true})});
  const std::vector<at::Tensor> wanted = module->run(g.inputs());
  const std::vector<at::Tensor> got = integer::Executor(lower(*module)).run(g.inputs());
  for (size_t i = 0; i < wanted.size(); ++i) test::expect_equal(got[i], wanted[i], octet::str("result ", i));
}

TEST(Functions, ProductsOfAll) {
  at::manual_seed(4);
  GraphBuilder g;
  Node* x = g.input({2, 7, 3});
  const auto module = g.finish({g.call("aten.prod.dim_int", {x, 1}), g.call("aten.prod.dim_int", {x, -1, true}),
                                g.call("aten.prod.default", {x})});
  const std::vector<at::Tensor> wanted = module->run(g.inputs());
  const std::vector<at::Tensor> got = integer::Executor(lower(*module)).run(g.inputs());
  for (size_t i = 0; i < wanted.size(); ++i) test::expect_equal(got[i], wanted[i], octet::str("result ", i));
}

TEST(Functions, BagsOfWords) {
  at::manual_seed(5);
  GraphBuilder g;
  Node* places = g.item(g.call("aten.topk.default", {g.input({1, 12}), 6}), 1);
  Node* words = g.call("aten.reshape.default", {places, Ints{6}});
  Node* table = g.parameter("table", {12, 5});
  Node* offsets = g.tensor("offsets", at::arange(0, 6, 3, at::kLong));
  std::vector<Arg> results;
  for (const int64_t mode : {0, 1, 2}) {
    results.emplace_back(g.item(
        g.call("aten.embedding_bag.padding_idx", {table, words, offsets, false, mode, false, Arg(), false, Arg()}), 0));
  }
  expect_lowered(g, std::move(results),
                 "TOPK_V2 CAST RESHAPE GATHER RESHAPE SUM GATHER RESHAPE MEAN GATHER RESHAPE REDUCE_MAX");
}

TEST(Functions, BagsOfDifferentSizesAreRefused) {
  GraphBuilder g;
  Node* places = g.item(g.call("aten.topk.default", {g.input({1, 12}), 6}), 1);
  Node* words = g.call("aten.reshape.default", {places, Ints{6}});
  Node* offsets = g.tensor("offsets", at::tensor({0, 2}, at::kLong));
  const auto module =
      g.finish({g.item(g.call("aten.embedding_bag.padding_idx",
                              {g.parameter("table", {12, 5}), words, offsets, false, 0, false, Arg(), false, Arg()}),
                       0)});
  EXPECT_TRUE(test::fails_with([&] { lower(*module); }, "cannot be written as TFLite: bags of different sizes"));
}

// Indexed dimensions that are no neighbours come first in the result.
TEST(Functions, AnIndexOfDimensionsApart) {
  at::manual_seed(6);
  GraphBuilder g;
  Node* x = g.input({4, 3, 5, 2});
  Node* places =
      g.call("aten.reshape.default", {g.item(g.call("aten.topk.default", {g.input({1, 4}), 3}), 1), Ints{3}});
  expect_lowered(g, {g.call("aten.index.Tensor", {x, Arg(std::vector<Arg>{Arg(places), Arg(), Arg(places)})})},
                 "TOPK_V2 CAST RESHAPE LESS ADD SELECT_V2 LESS ADD SELECT_V2 MUL ADD TRANSPOSE RESHAPE GATHER");
}

TEST(Functions, SamplesOfAnImage) {
  at::manual_seed(7);
  for (const int64_t mode : {0, 1}) {
    for (const int64_t padding : {0, 1, 2}) {
      for (const bool aligned : {false, true}) {
        GraphBuilder g;
        Node* image = g.input({2, 3, 6, 5});
        Node* grid = g.call("aten.mul.Tensor", {g.input({2, 4, 7, 2}), 1.4});
        const auto module = g.finish({g.call("aten.grid_sampler.default", {image, grid, mode, padding, aligned})});
        const std::vector<at::Tensor> wanted = module->run(g.inputs());
        const std::vector<at::Tensor> got = integer::Executor(lower(*module)).run(g.inputs());
        EXPECT_TRUE(at::allclose(got[0], wanted[0], 1e-4, 1e-4)) << mode << padding << aligned;
      }
    }
  }
}

struct Sequence {
  std::string op;
  int64_t gates;
  int64_t layers;
  bool bidirectional, batch_first, biases;
};

class AlongASequence : public testing::TestWithParam<Sequence> {};

TEST_P(AlongASequence, GivesWhatTheLayersGive) {
  at::manual_seed(8);
  const Sequence& of = GetParam();
  constexpr int64_t kIn = 3, kHidden = 4, kSteps = 5;
  const int64_t directions = of.bidirectional ? 2 : 1;
  GraphBuilder g;
  std::vector<Arg> params;
  for (int64_t i = 0; i < of.layers * directions; ++i) {
    const int64_t in = i < directions ? kIn : kHidden * directions;
    params.emplace_back(g.parameter(octet::str("w", i), {of.gates * kHidden, in}));
    params.emplace_back(g.parameter(octet::str("v", i), {of.gates * kHidden, kHidden}));
    if (!of.biases) continue;
    params.emplace_back(g.parameter(octet::str("b", i), {of.gates * kHidden}));
    params.emplace_back(g.parameter(octet::str("c", i), {of.gates * kHidden}));
  }
  Node* x = g.input(of.batch_first ? Ints{2, kSteps, kIn} : Ints{kSteps, 2, kIn});
  const auto state = [&] { return Arg(g.input({of.layers * directions, 2, kHidden})); };
  Arg hx = state();
  if (of.op == "lstm") hx = Arg(std::vector<Arg>{hx, state()});
  Node* all = g.call("aten." + of.op + ".input",
                     {x, hx, Arg(params), of.biases, of.layers, 0.0, false, of.bidirectional, of.batch_first});
  std::vector<Arg> results = {g.item(all, 0), g.item(all, 1)};
  if (of.op == "lstm") results.emplace_back(g.item(all, 2));
  const auto module = g.finish(std::move(results));
  const std::vector<at::Tensor> wanted = module->run(g.inputs());
  const std::vector<at::Tensor> got = integer::Executor(lower(*module)).run(g.inputs());
  for (size_t i = 0; i < wanted.size(); ++i) test::expect_equal(got[i], wanted[i], octet::str("result ", i));
}

INSTANTIATE_TEST_SUITE_P(
    Functions, AlongASequence,
    testing::Values(Sequence{"lstm", 4, 1, false, true, true}, Sequence{"lstm", 4, 2, true, false, true},
                    Sequence{"lstm", 4, 2, false, false, false}, Sequence{"gru", 3, 2, true, true, true},
                    Sequence{"gru", 3, 1, false, false, false}, Sequence{"rnn_tanh", 1, 2, false, true, true},
                    Sequence{"rnn_relu", 1, 1, true, true, true}),
    [](const auto& test) { return octet::str(test.param.op, "_", test.index); });

}  // namespace
}  // namespace octet

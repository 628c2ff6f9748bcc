// Comparisons, choices, order and computed places: from ATen to a program, and from a program to a graph.

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "octet/formats/npy.h"
#include "octet/integer/executor.h"
#include "octet/lowering/lowering.h"
#include "octet/lowering/program_graph.h"
#include "tests/engine/graph_builder.h"
#include "tests/lowering/expect_lowered.h"
#include "tests/support/error_test.h"
#include "tests/support/test_data.h"

namespace octet {
namespace {

using test::expect_equal;
using test::expect_lowered;
using test::GraphBuilder;
using Ints = std::vector<int64_t>;

TEST(Choices, Comparisons) {
  GraphBuilder g;
  Node* x = g.input({2, 3, 4});
  Node* y = g.input({2, 3, 4});
  Node* line = g.parameter("line", {4});
  expect_lowered(
      g,
      {g.call("aten.gt.Scalar", {x, 0.3}), g.call("aten.le.Tensor", {x, y}), g.call("aten.lt.Tensor", {x, line}),
       g.call("aten.ne.Scalar", {x, 0.0}), g.call("aten.isnan.default", {y})},
      "GREATER LESS_EQUAL LESS NOT_EQUAL NOT_EQUAL");
}

TEST(Choices, LogicAndSelections) {
  GraphBuilder g;
  Node* x = g.input({2, 3, 4});
  Node* low = g.call("aten.gt.Scalar", {x, -0.5});
  Node* high = g.call("aten.lt.Scalar", {x, 0.5});
  Node* inside = g.call("aten.logical_and.default", {low, high});
  Node* outside = g.call("aten.bitwise_not.default", {inside});
  expect_lowered(g,
                 {g.call("aten.where.ScalarOther", {inside, x, 0.0}),
                  g.call("aten.masked_fill.Scalar", {x, outside, -7}), g.call("aten.any.dim", {outside, 1}),
                  g.call("aten.all.dim", {outside, 2, true}), g.call("aten.sum.dim_IntList", {inside, Ints{2}})},
                 "GREATER LESS LOGICAL_AND LOGICAL_NOT SELECT_V2 SELECT_V2 REDUCE_ANY REDUCE_ALL CAST SUM");
}

// As a padding mask of a transformer is made.
TEST(Choices, MasksInPlace) {
  GraphBuilder g;
  Node* x = g.input({2, 5, 6});
  Node* padded = g.call("aten.lt.Scalar", {x, -0.5});
  Node* scores = g.call("aten.neg.default", {x});
  expect_lowered(g, {g.call("aten.masked_fill_.Scalar", {scores, padded, -7})}, "LESS SUB SELECT_V2");
}

TEST(Choices, PlacesOfExtremes) {
  GraphBuilder g;
  Node* x = g.input({2, 5, 3, 4});
  Node* most = g.call("aten.max.dim", {x, 1});
  expect_lowered(g,
                 {g.call("aten.argmax.default", {x, 1}), g.call("aten.argmin.default", {x, -1, true}),
                  g.call("aten.argmax.default", {x}), g.item(most, 0), g.item(most, 1)},
                 "REDUCE_MAX ARG_MAX ARG_MAX ARG_MIN RESHAPE RESHAPE ARG_MAX");
}

TEST(Choices, TheGreatestInOrder) {
  GraphBuilder g;
  Node* x = g.input({2, 9});
  Node* image = g.input({2, 6, 4});
  Node* best = g.call("aten.topk.default", {x, 3});
  Node* least = g.call("aten.topk.default", {image, 2, 1, false});
  Node* sorted = g.call("aten.sort.default", {x, -1, true});
  expect_lowered(g, {g.item(best, 0), g.item(best, 1), g.item(least, 0), g.item(least, 1), g.item(sorted, 1)},
                 "TOPK_V2 CAST TRANSPOSE NEG TOPK_V2 NEG TRANSPOSE CAST TRANSPOSE TOPK_V2 CAST");
}

TEST(Choices, ValuesByComputedPlaces) {
  GraphBuilder g;
  Node* scores = g.input({1, 9});
  Node* boxes = g.input({1, 9, 4});
  Node* table = g.parameter("table", {9, 5});
  Node* places = g.item(g.call("aten.topk.default", {scores, 3}), 1);
  Node* wide = g.call("aten.expand.default", {g.call("aten.unsqueeze.default", {places, -1}), Ints{1, 3, 4}});
  Node* row = g.call("aten.select.int", {places, 0, 0});
  expect_lowered(
      g,
      {g.call("aten.gather.default", {boxes, 1, wide}), g.call("aten.embedding.default", {table, places}),
       g.call("aten.index_select.default", {boxes, 1, row}),
       g.call("aten.index.Tensor", {boxes, Arg(std::vector<Arg>{Arg(), Arg(row)})})},
      "TOPK_V2 CAST RESHAPE BROADCAST_TO SLICE RESHAPE MUL ADD RESHAPE GATHER GATHER GATHER LESS ADD SELECT_V2 "
      "GATHER");
}

TEST(Choices, WholeNumbers) {
  GraphBuilder g;
  Node* x = g.input({2, 3, 12});
  Node* place = g.call("aten.argmax.default", {x, 2});
  expect_lowered(g,
                 {g.call("aten.remainder.Scalar", {place, 4}), g.call("aten.floor_divide.default", {place, 4}),
                  g.call("aten.div.Tensor", {place, 4}), g.call("aten.one_hot.default", {place, 12}),
                  g.call("aten.add.Tensor", {place, 1}), g.call("aten.to.dtype", {place, at::kFloat})},
                 "ARG_MAX FLOOR_MOD CAST FLOOR_DIV CAST CAST DIV RESHAPE EQUAL CAST ADD CAST");
}

TEST(Choices, WholeNumbersCutOffAndNegated) {
  GraphBuilder g;
  Node* place = g.call("aten.argmax.default", {g.input({2, 3, 12}), 2});
  expect_lowered(g,
                 {g.call("aten.clamp.default", {place, 2, 7}), g.call("aten.clamp.default", {place, 3}),
                  g.call("aten.clamp.default", {place, 0, 6}), g.call("aten.neg.default", {place})},
                 "ARG_MAX MINIMUM MAXIMUM MAXIMUM MINIMUM MAXIMUM SUB");
}

TEST(Choices, SumsRepetitionsAndTurns) {
  GraphBuilder g;
  Node* x = g.input({2, 3, 4});
  expect_lowered(g,
                 {g.call("aten.cumsum.default", {x, 1}), g.call("aten.repeat.default", {x, Ints{2, 1, 1, 3}}),
                  g.call("aten.flip.default", {x, Ints{1, 2}}), g.call("aten.ceil.default", {x}),
                  g.call("aten.reciprocal.default", {x})},
                 "CUMSUM RESHAPE TILE REVERSE_V2 REVERSE_V2 NEG FLOOR NEG DIV");
}

TEST(Choices, BoundsScattersAndFiveDimensions) {
  GraphBuilder g;
  Node* x = g.input({2, 6});
  Node* volume = g.input({2, 1, 3, 4, 2});
  Node* places = g.item(g.call("aten.topk.default", {x, 2}), 1);
  expect_lowered(
      g,
      {g.call("aten.clamp.Tensor", {x, g.parameter("low", {6}), g.parameter("high", {6})}),
       g.call("aten.scatter.value", {x, 1, places, 0.5}), g.call("aten.logsumexp.default", {x, Ints{1}}),
       g.call("aten.gt.Tensor", {volume, g.parameter("levels", {4, 1})})},
      "TOPK_V2 CAST MAXIMUM MINIMUM RESHAPE EQUAL REDUCE_ANY RESHAPE SELECT_V2 RESHAPE REDUCE_MAX SUB EXP SUM LOG ADD "
      "RESHAPE BROADCAST_TO GREATER");
}

TEST(Choices, ValuesAtComputedPlaces) {
  GraphBuilder g;
  Node* x = g.input({2, 5, 3});
  Node* order = g.call("aten.argsort.default", {x, 1});
  Node* rows = g.call("aten.slice.Tensor", {g.call("aten.argsort.default", {g.input({4})}), 0, 0, 2});
  Node* same = g.call("aten.floor_divide.Scalar", {order, 2});  // the last of several stays
  expect_lowered(g,
                 {g.call("aten.scatter.src", {x, 1, order, g.input({2, 5, 3})}),
                  g.call("aten.scatter_add.default", {x, 1, order, g.input({2, 5, 3})}),
                  g.call("aten.scatter.src", {x, 1, same, g.input({2, 5, 3})}),
                  g.call("aten.index_copy.default", {g.input({2, 3, 4, 5}), 2, rows, g.input({2, 3, 2, 5})})},
                 "TRANSPOSE NEG TOPK_V2 CAST TRANSPOSE NEG TOPK_V2 CAST SLICE CAST FLOOR_DIV CAST RESHAPE "
                 "EQUAL RESHAPE SELECT_V2 REDUCE_MAX RESHAPE EQUAL GREATER_EQUAL SELECT_V2 SUM SELECT_V2 "
                 "RESHAPE EQUAL RESHAPE SELECT_V2 SUM ADD RESHAPE EQUAL RESHAPE SELECT_V2 REDUCE_MAX RESHAPE "
                 "EQUAL GREATER_EQUAL SELECT_V2 SUM SELECT_V2 LESS ADD SELECT_V2 RESHAPE EQUAL RESHAPE "
                 "RESHAPE SELECT_V2 REDUCE_MAX RESHAPE EQUAL GREATER_EQUAL SELECT_V2 SUM SELECT_V2 RESHAPE");
}

TEST(Choices, ValuesPutByComputedIndices) {
  GraphBuilder g;
  Node* x = g.input({2, 4, 3});
  Node* place = g.call("aten.argmax.default", {g.input({1, 4}), 1});
  Node* low = g.call("aten.lt.Scalar", {x, 0.0});
  const auto put = [&](std::vector<Arg> indices, Node* values) {
    return g.call("aten.index_put.default", {x, Arg(std::move(indices)), values});
  };
  expect_lowered(g,
                 {put({Arg(), Arg(place)}, g.input({2, 1, 3})), put({Arg(low)}, g.parameter("number", {1})),
                  g.call("aten.index_add.default", {x, 1, place, g.input({2, 1, 3})})},
                 "ARG_MAX LESS RESHAPE EQUAL RESHAPE SELECT_V2 REDUCE_MAX RESHAPE EQUAL GREATER_EQUAL "
                 "SELECT_V2 SUM SELECT_V2 RESHAPE RESHAPE RESHAPE SELECT_V2 RESHAPE RESHAPE EQUAL RESHAPE "
                 "SELECT_V2 SUM ADD");
}

TEST(Choices, ProductsSoFar) {
  GraphBuilder g;
  expect_lowered(g, {g.call("aten.cumprod.default", {g.input({2, 5, 3}), 1})},
                 "SLICE SLICE SLICE MUL CONCATENATION SLICE SLICE SLICE MUL CONCATENATION SLICE SLICE SLICE MUL "
                 "CONCATENATION");
}

TEST(Choices, NumbersInPlaceOfNone) {
  GraphBuilder g;
  Node* x = g.input({2, 3});
  Node* none = g.call("aten.div.Tensor", {g.call("aten.relu.default", {x}), g.call("aten.relu.default", {x})});
  Node* infinite = g.call("aten.log.default", {g.call("aten.relu.default", {x})});
  expect_lowered(
      g, {g.call("aten.nan_to_num.default", {none}), g.call("aten.nan_to_num.default", {infinite, 0.5, 7.0, -9.0})},
      "RELU RELU DIV RELU LOG NOT_EQUAL SELECT_V2 EQUAL SELECT_V2 EQUAL SELECT_V2 NOT_EQUAL SELECT_V2 EQUAL "
      "SELECT_V2 EQUAL SELECT_V2");
}

// On images, whose channels the program has last.
TEST(Choices, OfImages) {
  GraphBuilder g;
  Node* x = g.conv2d("conv", g.input({2, 3, 6, 5}), 3, 4);
  Node* mask = g.call("aten.gt.Scalar", {x, 0.0});
  Node* kept = g.call("aten.where.ScalarOther", {mask, x, -1.0});
  Node* sums = g.call("aten.cumsum.default", {kept, 1});
  const auto module = g.finish({g.conv2d("second", g.call("aten.flip.default", {sums, Ints{3}}), 4, 2),
                                g.call("aten.argmax.default", {sums, 1})});
  const std::vector<at::Tensor> wanted = module->run(g.inputs());
  const std::vector<at::Tensor> got = integer::Executor(lower(*module)).run(g.inputs());
  EXPECT_TRUE(at::allclose(got[0], wanted[0], 1e-4, 1e-4));
  EXPECT_TRUE(at::equal(got[1], wanted[1]));
}

TEST(Choices, WhatIsKnownBeforehand) {
  GraphBuilder g;
  Node* x = g.input({2, 3});
  Node* ones = g.call("aten.full_like.default", {x, 2.0});
  Node* line = g.call("aten.arange.default", {3});
  Node* whole = g.call("aten.sum.dim_IntList", {g.call("aten.gt.Scalar", {x, 0.0}), Ints{1}, true});
  expect_lowered(g,
                 {g.call("aten.add.Tensor", {x, ones}), g.call("aten.lt.Tensor", {x, line}),
                  g.call("aten.mul.Tensor", {x, whole})},
                 "GREATER CAST SUM ADD CAST RESHAPE LESS CAST MUL");
}

TEST(Choices, AnIndexByAMaskIsRefused) {
  GraphBuilder g;
  Node* x = g.input({1, 6});
  const auto module =
      g.finish({g.call("aten.index.Tensor", {x, Arg(std::vector<Arg>{g.call("aten.gt.Scalar", {x, 0.0})})})});
  EXPECT_TRUE(test::fails_with([&] { lower(*module); }, "cannot be written as TFLite: an index by a mask"));
}

// Programs of others come back as graphs that give LiteRT's results, in float and lowered again.
TEST(Choices, ProgramsComeBackAsGraphs) {
  size_t seen = 0;
  for (const auto& entry : std::filesystem::directory_iterator(test::data("litert/choices"))) {
    if (entry.path().extension() != ".tflite") continue;
    const std::string base = entry.path().string().substr(0, entry.path().string().size() - 7);
    if (base.ends_with("cumsum_exclusive")) continue;  // PyTorch has none
    const auto graph = load_tflite(entry.path().string());
    std::vector<at::Tensor> inputs;
    for (size_t j = 0; std::filesystem::exists(octet::str(base, "_in_", j, ".npy")); ++j) {
      inputs.push_back(read_npy(octet::str(base, "_in_", j, ".npy")));
    }
    const std::vector<at::Tensor> got = graph->run(inputs);
    const std::vector<at::Tensor> again = integer::Executor(lower(*graph)).run(inputs);
    for (size_t j = 0; j < got.size(); ++j) {
      const at::Tensor wanted = read_npy(octet::str(base, "_out_", j, ".npy"));
      const bool is_place_of_equals = base.find("topk") != std::string::npos && j == 1;  // PyTorch says of none of them
      if (!is_place_of_equals) expect_equal(got[j].to(wanted.scalar_type()), wanted, base);
      expect_equal(again[j].to(wanted.scalar_type()), wanted, base + ", lowered again");
    }
    ++seen;
  }
  EXPECT_GE(seen, 50U);
}

}  // namespace
}  // namespace octet

#include "octet/lowering/batch.h"

#include <gtest/gtest.h>
#include <torch/nn/modules/linear.h>
#include <torch/nn/modules/rnn.h>

#include "octet/graph/match.h"
#include "octet/graph/record.h"
#include "tests/graph/expect_error.h"

namespace octet {
namespace {

namespace nn = torch::nn;
using test::expect_error;
using Ints = std::vector<int64_t>;

std::shared_ptr<GraphModule> of(const std::function<at::Tensor(const at::Tensor&)>& forward, const Ints& sizes) {
  return record([&](const Tensors& in) { return Tensors{forward(in[0])}; }, {at::randn(sizes)}, {});
}

// A batch gives the rows that its samples give one at a time.
void expect_rows(GraphModule& program, const Ints& sample, const Ints& batches = {1, 2, 5}) {
  for (const int64_t batch : batches) {
    Ints sizes = sample;
    sizes[0] = batch;
    const at::Tensor x = at::randn(sizes);
    const at::Tensor all = program.forward(x);
    ASSERT_EQ(all.size(0), batch);
    for (int64_t i = 0; i < batch; ++i) {
      EXPECT_TRUE(at::allclose(all.slice(0, i, i + 1), program.forward(x.slice(0, i, i + 1)), 1e-4, 1e-5)) << batch;
    }
  }
}

TEST(Batch, BakedViews) {
  const auto fc = at::randn({10, 128});
  auto program = of([&](const at::Tensor& x) { return at::linear(x.relu().view({1, 128}), fc); }, {1, 8, 4, 4});
  EXPECT_THROW(program->forward(at::randn({2, 8, 4, 4})), Error);
  make_batch_flexible(*program);
  EXPECT_EQ(program->graph().find("view")->arg("size").to_ints(), (Ints{-1, 128}));
  EXPECT_EQ(program->graph().find("view")->sizes(), (Ints{1, 128}));  // metas stay those of the example batch
  expect_rows(*program, {1, 8, 4, 4});
}

TEST(Batch, ViewsThatWouldRunAndMixSamples) {
  auto program = of([&](const at::Tensor& x) { return x.view({1, -1}); }, {1, 8, 4});
  EXPECT_EQ(program->forward(at::randn({2, 8, 4})).sizes(), (at::IntArrayRef{1, 64}));  // silently wrong
  make_batch_flexible(*program);
  expect_rows(*program, {1, 8, 4});
}

TEST(Batch, ShuffleMergeAndSplit) {
  auto shuffle = of(
      [](const at::Tensor& x) {
        return x.view({1, 2, 4, 3, 3}).transpose(1, 2).contiguous().reshape({1, 8, 3, 3});
      },
      {1, 8, 3, 3});
  make_batch_flexible(*shuffle);
  expect_rows(*shuffle, {1, 8, 3, 3});
  // Frames join the batch for a while: [1, 4, 6] -> [4, 6] -> [1, 4, 6]
  auto frames = of([](const at::Tensor& x) { return x.reshape({4, 6}).softmax(-1).view({1, 4, 6}); }, {1, 4, 6});
  make_batch_flexible(*frames);
  expect_rows(*frames, {1, 4, 6});
  // An example batch other than 1.
  auto three = of([](const at::Tensor& x) { return x.view({3, 2, 6}).mean(1).reshape({3, 6}); }, {3, 12});
  make_batch_flexible(*three);
  expect_rows(*three, {3, 12});
}

TEST(Batch, AttentionWithClassToken) {
  const at::Tensor token = at::randn({1, 1, 8});
  const at::Tensor qkv = at::randn({24, 8});
  auto program = record(
      [&](const Tensors& in) {
        at::Tensor x = at::cat({token.expand({1, -1, -1}), in[0]}, 1);                     // [1, 5, 8]
        at::Tensor y = at::linear(x, qkv).view({1, 5, 3, 2, 4}).permute({2, 0, 3, 1, 4});  // [3, 1, 2, 5, 4]
        const auto parts = y.unbind(0);
        at::Tensor scores = at::matmul(parts[0], parts[1].transpose(-2, -1)).softmax(-1);
        at::Tensor mixed = at::matmul(scores, parts[2]).transpose(1, 2).reshape({1, 5, 8});
        return Tensors{mixed.select(1, 0)};
      },
      {at::randn({1, 4, 8})}, {{"token", token}, {"qkv", qkv}});
  make_batch_flexible(*program);
  program->verify();
  ASSERT_NE(program->graph().find("batch"), nullptr) << program->graph().text();
  expect_rows(*program, {1, 4, 8});
}

// A .tflite has one batch: what the program reads of it is a number there.
TEST(Batch, SettledSizes) {
  const at::Tensor token = at::randn({1, 1, 8});
  auto program = record(
      [&](const Tensors& in) {
        return Tensors{at::cat({token.expand({1, -1, -1}), in[0]}, 1)};
      },
      {at::randn({1, 4, 8})}, {});
  make_batch_flexible(*program);
  propagate_shapes(*program, {at::randn({3, 4, 8})});
  ASSERT_NE(program->graph().find("batch"), nullptr);
  settle_sizes(*program);
  EXPECT_EQ(program->graph().find("batch"), nullptr);
  const at::Tensor x = at::randn({3, 4, 8});
  EXPECT_TRUE(program->forward(x).equal(at::cat({token.expand({3, -1, -1}), x}, 1)));
}

TEST(Batch, InitialStatesOfRecurrentNets) {
  struct Net : nn::Module {
    Net() : gru(register_module("gru", nn::GRU(nn::GRUOptions(4, 6).num_layers(2).batch_first(true)))) {}
    at::Tensor forward(const at::Tensor& x) { return std::get<0>(gru->forward(x)).select(1, -1); }
    nn::GRU gru;
  } net;
  auto program = export_module(net, {at::randn({1, 5, 4})});
  make_batch_flexible(*program);
  EXPECT_EQ(program->graph().find("zeros")->arg("size").text(), "[2, %batch, 6]");
  expect_rows(*program, {1, 5, 4});
  // The state stored as a constant instead.
  const at::Tensor state = at::randn({2, 1, 6});
  auto stored = export_module(
      net, [&](const Tensors& in) { return Tensors{std::get<0>(net.gru->forward(in[0], state)).select(1, -1)}; },
      {at::randn({1, 5, 4})});
  make_batch_flexible(*stored);
  expect_rows(*stored, {1, 5, 4});
}

TEST(Batch, PlainNetsAreLeftAlone) {
  const auto weight = at::randn({4, 3, 3, 3});
  auto program = of(
      [&](const at::Tensor& x) {
        return (at::conv2d(x, weight).relu() + 1).mean({2, 3}).softmax(-1) + at::ones({1, 4});
      },
      {1, 3, 6, 6});
  const std::string before = program->graph().text();
  make_batch_flexible(*program);
  EXPECT_EQ(program->graph().text(), before);
  expect_rows(*program, {1, 3, 6, 6});
}

TEST(Batch, TrainModeKeepsStatistics) {
  GraphModule module;
  module.set_attr("bn.mean", at::zeros({3}), AttrKind::kBuffer);
  module.set_attr("bn.var", at::ones({3}), AttrKind::kBuffer);
  Graph& g = module.graph();
  Node* x = g.placeholder("x");
  x->set_meta(TensorMeta{at::kFloat, {1, 3, 4, 4}});
  Node* bn =
      g.call("aten.batch_norm", {x, Arg(), Arg(), g.get_attr("bn.mean"), g.get_attr("bn.var"), true, 0.1, 1e-5, false});
  g.output({g.call("aten.view", {bn, Ints{1, 48}})});
  make_batch_flexible(module);
  EXPECT_EQ(module.attr("bn.var").sum().item<float>(), 3);
  EXPECT_EQ(module.forward(at::randn({7, 3, 4, 4})).sizes(), (at::IntArrayRef{7, 48}));
}

TEST(Batch, WhatCannotBeFollowedIsNamed) {
  auto fixed = of([](const at::Tensor& x) { return x + at::arange(6).view({2, 3}).to(at::kFloat); }, {2, 3});
  expect_error([&] { make_batch_flexible(*fixed); }, {"[add 'add']", "at batch 2", "not at 4", "dynamic batch"});
  auto sliced = of([](const at::Tensor& x) { return x.slice(0, 0, 1).neg(); }, {1, 3});
  expect_error([&] { make_batch_flexible(*sliced); }, {"[slice 'slice", "does not follow"});
  GraphModule bare;
  bare.graph().output({bare.graph().placeholder("x")});
  expect_error([&] { make_batch_flexible(bare); }, {"[input 'x']", "not known"});
}

}  // namespace
}  // namespace octet

#include "octet/graph/record.h"

#include <gtest/gtest.h>
#include <torch/nn/functional/padding.h>
#include <torch/nn/functional/upsampling.h>
#include <torch/nn/modules/activation.h>
#include <torch/nn/modules/batchnorm.h>
#include <torch/nn/modules/container/sequential.h>
#include <torch/nn/modules/conv.h>
#include <torch/nn/modules/dropout.h>
#include <torch/nn/modules/linear.h>
#include <torch/nn/modules/pooling.h>
#include <torch/nn/modules/rnn.h>
#include <torch/types.h>

#include <thread>

#include "expect_error.h"

namespace octet {
namespace {

namespace nn = torch::nn;
using test::expect_error;

std::vector<std::string> ops(const GraphModule& module) {
  std::vector<std::string> found;
  for (const Node* node : module.graph().nodes()) {
    if (node->is_call()) found.push_back(node->target());
  }
  return found;
}

using Ops = std::vector<std::string>;

// Outputs and all gradients equal the module's own.
template <typename Module>
void expect_same(Module& module, GraphModule& program, const Tensors& inputs) {
  const Tensors expected = detail::call_forward(module, inputs);
  const Tensors got = program.run(inputs);
  ASSERT_EQ(expected.size(), got.size());
  at::Tensor left = at::zeros({});
  at::Tensor right = at::zeros({});
  for (size_t i = 0; i < got.size(); ++i) {
    EXPECT_TRUE(at::allclose(expected[i], got[i], 1e-5, 1e-6)) << "output " << i;
    left = left + (expected[i] * expected[i]).sum();
    right = right + (got[i] * got[i]).sum();
  }
  left.backward();
  right.backward();
  const auto parameters = module.named_parameters();
  const auto copies = program.named_parameters();
  ASSERT_EQ(parameters.keys(), copies.keys());
  for (const auto& entry : parameters) {
    ASSERT_TRUE(entry.value().grad().defined()) << entry.key();
    EXPECT_TRUE(at::allclose(entry.value().grad(), copies[entry.key()].grad(), 1e-4, 1e-5)) << entry.key();
  }
}

struct ConvNet : nn::Module {
  ConvNet()
      : conv(register_module("conv", nn::Conv2d(nn::Conv2dOptions(3, 8, 3).padding(1).bias(false)))),
        bn(register_module("bn", nn::BatchNorm2d(nn::BatchNorm2dOptions(8).eps(1e-3).momentum(0.03)))),
        fc(register_module("fc", nn::Linear(8 * 2 * 2, 5))),
        drop(register_module("drop", nn::Dropout(0.3))) {}
  at::Tensor forward(const at::Tensor& x) {
    at::Tensor y = nn::functional::relu(bn(conv(x)), nn::functional::ReLUFuncOptions(true));
    y = at::adaptive_avg_pool2d(at::max_pool2d(y, {2, 2}), {2, 2});
    return fc(drop(y.flatten(1)));
  }
  nn::Conv2d conv;
  nn::BatchNorm2d bn;
  nn::Linear fc;
  nn::Dropout drop;
};

TEST(Record, ConvBnReluNetInEval) {
  ConvNet net;
  auto program = export_module(net, {at::randn({2, 3, 8, 8})}, {.train = false});
  EXPECT_EQ(ops(*program), (Ops{"aten.conv2d.default", "aten.batch_norm.default", "aten.relu_.default",
                                "aten.max_pool2d.default", "aten.adaptive_avg_pool2d.default",
                                "aten.flatten.using_ints", "aten.dropout.default", "aten.linear.default"}));
  EXPECT_TRUE(net.is_training());  // it got its mode back
  EXPECT_FALSE(program->is_training());
  Node* bn = program->graph().find("batch_norm");
  EXPECT_FALSE(bn->arg("training").to_bool());
  EXPECT_EQ(bn->arg("eps").to_double(), 1e-3);
  EXPECT_EQ(bn->arg("momentum").to_double(), 0.03);
  EXPECT_EQ(bn->arg("running_var").node()->target(), "bn.running_var");
  EXPECT_EQ(bn->where(), "batch_norm 'bn'");
  EXPECT_EQ(program->graph().find("linear")->sizes(), (std::vector<int64_t>{2, 5}));
  EXPECT_EQ(program->graph().find("linear")->arg("bias").node()->target(), "fc.bias");
  EXPECT_EQ(program->attr_names(),
            (std::vector<std::string>{"conv.weight", "bn.weight", "bn.bias", "fc.weight", "fc.bias", "bn.running_mean",
                                      "bn.running_var", "bn.num_batches_tracked"}));
  net.eval();
  expect_same(net, *program, {at::randn({3, 3, 8, 8})});
}

TEST(Record, TrainModeKeepsStateAndChance) {
  ConvNet net;
  const at::Tensor x = at::randn({4, 3, 8, 8});
  at::manual_seed(3);
  auto program = export_module(net, {x});
  const float next = at::rand({}).item<float>();
  at::manual_seed(3);
  EXPECT_EQ(at::rand({}).item<float>(), next);
  EXPECT_EQ(net.bn->running_mean.abs().sum().item<float>(), 0);
  EXPECT_EQ(net.bn->num_batches_tracked.item<int64_t>(), 0);
  EXPECT_EQ(program->attr("bn.running_mean").abs().sum().item<float>(), 0);
  EXPECT_EQ(ops(*program)[1], "aten.add_.Tensor");  // num_batches_tracked, as torch.export has it
  EXPECT_TRUE(program->is_training());
  EXPECT_TRUE(program->graph().find("dropout")->arg("train").to_bool());
  at::manual_seed(5);
  const at::Tensor expected = net.forward(x);
  at::manual_seed(5);
  EXPECT_TRUE(at::allclose(program->forward(x), expected));
  EXPECT_TRUE(at::allclose(program->attr("bn.running_var"), net.bn->running_var));
  EXPECT_EQ(program->attr("bn.num_batches_tracked").item<int64_t>(), 1);
  program->eval();
  net.eval();
  expect_same(net, *program, {x});
}

TEST(Record, ProgramIsACopy) {
  ConvNet net;
  auto program = export_module(net, {at::randn({1, 3, 8, 8})}, {.train = false});
  const at::NoGradGuard no_grad;
  program->attr("conv.weight").zero_();
  EXPECT_GT(net.conv->weight.abs().sum().item<float>(), 0);
}

TEST(Record, MlpsOfAnyRank) {
  nn::Sequential mlp(nn::Linear(6, 16), nn::ReLU6(), nn::Linear(nn::LinearOptions(16, 8).bias(false)), nn::ReLU(),
                     nn::Linear(8, 4), nn::Softmax(nn::SoftmaxOptions(-1)));
  const Ops expected = {"aten.linear.default", "aten.hardtanh.default", "aten.linear.default",
                        "aten.relu.default",   "aten.linear.default",   "aten.softmax.int"};
  for (const at::Tensor& x : {at::randn({2, 6}), at::randn({2, 5, 6})}) {
    mlp->zero_grad();
    auto program = export_module(mlp, {x});
    EXPECT_EQ(ops(*program), expected);
    EXPECT_EQ(program->graph().find("linear_2")->arg("weight").node()->target(), "4.weight");
    EXPECT_TRUE(program->graph().find("linear_1")->arg("bias").is_none());
    expect_same(*mlp, *program, {x});
  }
}

struct Residual : nn::Module {
  Residual()
      : a(register_module("a", nn::Conv2d(nn::Conv2dOptions(4, 4, 3).padding(torch::kSame)))),
        b(register_module("b", nn::ConvTranspose2d(nn::ConvTranspose2dOptions(4, 4, 2).stride(2)))) {}
  std::tuple<at::Tensor, at::Tensor> forward(const at::Tensor& x, const at::Tensor& y) {
    at::Tensor z = a(x) + x;
    z = (z * 2 - 1) / y + 0.5;
    z += y;
    const auto parts = z.chunk(2, 1);
    const at::Tensor joined = at::cat({parts[1], parts[0]}, 1);
    return {b(joined), joined.view({joined.size(0), -1}).mean(1)};
  }
  nn::Conv2d a;
  nn::ConvTranspose2d b;
};

TEST(Record, SeveralInputsAndOutputs) {
  auto net = std::make_shared<Residual>();
  auto program =
      export_module(net, {at::randn({1, 4, 6, 6}), at::ones({1, 4, 6, 6})}, {.input_names = {"image", "mask"}});
  EXPECT_EQ(ops(*program),
            (Ops{"aten.conv2d.padding", "aten.add.Tensor", "aten.mul.Tensor", "aten.sub.Tensor", "aten.div.Tensor",
                 "aten.add.Tensor", "aten.add_.Tensor", "aten.chunk.default", "aten.cat.default",
                 "aten.conv_transpose2d.input", "aten.view.default", "aten.mean.dim"}));
  EXPECT_EQ(program->graph().placeholders()[1]->name(), "mask");
  EXPECT_EQ(program->graph().find("mul")->arg("other").to_int(), 2);
  EXPECT_EQ(program->graph().output()->args()[0].text(), "[%conv_transpose2d, %mean]");
  expect_same(*net, *program, {at::randn({1, 4, 6, 6}), at::rand({1, 4, 6, 6}) + 1});
}

TEST(Record, FunctionsWithOtherNamesInCpp) {
  struct Net : nn::Module {
    at::Tensor forward(const at::Tensor& x) {
      namespace F = nn::functional;
      at::Tensor y = F::pad(x, F::PadFuncOptions({1, 1, 1, 1}).mode(torch::kReplicate));
      y = F::interpolate(y, F::InterpolateFuncOptions().scale_factor(std::vector<double>{2, 2}).mode(torch::kNearest));
      y = F::interpolate(
          y, F::InterpolateFuncOptions().size(std::vector<int64_t>{8, 8}).mode(torch::kBilinear).align_corners(false));
      return y;
    }
  } net;
  const at::Tensor x = at::randn({1, 2, 4, 4});
  auto program = export_module(net, {x});
  EXPECT_EQ(ops(*program), (Ops{"aten.pad.default", "aten.upsample_nearest2d.vec", "aten.upsample_bilinear2d.vec"}));
  const std::string text = program->graph().text();
  EXPECT_NE(text.find("aten.pad.default(%x, [1, 1, 1, 1], 'replicate')"), std::string::npos) << text;
  EXPECT_NE(text.find("aten.upsample_nearest2d.vec(%pad, None, [2, 2])"), std::string::npos) << text;
  EXPECT_NE(text.find("aten.upsample_bilinear2d.vec(%upsample_nearest2d, [8, 8], False, None)"), std::string::npos)
      << text;
  EXPECT_TRUE(at::equal(program->forward(x), net.forward(x)));
}

// As it is called by another name in Python.
TEST(Record, NormsOfVectorsHaveOneName) {
  const ForwardFunction forward = [](const Tensors& in) {
    return Tensors{at::linalg_norm(in[0], std::nullopt, at::IntArrayRef{-1}, true), at::linalg_norm(in[0], 1, 0),
                   at::linalg_norm(in[0], 1, at::IntArrayRef{0, 1})};
  };
  const at::Tensor x = at::randn({3, 4});
  const auto program = record(forward, {x}, {});
  EXPECT_EQ(ops(*program), (Ops{"aten.linalg_vector_norm.default", "aten.linalg_vector_norm.default",
                                "aten.linalg_norm.default"}));  // the last is a matrix's
  const Tensors wanted = forward({x});
  const Tensors got = program->run({x});
  for (size_t i = 0; i < wanted.size(); ++i) EXPECT_TRUE(at::equal(got[i], wanted[i])) << i;
}

TEST(Record, RecurrentNetwork) {
  struct Net : nn::Module {
    Net() : gru(register_module("gru", nn::GRU(nn::GRUOptions(4, 6).num_layers(2).batch_first(true)))) {}
    at::Tensor forward(const at::Tensor& x) { return std::get<0>(gru->forward(x)).select(1, -1); }
    nn::GRU gru;
  } net;
  auto program = export_module(net, {at::randn({1, 5, 4})});
  EXPECT_EQ(ops(*program), (Ops{"aten.zeros.default", "aten.gru.input", "aten.select.int"}));
  EXPECT_EQ(program->graph().find("gru")->arg("params").list()[0].node()->target(), "gru.weight_ih_l0");
  expect_same(net, *program, {at::randn({1, 5, 4})});
}

TEST(Record, ConstantsFactoriesAndTies) {
  struct Net : nn::Module {
    Net() : fc(register_module("fc", nn::Linear(4, 4))) {
      register_parameter("tied", fc->weight);
      mask = at::ones({4, 4}).tril();
      row = fc->weight.select(0, 1);
    }
    at::Tensor forward(const at::Tensor& x) {
      const at::Tensor steps = torch::tensor({1.F, 2.F, 3.F, 4.F}) * 2;
      return at::linear(fc(x) * steps, mask) + torch::ones({4}) + row + at::linear(x, fc->weight.data());
    }
    nn::Linear fc;
    at::Tensor mask, row;
  } net;
  const at::Tensor x = at::randn({2, 4});
  auto program = export_module(net, {x});
  EXPECT_TRUE(at::allclose(program->forward(x), net.forward(x)));
  EXPECT_EQ(program->aliases(), (std::map<std::string, std::string>{{"fc.weight", "tied"}}));
  EXPECT_TRUE(at::equal(program->attr("_tensor_constant0"), torch::tensor({2.F, 4.F, 6.F, 8.F})));
  EXPECT_TRUE(at::equal(program->attr("_tensor_constant1"), net.mask));
  EXPECT_EQ(program->attr_kind("_tensor_constant1"), AttrKind::kConstant);
  EXPECT_FALSE(program->has_attr("_tensor_constant2"));
  const auto called = ops(*program);
  for (const char* op : {"aten.ones.default", "aten.as_strided.default"}) {
    EXPECT_NE(std::find(called.begin(), called.end(), op), called.end()) << op;
  }
  const at::NoGradGuard no_grad;
  program->attr("fc.weight").zero_();  // the view made before the recording follows its parameter
  program->attr("fc.bias").zero_();
  EXPECT_TRUE(at::equal(program->forward(x), at::ones({2, 4})));
}

TEST(Record, MemoryFilledInPlace) {
  struct Net : nn::Module {
    at::Tensor forward(const at::Tensor& x) {
      at::Tensor joined = torch::empty({2, 3});
      joined.select(0, 0).fill_(7);      // a constant so far
      joined.select(0, 1).copy_(x * 2);  // and now part of the program
      at::Tensor noise = at::empty({3}).uniform_();
      return joined + noise * 0 + torch::full({3}, 1);
    }
  } net;
  auto program = export_module(net, {at::ones({3})});
  const at::Tensor x = at::arange(3, at::kFloat);
  EXPECT_TRUE(at::equal(program->forward(x), net.forward(x)));
  const auto called = ops(*program);
  EXPECT_NE(std::find(called.begin(), called.end(), "aten.uniform_.default"), called.end());
  EXPECT_TRUE(at::equal(program->forward(x), net.forward(x)));  // the constant was copied, not written
}

TEST(Record, DropoutThatGivesItsInputBackStaysApart) {
  struct Net : nn::Module {
    at::Tensor forward(const at::Tensor& x) { return x + at::dropout(x, 0.5, is_training()); }
  } net;
  auto program = export_module(net, {at::ones({4})}, {.train = false});
  EXPECT_EQ(program->graph().find("add")->arg(0).text(), "%x");
  EXPECT_EQ(program->graph().find("add")->arg(1).text(), "%dropout");
  program->train();
  const at::Tensor out = program->forward(at::ones({1000}));
  EXPECT_NEAR(out.mean().item<float>(), 2, 0.2);  // not 2 * dropout(x)
  EXPECT_EQ((out == 1).sum().item<int64_t>() + (out == 3).sum().item<int64_t>(), 1000);
}

TEST(Record, InPlaceAndViews) {
  struct Net : nn::Module {
    at::Tensor forward(const at::Tensor& x) {
      at::Tensor y = x * 2;
      y.select(1, 0).add_(1);  // through a view
      y.slice(1, 1, 2).mul_(3);
      return y;
    }
  } net;
  const at::Tensor x = at::randn({2, 3});
  auto program = export_module(net, {x});
  EXPECT_EQ(ops(*program),
            (Ops{"aten.mul.Tensor", "aten.select.int", "aten.add_.Tensor", "aten.slice.Tensor", "aten.mul_.Tensor"}));
  const at::Tensor fresh = at::randn({2, 3});
  EXPECT_TRUE(at::equal(program->forward(fresh), net.forward(fresh)));
}

TEST(Record, ControlFlowOnValuesIsRefused) {
  struct Branch : nn::Module {
    at::Tensor forward(const at::Tensor& x) { return x.sum().item<float>() > 0 ? x : -x; }
  } branch;
  expect_error([&] { export_module(branch, {at::ones({2})}); }, {"[item of 'sum']", "depends on the values"});
  struct Truth : nn::Module {
    at::Tensor forward(const at::Tensor& x) { return x.any().is_nonzero() ? x : -x; }
  } truth;
  expect_error([&] { export_module(truth, {at::ones({2})}); }, {"[is_nonzero of 'any']"});
  struct Pick : nn::Module {
    at::Tensor forward(const at::Tensor& x) { return x.index({x > 0}); }
  } pick;
  expect_error([&] { export_module(pick, {at::ones({2})}); }, {"[index of "});
  struct Swallows : nn::Module {
    at::Tensor forward(const at::Tensor& x) {
      try {
        return x.nonzero();
      } catch (const std::exception&) {
        return x;
      }
    }
  } swallows;
  expect_error([&] { export_module(swallows, {at::ones({2})}); }, {"[nonzero of 'x']"});
  struct Fixed : nn::Module {
    at::Tensor forward(const at::Tensor& x) { return x * torch::ones({3}).sum().item<float>(); }
  } fixed;  // does not depend on any input
  EXPECT_EQ(export_module(fixed, {at::ones({2})})->forward(at::ones({1})).item<float>(), 3);
  struct Gather : nn::Module {
    at::Tensor forward(const at::Tensor& x) { return x.index({torch::tensor({1, 0})}); }
  } gather;  // indices that are no mask
  EXPECT_TRUE(at::equal(export_module(gather, {at::ones({2})})->forward(at::arange(2)), torch::tensor({1, 0})));
}

TEST(Record, ErrorsAndWrongInputs) {
  struct Fails : nn::Module {
    at::Tensor forward(const at::Tensor& x) { throw std::runtime_error("of its own"); }
  } fails;
  EXPECT_THROW(export_module(fails, {at::ones({2})}), std::runtime_error);
  // Nothing of the recording is left on the thread.
  EXPECT_EQ(at::add(at::ones({}), 1).item<float>(), 2);
  ConvNet net;
  expect_error([&] { export_module(net, {at::Tensor()}); }, {"[input 'x']", "undefined"});
  expect_error([&] { export_module(net, {at::ones({1}), at::ones({1})}); }, {"does not take 2 tensors"});
  expect_error([&] { export_module(net, {at::ones({1})}, {.input_names = {"a", "b"}}); }, {"expected 1, got 2"});
  struct Nothing : nn::Module {
    Tensors forward(const at::Tensor&) { return {}; }
  } nothing;
  expect_error([&] { export_module(nothing, {at::ones({1})}); }, {"no tensor"});
}

TEST(Record, NestedAndConcurrent) {
  struct Outer : nn::Module {
    at::Tensor forward(const at::Tensor& x) {
      struct Inner : nn::Module {
        at::Tensor forward(const at::Tensor& y) { return y.relu(); }
      } inner;
      inner_ops = ops(*export_module(inner, {at::ones({2})}));
      return x.neg();
    }
    Ops inner_ops;
  };
  Ops expected_inner = {"aten.relu.default"};
  std::vector<std::thread> threads;
  std::atomic<int> good = 0;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 20; ++i) {
        Outer outer;
        const Ops recorded = ops(*export_module(outer, {at::ones({2})}));
        good += recorded.size() == 1 && recorded[0] == "aten.neg.default" && outer.inner_ops == expected_inner;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(good, 80);
}

TEST(Record, AFunctionWithoutAModule) {
  const at::Tensor weight = at::randn({3, 3}).set_requires_grad(true);
  auto program = record(
      [&](const Tensors& in) {
        return Tensors{at::matmul(in[0], weight).t(), in[0]};
      },
      {at::ones({2, 3})}, {{"w", weight}});
  EXPECT_EQ(ops(*program), (Ops{"aten.matmul.default", "aten.t.default"}));
  EXPECT_EQ(program->parameters().size(), 1U);
  EXPECT_EQ(program->graph().output()->args()[0].text(), "[%t, %x]");
}

}  // namespace
}  // namespace octet

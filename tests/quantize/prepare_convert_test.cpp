#include <ATen/ops/allclose.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/equal.h>
#include <gtest/gtest.h>

#include "octet/graph/written_buffers.h"
#include "octet/quantize/calibrate.h"
#include "octet/quantize/constant_fold.h"
#include "octet/quantize/prepare.h"
#include "octet/quantize/quantize_pt2e.h"
#include "octet/quantize/rows.h"
#include "octet/support/error.h"
#include "octet/support/log.h"
#include "tests/quantize/test_nets.h"

namespace octet {
namespace {

using test::activation_spec;

std::vector<Node*> observers(GraphModule& module) {
  std::vector<Node*> found;
  for (Node* node : module.graph().nodes()) {
    if (node->kind() == NodeKind::kCallModule) found.push_back(node);
  }
  return found;
}

std::string warning_of(const std::function<void()>& run) {
  testing::internal::CaptureStderr();
  run();
  return testing::internal::GetCapturedStderr();
}

TEST(Prepare, OneObserverForAValueThatManyRead) {
  test::Net net({1, 2, 4, 4});
  Node* x = net.last;
  Node* a = net.relu();
  Node* b = net.call("aten.add.Tensor", {Arg(x), Arg(a)});
  net.call("aten.add.Tensor", {Arg(a), Arg(b)});
  auto module = net.finish();
  test::SimpleQuantizer quantizer(false);
  module = prepare_pt2e(module, quantizer);
  EXPECT_EQ(observers(*module).size(), 4u) << module->graph().text();  // x, a, b, result
  EXPECT_EQ(observers(*module)[0]->target(), "activation_post_process_0");
  for (Node* node : observers(*module)) EXPECT_EQ(node->meta(), node->arg(0).node()->meta());
}

// eval() forgotten before the export: dropout and moving statistics have no place in calibration.
TEST(Prepare, AModelInTrainModeIsQuantizedInEval) {
  const auto build = [](bool training) {
    at::manual_seed(11);
    test::Net net({4, 3, 6, 6});
    net.conv2d("c", 3, 4, false);
    net.batch_norm("bn", 4);
    net.relu();
    net.call("aten.dropout.default", {Arg(net.last), Arg(0.5), Arg(training)});
    auto module = net.finish();
    module->train(training);
    return module;
  };
  const at::Tensor x = at::randn({4, 3, 6, 6});
  std::vector<at::Tensor> results;
  for (const bool training : {false, true}) {
    auto module = build(training);
    test::SimpleQuantizer quantizer(false);
    std::shared_ptr<GraphModule> prepared;
    const std::string said = warning_of([&] { prepared = prepare_pt2e(module, quantizer); });
    EXPECT_EQ(said.find("switched to eval") != std::string::npos, training) << said;
    EXPECT_TRUE(test::calls(*prepared, "aten.batch_norm.default").empty()) << "folded";
    EXPECT_TRUE(nodes_in_train_mode(*prepared).empty());
    prepared->run({x});
    results.push_back(convert_pt2e(prepared)->run({x}).at(0));
  }
  EXPECT_TRUE(at::equal(results[0], results[1]));
}

TEST(Prepare, TrainingKeepsTrainMode) {
  test::Net net({4, 3, 6, 6});
  net.call("aten.dropout.default", {Arg(net.last), Arg(0.5), Arg(true)});
  auto module = net.finish();
  module->train(true);
  test::SimpleQuantizer quantizer(true);
  EXPECT_EQ(nodes_in_train_mode(*prepare_qat_pt2e(module, quantizer)).size(), 1u);
}

TEST(Prepare, ElementsOfListsAreObserved) {
  test::Net net({1, 2, 4, 4});
  Node* x = net.last;
  Node* y = net.input("y", {1, 2, 4, 4});
  Node* cat = net.call("aten.cat.default", {Arg(std::vector<Arg>{Arg(x), Arg(y), Arg(x)}), Arg(1)});
  auto module = net.finish();
  test::LambdaQuantizer quantizer([&](GraphModule&) {
    auto& note = ensure_annotation(*cat);
    note.set_input(x, activation_spec(false));
    note.set_input(y, SharedQuantizationSpec{EdgeOrNode(x, cat)});
    note.output_qspec = SharedQuantizationSpec{EdgeOrNode(x, cat)};
  });
  module = prepare_pt2e(module, quantizer);
  ASSERT_EQ(observers(*module).size(), 3u) << module->graph().text();
  EXPECT_EQ(module->callable_names().size(), 1u);
  module->run({at::full({1, 2, 4, 4}, 2.0), at::full({1, 2, 4, 4}, -3.0)});
  auto converted = convert_pt2e(module);
  const QuantRow row = quantization_rows(*converted).back();
  ASSERT_EQ(row.inputs.size(), 3u);
  ASSERT_TRUE(row.inputs[0] && row.output);
  EXPECT_EQ(*row.inputs[0], *row.inputs[1]);
  EXPECT_EQ(*row.inputs[0], *row.output);
  EXPECT_NEAR(row.output->scale[0], 5.0 / 255, 1e-6);
}

TEST(Prepare, EdgesWithOtherSpecsGetObserversOfTheirOwn) {
  test::Net net({1, 2, 4, 4});
  Node* x = net.last;
  Node* a = net.relu();
  Node* b = net.call("aten.neg.default", {Arg(x)});
  net.call("aten.add.Tensor", {Arg(a), Arg(b)});
  auto module = net.finish();
  test::LambdaQuantizer quantizer([&](GraphModule&) {
    ensure_annotation(*x).output_qspec = activation_spec(false);
    ensure_annotation(*a).set_input(x, activation_spec(false));
    QuantizationSpec narrow = activation_spec(false);
    narrow.quant_min = -127;
    ensure_annotation(*b).set_input(x, narrow);
  });
  module = prepare_pt2e(module, quantizer);
  ASSERT_EQ(observers(*module).size(), 2u) << module->graph().text();
  // The second stands behind the first: a requantization.
  EXPECT_EQ(observers(*module)[1]->arg(0).node(), observers(*module)[0]);
}

TEST(Prepare, NothingAnnotatedIsSaidAloud) {
  test::Net net({1, 2});
  net.relu();
  auto module = net.finish();
  test::LambdaQuantizer quantizer([](GraphModule&) {});
  EXPECT_NE(warning_of([&] { prepare_pt2e(module, quantizer); }).find("nothing of this model will be quantized"),
            std::string::npos);
}

TEST(Prepare, StagesAreChecked) {
  test::Net net({1, 2});
  net.relu();
  auto module = net.finish();
  EXPECT_THROW(convert_pt2e(module), Error);
  test::SimpleQuantizer quantizer(false);
  module = prepare_pt2e(module, quantizer);
  EXPECT_THROW(prepare_pt2e(module, quantizer), Error);
  module->run({at::ones({1, 2})});
  auto converted = convert_pt2e(module);
  // What is converted may be prepared again, and computes what it did.
  const at::Tensor before = (*converted)(at::ones({1, 2}));
  auto again = prepare_pt2e(converted, quantizer);
  EXPECT_FALSE(observers(*again).empty()) << again->graph().text();
  EXPECT_TRUE(at::equal((*again)(at::ones({1, 2})), before));
}

TEST(Prepare, StateThatTheModelWritesIsNotObserved) {
  test::Net net({2, 3});
  Node* x = net.last;
  Node* state = net.buffer("cache", at::zeros({2, 3}));
  Node* written = net.call("aten.add_.Tensor", {Arg(state), Arg(x)});
  auto module = net.finish();
  test::LambdaQuantizer quantizer([&](GraphModule&) {
    auto& note = ensure_annotation(*written);
    note.set_input(state, activation_spec(false));
    note.set_input(x, activation_spec(false));
  });
  module = prepare_pt2e(module, quantizer);
  ASSERT_EQ(observers(*module).size(), 1u) << module->graph().text();
  EXPECT_EQ(observers(*module)[0]->arg(0).node()->name(), "x");
  calibrate(*module, {{at::ones({2, 3})}, {at::ones({2, 3})}});
  EXPECT_TRUE(at::equal(module->attr("cache"), at::zeros({2, 3}))) << "what samples leave is no part of the model";
}

// The place in a cache is state; how many batches there were, which nothing reads, is none.
TEST(WrittenBuffers, WholeNumbersCountWhereTheyAreRead) {
  test::Net net({2, 3});
  Node* x = net.last;
  Node* place = net.buffer("place", at::zeros({1}, at::kLong));
  Node* batches = net.buffer("batches", at::zeros({}, at::kLong));
  Node* sum = net.call("aten.add.Tensor", {Arg(x), Arg(place)});
  net.call("aten.add_.Tensor", {Arg(place), Arg(1)});
  net.call("aten.add_.Tensor", {Arg(batches), Arg(1)});
  net.last = sum;
  const auto module = net.finish();
  EXPECT_EQ(written_buffers(*module), std::vector<const Node*>{place});
  calibrate(*module, {{at::ones({2, 3})}, {at::ones({2, 3})}});
  EXPECT_EQ(module->attr("place").item<int64_t>(), 0);
}

TEST(WrittenBuffers, WritesThatNobodyReadGo) {
  test::Net net({2, 3});
  Node* x = net.last;
  Node* state = net.buffer("cache", at::zeros({2, 3}));
  Node* sum = net.call("aten.add.Tensor", {Arg(state), Arg(x)});
  net.call("aten.copy_.default", {Arg(state), Arg(sum)});
  net.last = sum;
  auto module = net.finish();
  ASSERT_EQ(written_buffers(*module).size(), 1u);
  drop_last_writes(*module);
  EXPECT_TRUE(written_buffers(*module).empty());
  EXPECT_TRUE(at::equal((*module)(at::ones({2, 3})), at::ones({2, 3})));
}

TEST(Convert, WeightsBecomeIntegersAndFloatsGo) {
  at::manual_seed(0);
  test::Net net({2, 3, 6, 6});
  net.conv2d("c", 3, 4, true);
  net.relu();
  auto module = net.finish();
  auto original = module->copy();
  test::SimpleQuantizer quantizer(false);
  module = prepare_pt2e(module, quantizer);
  const at::Tensor x = at::randn({2, 3, 6, 6});
  (*module)(x);
  auto converted = convert_pt2e(module);
  EXPECT_TRUE(observers(*converted).empty());
  ASSERT_TRUE(converted->has_attr("_frozen_param0") && converted->has_attr("_frozen_param1"));
  EXPECT_EQ(converted->attr("_frozen_param0").scalar_type(), at::kChar);
  EXPECT_EQ(converted->attr("_frozen_param1").scalar_type(), at::kInt);
  EXPECT_TRUE(converted->parameters().empty());
  EXPECT_TRUE(converted->has_attr("c.weight_scale_0"));
  EXPECT_TRUE(at::allclose((*converted)(x), (*original)(x), 0.05, 0.05));
  // The prepared model is as it was, and goes on.
  EXPECT_EQ(observers(*module).size(), 4u);
  (*module)(x);

  const auto rows = quantization_rows(*converted);
  ASSERT_EQ(rows.size(), 3u);
  ASSERT_TRUE(rows[1].inputs[0] && rows[1].inputs[1] && rows[1].inputs[2]);
  EXPECT_FALSE(rows[1].output);
  EXPECT_TRUE(rows[2].output);
  EXPECT_EQ(rows[1].inputs[2]->dtype, "int32");
  for (size_t c = 0; c < 4; ++c) {
    const double product = rows[1].inputs[0]->scale[0] * rows[1].inputs[1]->scale[c];
    EXPECT_NEAR(rows[1].inputs[2]->scale[c], product, product * 1e-6);
  }
}

TEST(Convert, WithoutFoldingTheQuantizeStays) {
  test::Net net({2, 3, 6, 6});
  net.conv2d("c", 3, 4, true);
  auto module = net.finish();
  test::SimpleQuantizer quantizer(false);
  module = prepare_pt2e(module, quantizer);
  const at::Tensor x = at::randn({2, 3, 6, 6});
  (*module)(x);
  auto folded = convert_pt2e(module);
  auto unfolded = convert_pt2e(module, {.fold_quantize = false});
  EXPECT_TRUE(unfolded->has_attr("c.weight"));
  EXPECT_TRUE(at::equal((*folded)(x), (*unfolded)(x)));
}

TEST(Convert, EveryAnnotatedReaderHasItsOwnDequantize) {
  test::Net net({1, 2, 4, 4});
  Node* x = net.last;
  Node* a = net.relu();
  Node* b = net.call("aten.neg.default", {Arg(x)});
  net.call("aten.add.Tensor", {Arg(a), Arg(b)});
  auto module = net.finish();
  test::SimpleQuantizer quantizer(false);
  module = prepare_pt2e(module, quantizer);
  (*module)(at::randn({1, 2, 4, 4}));
  auto converted = convert_pt2e(module);
  for (Node* node : test::calls(*converted, "quantized_decomposed.dequantize_per_tensor.default")) {
    EXPECT_EQ(node->user_count(), 1u) << converted->graph().text();
  }
}

TEST(Convert, ObserversThatSawNothingAreNamed) {
  test::Net net({1, 2});
  net.relu();
  auto module = net.finish();
  test::SimpleQuantizer quantizer(false);
  module = prepare_pt2e(module, quantizer);
  const std::string warning = warning_of([&] { convert_pt2e(module); });
  EXPECT_NE(warning.find("observers saw no data and get scale 1, zero point 0: those of 'x', 'relu'"),
            std::string::npos)
      << warning;
}

TEST(Convert, DynamicAndHalfAndPlaceholders) {
  at::manual_seed(1);
  test::Net net({4, 6});
  Node* x = net.last;
  Node* a = net.relu();
  Node* b = net.call("aten.neg.default", {Arg(a)});
  Node* c = net.call("aten.abs.default", {Arg(b)});
  auto module = net.finish();
  test::LambdaQuantizer quantizer([&](GraphModule&) {
    QuantizationSpec dynamic;
    dynamic.quant_min = -128;
    dynamic.quant_max = 127;
    dynamic.is_dynamic = true;
    dynamic.observer_or_fake_quant = placeholder_observer();
    ensure_annotation(*a).set_input(x, dynamic);
    QuantizationSpec half;
    half.dtype = at::kHalf;
    half.observer_or_fake_quant = placeholder_observer();
    ensure_annotation(*b).set_input(a, half);
    QuantizationSpec plain = half;
    plain.dtype = at::kFloat;
    ensure_annotation(*c).set_input(b, plain);
  });
  module = prepare_pt2e(module, quantizer);
  auto converted = convert_pt2e(module);
  EXPECT_EQ(test::calls(*converted, "quantized_decomposed.choose_qparams.tensor").size(), 1u);
  EXPECT_EQ(test::calls(*converted, "quantized_decomposed.quantize_per_tensor.tensor").size(), 1u);
  EXPECT_EQ(test::calls(*converted, "quantized_decomposed.convert_element_type.no_fuse").size(), 2u);
  const at::Tensor input = at::randn({4, 6});
  EXPECT_TRUE(at::allclose((*converted)(input), input.relu(), 0.02, 0.02));
}

// Searching every path through residual additions would take 2^60 steps.
TEST(Convert, InPlaceOperatorsInResidualNetsAreNoTrap) {
  at::manual_seed(4);
  test::Net net({1, 2});
  net.conv("aten.linear.default", "fc", {2, 2}, 2, false);
  for (int i = 0; i < 60; ++i) {
    Node* skip = net.last;
    net.relu();
    net.call("aten.add.Tensor", {Arg(net.last), Arg(skip)});
    net.call("aten.relu_.default", {Arg(net.last)});
  }
  auto module = net.finish();
  auto original = module->copy();
  test::SimpleQuantizer quantizer(false);
  module = prepare_pt2e(module, quantizer);
  const at::Tensor x = at::rand({1, 2});
  const at::Tensor wanted = (*original)(x);
  (*module)(x);
  auto converted = convert_pt2e(module);
  // relu_ writes sums, which the weight does not lie under: it still is a constant, and its quantize is folded.
  EXPECT_FALSE(converted->has_attr("fc.weight"));
  EXPECT_EQ(converted->attr("_frozen_param0").scalar_type(), at::kChar);
  EXPECT_EQ(test::calls(*converted, "aten.relu_.default").size(), 60u);
  EXPECT_LT(((*converted)(x)-wanted).norm().item<double>(), 0.1 * wanted.norm().item<double>());
}

// A model that was never run still has sound weights.
TEST(Convert, WeightsNeedNoRun) {
  at::manual_seed(3);
  for (const bool qat : {false, true}) {
    test::Net net({2, 3, 6, 6});
    net.conv2d("c", 3, 4, true);
    net.batch_norm("bn", 4);
    auto module = net.finish();
    test::SimpleQuantizer quantizer(qat);
    module = qat ? prepare_qat_pt2e(module, quantizer) : prepare_pt2e(module, quantizer);
    auto converted = convert_pt2e(module);
    EXPECT_EQ(converted->attr("_frozen_param0").abs().amax().item<int64_t>(), 127) << qat;
  }
}

// relu_ writes what the convolution computed, and no more: the weight is still a constant.
TEST(Convert, AnInPlaceActivationKeepsTheWeightConstant) {
  test::Net net({2, 3, 6, 6});
  net.conv2d("c", 3, 4, true);
  net.call("aten.hardtanh_.default", {Arg(net.last), Arg(0.0), Arg(6.0)});
  auto module = net.finish();
  test::SimpleQuantizer quantizer(false);
  module = prepare_pt2e(module, quantizer);
  (*module)(at::randn({2, 3, 6, 6}));
  auto converted = convert_pt2e(module);
  EXPECT_FALSE(converted->has_attr("c.weight"));
  EXPECT_EQ(converted->attr("_frozen_param0").scalar_type(), at::kChar);
}

TEST(Convert, FoldsAWeightThatIsTransposedOnItsWay) {
  test::Net net({2, 3});
  Node* x = net.last;
  Node* w = net.parameter("w", at::randn({5, 3}));
  Node* t = net.call("aten.t.default", {Arg(w)});
  Node* mm = net.call("aten.mm.default", {Arg(x), Arg(t)});
  auto module = net.finish();
  test::LambdaQuantizer quantizer([&](GraphModule&) {
    auto& note = ensure_annotation(*mm);
    note.set_input(x, activation_spec(false));
    note.set_input(t, test::weight_spec(false, false, 0));
  });
  module = prepare_pt2e(module, quantizer);
  (*module)(at::randn({2, 3}));
  auto converted = convert_pt2e(module);
  EXPECT_EQ(converted->attr("_frozen_param0").sizes(), at::IntArrayRef({3, 5}));
  EXPECT_FALSE(converted->has_attr("w"));
}

TEST(Convert, CountersOfBatchesGo) {
  test::Net net({4, 3, 6, 6});
  Node* counter = net.buffer("bn.num_batches_tracked", at::zeros({}, at::kLong));
  Node* x = net.last;
  net.call("aten.add_.Tensor", {Arg(counter), Arg(1)});
  net.last = x;
  net.conv2d("c", 3, 4, true);
  net.batch_norm("bn", 4);
  auto module = net.finish();
  test::SimpleQuantizer quantizer(true);
  module = move_exported_model_to_train(prepare_qat_pt2e(module, quantizer));
  (*module)(at::randn({4, 3, 6, 6}));
  EXPECT_EQ(module->attr("bn.num_batches_tracked").item<int64_t>(), 1);
  auto converted = convert_pt2e(move_exported_model_to_eval(module));
  EXPECT_TRUE(test::calls(*converted, "aten.add_.Tensor").empty());
  EXPECT_FALSE(converted->has_attr("bn.num_batches_tracked"));
}

TEST(TrainEval, DropoutAndBatchNormKeepTheirNumbers) {
  test::Net net({4, 3, 6, 6});
  net.batch_norm("bn", 3, 1e-3, 0.03);
  net.call("aten.dropout.default", {Arg(net.last), Arg(0.3), Arg(false)});
  auto module = net.finish();
  test::SimpleQuantizer quantizer(true);
  module = prepare_qat_pt2e(module, quantizer);
  for (const bool train : {true, false, true}) {
    module = train ? move_exported_model_to_train(module) : move_exported_model_to_eval(module);
    const Node* dropout = test::calls(*module, "aten.dropout.default").at(0);
    const Node* bn = test::calls(*module, "aten.batch_norm.default").at(0);
    EXPECT_EQ(dropout->arg("p").to_double(), 0.3);
    EXPECT_EQ(dropout->arg("train").to_bool(), train);
    EXPECT_EQ(bn->arg("eps").to_double(), 1e-3);
    EXPECT_EQ(bn->arg("momentum").to_double(), 0.03);
    EXPECT_EQ(bn->arg("training").to_bool(), train);
  }
}

TEST(TrainEval, StandAloneBatchNormFreezesToo) {
  test::Net net({4, 3, 6, 6});
  net.batch_norm("bn", 3);
  auto module = net.finish();
  module = move_exported_model_to_train(module);
  freeze_bn_stats(*module);
  const at::Tensor mean = module->attr("bn.running_mean").clone();
  (*module)(at::randn({4, 3, 6, 6}) + 5);
  module = move_exported_model_to_train(move_exported_model_to_eval(module));
  (*module)(at::randn({4, 3, 6, 6}) + 5);
  EXPECT_TRUE(at::equal(mean, module->attr("bn.running_mean")));
  unfreeze_bn_stats(*module);
  (*module)(at::randn({4, 3, 6, 6}) + 5);
  EXPECT_FALSE(at::equal(mean, module->attr("bn.running_mean")));
}

// The bias of a convolution or linear without a BatchNorm is rounded in training too.
TEST(Qat, PlainBiasesAreRoundedInTraining) {
  at::manual_seed(2);
  test::Net net({4, 3, 6, 6});
  net.conv2d("c", 3, 4, true);
  net.call("aten.flatten.using_ints", {Arg(net.last), Arg(1)});
  net.conv("aten.linear.default", "fc", {5, 144}, 5, true);
  auto module = net.finish();
  test::SimpleQuantizer quantizer(true);
  module = move_exported_model_to_train(prepare_qat_pt2e(module, quantizer));
  for (int i = 0; i < 3; ++i) (*module)(at::randn({4, 3, 6, 6}));
  size_t biases = 0;
  module->run_observed({at::randn({4, 3, 6, 6})}, [&](const Node& node, const c10::IValue& value) {
    if (node.kind() != NodeKind::kCallModule || !node.arg(0).node()->is_get_attr()) return;
    if (node.arg(0).node()->target().find("bias") == std::string::npos) return;
    auto observer = std::dynamic_pointer_cast<ObserverBase>(module->callable(node.target()));
    const at::Tensor steps = value.toTensor().detach() / observer->calculate_qparams().scale;
    EXPECT_LT((steps - steps.round()).abs().max().item<float>(), 0.02);
    EXPECT_GT(steps.abs().max().item<float>(), 10);
    ++biases;
  });
  EXPECT_EQ(biases, 2u);
  module = move_exported_model_to_eval(module);
  module->apply([](torch::nn::Module& m) { disable_observer(m); });
  auto converted = convert_pt2e(module);
  const at::Tensor x = at::randn({4, 3, 6, 6});
  EXPECT_TRUE(at::equal((*module)(x), (*converted)(x)));
}

TEST(Qat, ASharedSpecThatNamesTheBatchNormFollowsTheFusedNode) {
  test::Net net({4, 3, 6, 6});
  Node* conv = net.conv2d("c", 3, 4, true);
  Node* bn = net.batch_norm("bn", 4);
  Node* act = net.call("aten.hardtanh.default", {Arg(bn)});
  auto module = net.finish();
  test::LambdaQuantizer quantizer([&](GraphModule&) {
    auto& note = ensure_annotation(*conv);
    note.set_input(conv->arg(0).node(), activation_spec(true));
    note.set_input(conv->arg(1).node(), test::weight_spec(true, true, 0));
    note.set_input(conv->arg(2).node(), test::bias_spec(conv, true));
    ensure_annotation(*bn).output_qspec = activation_spec(true);
    ensure_annotation(*act).output_qspec = SharedQuantizationSpec{EdgeOrNode(bn)};
  });
  module = prepare_qat_pt2e(module, quantizer);
  EXPECT_EQ(module->callable_names().size(), 3u) << module->graph().text();  // input, shared output, conv-bn
  (*module)(at::randn({4, 3, 6, 6}));
  auto converted = convert_pt2e(move_exported_model_to_eval(module));
  const auto rows = quantization_rows(*converted);
  ASSERT_EQ(rows.size(), 3u);
  ASSERT_TRUE(rows[1].output && rows[2].output);
  EXPECT_EQ(*rows[1].output, *rows[2].output);
}

}  // namespace
}  // namespace octet

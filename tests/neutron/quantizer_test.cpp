#include <gtest/gtest.h>

#include "octet/quantize/quantize_pt2e.h"
#include "octet/quantize/rows.h"
#include "octet/quantize/sharing.h"
#include "octet/support/error.h"
#include "octet/targets/engine/calibrate_and_quantize.h"
#include "octet/targets/neutron/neutron_quantizer.h"
#include "octet/targets/neutron/operator_rules.h"
#include "tests/engine/graph_builder.h"

#include <nlohmann/json.hpp>

#include <random>

namespace octet {
namespace {

using neutron::operator_rules;
using targets::OperatorRule;
using test::GraphBuilder;
using Ints = std::vector<int64_t>;

const char* kTarget = "imxrt700";

std::string annotations(const GraphModule& module) {
  std::string all;
  for (const Node* node : module.graph().nodes()) {
    const QuantizationAnnotation* note = annotation(*node);
    if (note == nullptr || !note->annotated) continue;
    all += node->name() + ":";
    for (const auto& [producer, spec] : note->input_qspec_map) all += " " + producer->name() + "=" + text(spec);
    all += note->output_qspec ? " -> " + text(*note->output_qspec) + "\n" : " -> none\n";
  }
  return all;
}

// Which specs a node has, in one word each: "own", "fixed", "shared NAME", "derived", "none".
std::string word(const AnySpec& spec) {
  if (std::holds_alternative<QuantizationSpec>(spec)) return "own";
  if (std::holds_alternative<FixedQParamsQuantizationSpec>(spec)) return "fixed";
  if (std::holds_alternative<DerivedQuantizationSpec>(spec)) return "derived";
  return "shared " + std::get<SharedQuantizationSpec>(spec).edge_or_node.node->name();
}
std::string output_word(const Node* node) {
  const QuantizationAnnotation* note = annotation(*node);
  if (note == nullptr || !note->annotated) return "float";
  return note->output_qspec ? word(*note->output_qspec) : "none";
}
std::string input_word(const Node* node, const Node* producer) {
  const QuantizationAnnotation* note = annotation(*node);
  const AnySpec* spec = note == nullptr ? nullptr : note->input(producer);
  return spec == nullptr ? "none" : word(*spec);
}

// A model with something of everything that shares, fuses or is fixed.
std::shared_ptr<GraphModule> mixed_model(GraphBuilder& g) {
  Node* x = g.input({1, 3, 8, 8});
  Node* a = g.call("aten.relu.default", {g.batch_norm("n", g.conv2d("a", x, 3, 4), 4)});
  Node* b = g.call("aten.sigmoid.default", {g.conv2d("b", x, 3, 4)});
  Node* pooled = g.call("aten.max_pool2d.default", {a, Ints{2, 2}});
  Node* big = g.call("aten.max_pool2d.default", {b, Ints{2, 2}});
  Node* cat = g.call("aten.cat.default", {Arg(std::vector<Arg>{pooled, big}), int64_t{1}});
  Node* clamped = g.call("aten.clamp.default", {cat, -1.0, 2.0});
  Node* most = g.call("aten.maximum.default", {clamped, g.call("aten.neg.default", {clamped})});
  Node* flat = g.call("aten.flatten.using_ints", {most, int64_t{1}});
  Node* head = g.call("aten.hardtanh.default", {g.linear("l", flat, 128, 5), 0.0, 6.0});
  return g.finish({g.call("aten.softmax.int", {head, int64_t{1}}), g.call("aten.erf.default", {head})});
}

TEST(TargetSpec, KnowsImxrt700) {
  const NeutronTargetSpec target(kTarget);
  EXPECT_EQ(target.units(), 1);
  EXPECT_EQ(target.pipes(), 8);
  EXPECT_EQ(target.macs(), 8);
  EXPECT_EQ(target.hardware_version(), 2);
  EXPECT_EQ(target.limits().softmax_channels, 2040);
}

TEST(TargetSpec, ListsTheKnownOnesForAnUnknown) {
  try {
    NeutronTargetSpec("imxrt70");
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("imxrt700"), std::string::npos) << error.what();
    EXPECT_NE(std::string(error.what()).find("'imxrt70'"), std::string::npos) << error.what();
  }
}

TEST(OperatorRules, NoOpStandsInTwoRowsAndEveryNameIsReal) {
  std::set<std::string_view> seen;
  for (const OperatorRule& rule : operator_rules(NeutronTargetSpec(kTarget))) {
    for (const std::string_view name : rule.ops) {
      EXPECT_TRUE(seen.insert(name).second) << name << " stands in two rows";
      const Op op = Op::find(name);
      EXPECT_EQ(op.text(), name);
      for (const targets::InputRule& input : rule.inputs) {
        EXPECT_GE(op.argument_index(input.argument), 0) << name << " has no argument " << input.argument;
      }
    }
  }
  EXPECT_GE(seen.size(), 57u);
}

TEST(NeutronQuantizer, DoesNotDependOnTheOrderOfTheRulesNorOnEarlierModels) {
  std::mt19937 random(5);
  for (const bool is_qat : {false, true}) {
    const NeutronTargetSpec target(kTarget);
    GraphBuilder builder;
    const auto model = mixed_model(builder);
    const auto plain = model->copy();
    NeutronQuantizer(target, is_qat).annotate(*plain);
    const std::string wanted = annotations(*plain);
    EXPECT_GT(wanted.size(), 500u);
    for (int round = 0; round < 5; ++round) {
      std::vector<OperatorRule> rules = operator_rules(NeutronTargetSpec(kTarget));
      std::shuffle(rules.begin(), rules.end(), random);
      NeutronQuantizer quantizer(target, is_qat, rules);
      GraphBuilder other;
      quantizer.annotate(*other.finish({other.call("aten.relu.default", {other.input({2, 3})})}));
      const auto again = model->copy();
      quantizer.annotate(*again);
      EXPECT_EQ(annotations(*again), wanted);
    }
  }
}

TEST(NeutronQuantizer, SharesAlongChainsFromOneProducer) {
  GraphBuilder g;
  Node* x = g.input({1, 3, 8, 8});
  Node* conv = g.conv2d("c", x, 3, 4);
  Node* pool = g.call("aten.max_pool2d.default", {conv, Ints{2, 2}});
  Node* flat = g.call("aten.flatten.using_ints", {pool, int64_t{1}});
  const auto model = g.finish({flat});
  NeutronQuantizer(NeutronTargetSpec(kTarget)).annotate(*model);
  EXPECT_EQ(output_word(x), "own");
  EXPECT_EQ(input_word(conv, x), "own");
  EXPECT_EQ(input_word(conv, conv->arg("bias").node()), "derived");
  EXPECT_EQ(output_word(conv), "own");
  EXPECT_EQ(output_word(pool), "shared conv2d");
  EXPECT_EQ(output_word(flat), "shared max_pool2d");
  const SharingGroups groups = resolve_sharing(model->graph());
  EXPECT_EQ(groups.find(EdgeOrNode(conv)), groups.find(EdgeOrNode(flat)));
}

TEST(NeutronQuantizer, ReadersOfAFixedGridKeepIt) {
  GraphBuilder g;
  Node* sigmoid = g.call("aten.sigmoid.default", {g.conv2d("c", g.input({1, 3, 8, 8}), 3, 4)});
  Node* pool = g.call("aten.max_pool2d.default", {sigmoid, Ints{2, 2}});
  Node* sum = g.call("aten.add.Tensor", {pool, pool});
  Node* conv = g.conv2d("d", pool, 4, 3);
  const auto model = g.finish({sum, conv});
  NeutronQuantizer(NeutronTargetSpec(kTarget)).annotate(*model);
  EXPECT_EQ(output_word(sigmoid), "fixed");
  EXPECT_EQ(input_word(pool, sigmoid), "shared sigmoid");
  EXPECT_EQ(input_word(sum, pool), "shared max_pool2d");
  EXPECT_EQ(input_word(conv, pool), "shared max_pool2d");
  EXPECT_EQ(output_word(conv), "own");
}

// On a sigmoid's grid, 0 .. 1, every negated value would be 0 and every sum 1.
TEST(NeutronQuantizer, WhatLeavesAFixedRangeIsObserved) {
  for (const char* op : {"aten.neg.default", "aten.sum.default"}) {
    GraphBuilder g;
    Node* x = g.input({2, 8});
    Node* sigmoid = g.call("aten.sigmoid.default", {x});
    Node* beyond = g.call(op, {sigmoid});
    Node* on_observed = g.call(op, {x});
    const auto model = g.finish({beyond, on_observed});
    NeutronQuantizer quantizer{NeutronTargetSpec(kTarget)};
    quantizer.annotate(*model);
    EXPECT_EQ(input_word(beyond, sigmoid), "own") << op;
    EXPECT_EQ(output_word(beyond), "shared sigmoid") << op;
    EXPECT_EQ(output_word(on_observed), "shared " + x->name()) << op;
  }
}

TEST(NeutronQuantizer, ExpHasARangeOfItsOwn) {
  GraphBuilder g;
  Node* x = g.input({2, 8});
  Node* exp = g.call("aten.exp.default", {x});
  const auto model = g.finish({exp});
  const auto reference = model->copy();
  NeutronQuantizer(NeutronTargetSpec(kTarget)).annotate(*model);
  EXPECT_EQ(input_word(exp, x), "own");
  EXPECT_EQ(output_word(exp), "own");
  NeutronOptions options;
  options.mul_range = MulRange::kReference;
  NeutronQuantizer(options).annotate(*reference);
  EXPECT_EQ(output_word(reference->graph().find(exp->name())), "shared " + x->name());
}

TEST(NeutronQuantizer, ConcatDoesNotSqueezeIntoAFixedGrid) {
  const auto concat = [](const char* first, const char* second) {
    GraphBuilder g;
    Node* x = g.input({1, 3, 8, 8});
    const auto branch = [&](const std::string& op, const std::string& name) {
      Node* conv = g.conv2d(name, x, 3, 4);
      return op.empty() ? conv : g.call(op, {conv});
    };
    Node* a = branch(first, "a");
    Node* cat = g.call("aten.cat.default", {Arg(std::vector<Arg>{a, branch(second, "b")}), int64_t{1}});
    const auto model = g.finish({cat});
    NeutronQuantizer(NeutronTargetSpec(kTarget)).annotate(*model);
    return input_word(cat, a) + ", " + output_word(cat);
  };
  EXPECT_EQ(concat("aten.tanh.default", ""), "shared conv2d_1, shared conv2d_1");
  EXPECT_EQ(concat("aten.tanh.default", "aten.tanh.default"), "shared tanh, shared tanh");
  EXPECT_EQ(concat("aten.tanh.default", "aten.sigmoid.default"), "own, shared tanh");
  EXPECT_EQ(concat("aten.erf.default", "aten.erf.default"), "own, shared erf");
}

TEST(NeutronQuantizer, LeavesSharedOperatorsInFloatBehindFloatOnes) {
  GraphBuilder g;
  Node* erf = g.call("aten.erf.default", {g.input({2, 3})});
  Node* negated = g.call("aten.neg.default", {erf});
  const auto model = g.finish({negated, g.call("aten.relu.default", {negated})});
  NeutronQuantizer(NeutronTargetSpec(kTarget)).annotate(*model);
  EXPECT_EQ(output_word(erf), "float");
  EXPECT_EQ(output_word(negated), "float");
}

TEST(NeutronQuantizer, FusesAnActivationThatAloneReads) {
  for (const char* op : {"aten.relu.default", "aten.relu_.default", "aten.relu6.default", "aten.relu6_.default",
                         "aten.sigmoid.default", "aten.sigmoid_.default", "aten.tanh.default", "aten.tanh_.default"}) {
    GraphBuilder g;
    Node* conv = g.conv2d("c", g.input({1, 3, 8, 8}), 3, 4);
    Node* activation = g.call(op, {conv});
    const auto model = g.finish({activation});
    NeutronOptions options;
    options.sigmoid_input = SigmoidInput::kReference;
    NeutronQuantizer(options).annotate(*model);
    EXPECT_EQ(output_word(conv), "none") << op;
    EXPECT_EQ(input_word(activation, conv), "none") << op;
    EXPECT_NE(output_word(activation), "float") << op;
  }
}

TEST(NeutronQuantizer, ObservesWhatASigmoidReads) {
  for (const char* op : {"aten.sigmoid.default", "aten.sigmoid_.default", "aten.tanh.default", "aten.tanh_.default"}) {
    GraphBuilder g;
    Node* conv = g.conv2d("c", g.input({1, 3, 8, 8}), 3, 4);
    Node* activation = g.call(op, {conv});
    const auto model = g.finish({activation});
    NeutronQuantizer(NeutronTargetSpec(kTarget)).annotate(*model);
    EXPECT_EQ(output_word(conv), "own") << op;
    EXPECT_NE(output_word(activation), "float") << op;
  }
}

TEST(NeutronQuantizer, ResidualInPlaceEqualsTheOtherForm) {
  std::string rows[2];
  at::Tensor outputs[2];
  for (const bool in_place : {false, true}) {
    at::manual_seed(4);
    GraphBuilder g;
    Node* x = g.input({1, 3, 8, 8});
    Node* conv = g.conv2d("a", x, 3, 4);
    Node* sum = g.call(in_place ? "aten.add_.Tensor" : "aten.add.Tensor", {g.conv2d("b", conv, 4, 4), conv});
    const auto model = g.finish({g.call("aten.relu.default", {sum})});
    NeutronQuantizer quantizer{NeutronTargetSpec(kTarget)};
    const auto quantized = calibrate_and_quantize(model, {g.inputs()}, quantizer);
    rows[in_place] = rows_text(quantization_rows(*quantized));
    outputs[in_place] = quantized->run(g.inputs()).at(0);
  }
  const size_t op = rows[1].find("add_.Tensor");
  ASSERT_NE(op, std::string::npos);
  EXPECT_EQ(rows[1].replace(op, 11, "add.Tensor"), rows[0]);
  EXPECT_TRUE(at::equal(outputs[1], outputs[0]));
}

TEST(NeutronQuantizer, HardtanhFusesAtItsBoundsOnly) {
  const std::vector<std::tuple<double, double, const char*, const char*>> bounds = {
      {0.0, 6.0, "none", "own"},           {0.0, std::numeric_limits<double>::infinity(), "none", "own"},
      {-1.0, 1.0, "own", "own"},           {0.0, 1.0, "own", "own"},
      {-2.0, 2.0, "own", "shared conv2d"},
  };
  for (const auto& [low, high, conv_word, activation_word] : bounds) {
    GraphBuilder g;
    Node* conv = g.conv2d("c", g.input({1, 3, 8, 8}), 3, 4);
    Node* activation = g.call("aten.hardtanh.default", {conv, low, high});
    const auto model = g.finish({activation});
    NeutronQuantizer(NeutronTargetSpec(kTarget)).annotate(*model);
    EXPECT_EQ(output_word(conv), conv_word) << low << " " << high;
    EXPECT_EQ(output_word(activation), activation_word) << low << " " << high;
  }
}

TEST(NeutronQuantizer, LinearFusesOnlyWithAMatrixAsResult) {
  for (const bool matrix : {true, false}) {
    GraphBuilder g;
    Node* linear = g.linear("l", g.input(matrix ? Ints{2, 4} : Ints{2, 3, 4}), 4, 5);
    const auto model = g.finish({g.call("aten.relu.default", {linear})});
    NeutronQuantizer(NeutronTargetSpec(kTarget)).annotate(*model);
    EXPECT_EQ(output_word(linear), matrix ? "none" : "own");
  }
}

TEST(NeutronQuantizer, TrainingLooksThroughBatchNorm) {
  GraphBuilder g;
  Node* conv = g.conv2d("c", g.input({1, 3, 8, 8}), 3, 4);
  Node* norm = g.batch_norm("n", conv, 4);
  Node* relu = g.call("aten.relu.default", {norm});
  const auto model = g.finish({relu});
  NeutronQuantizer(NeutronTargetSpec(kTarget), /*is_qat=*/true).annotate(*model);
  EXPECT_EQ(output_word(conv), "none");
  EXPECT_EQ(output_word(norm), "none");
  EXPECT_EQ(output_word(relu), "own");
}

TEST(NeutronQuantizer, BatchNormWithTwoReadersKeepsItsOutput) {
  GraphBuilder g;
  Node* conv = g.conv2d("c", g.input({1, 3, 8, 8}), 3, 4);
  Node* norm = g.batch_norm("n", conv, 4);
  Node* relu = g.call("aten.relu.default", {norm});
  const auto model = g.finish({relu, g.call("aten.neg.default", {norm})});
  NeutronQuantizer(NeutronTargetSpec(kTarget), /*is_qat=*/true).annotate(*model);
  EXPECT_EQ(output_word(conv), "none");
  EXPECT_EQ(output_word(norm), "own");
  EXPECT_EQ(input_word(relu, norm), "own");
}

TEST(NeutronQuantizer, LinearBatchNormReluStaysThreeInTraining) {
  GraphBuilder g;
  Node* linear = g.linear("l", g.input({4, 3}), 3, 5);
  Node* norm = g.batch_norm("n", linear, 5);
  Node* relu = g.call("aten.relu.default", {norm});
  const auto model = g.finish({relu});
  NeutronQuantizer(NeutronTargetSpec(kTarget), /*is_qat=*/true).annotate(*model);
  EXPECT_EQ(output_word(linear), "none");
  EXPECT_EQ(output_word(norm), "own");
  EXPECT_EQ(output_word(relu), "own");
}

TEST(NeutronQuantizer, IntegerValuesStayAsTheyAre) {
  GraphBuilder g;
  Node* x = g.input({2, 8});
  Node* index = g.call("aten.argmax.default", {x, int64_t{1}});
  Node* sum = g.call("aten.add.Tensor", {index, index});
  const auto model = g.finish({sum});
  NeutronQuantizer(NeutronTargetSpec(kTarget)).annotate(*model);
  EXPECT_EQ(output_word(sum), "float");
}

TEST(NeutronQuantizer, TransposedGroupsRepeatTheirWeightScales) {
  GraphBuilder g;
  Node* x = g.input({1, 4, 5, 5});
  Node* conv = g.call("aten.conv_transpose2d.input", {x, g.parameter("w", {4, 3, 2, 2}), g.parameter("b", {6}),
                                                      Ints{2, 2}, Ints{0, 0}, Ints{0, 0}, int64_t{2}});
  const auto model = g.finish({conv});
  NeutronQuantizer(NeutronTargetSpec(kTarget)).annotate(*model);
  const auto& spec = std::get<DerivedQuantizationSpec>(*annotation(*conv)->input(conv->arg("bias").node()));
  const QParams input{at::tensor({0.5F}), at::tensor({int64_t{3}})};
  const QParams weight{at::tensor({1.0F, 2.0F, 4.0F}), at::zeros({3}, at::kLong)};
  const QParams bias = spec.derive_qparams({input, weight});
  EXPECT_TRUE(at::equal(bias.scale, at::tensor({0.5F, 1.0F, 2.0F, 0.5F, 1.0F, 2.0F})));
  const QParams odd{at::tensor({1.0F, 2.0F, 4.0F, 8.0F}), at::zeros({4}, at::kLong)};
  EXPECT_THROW(spec.derive_qparams({input, odd}), Error);
}

TEST(CalibrateAndQuantize, QuantizesEveryOperatorItKnowsInBothModes) {
  for (const bool is_qat : {false, true}) {
    at::manual_seed(11);
    GraphBuilder g;
    const auto model = mixed_model(g);
    NeutronQuantizer quantizer(NeutronTargetSpec(kTarget), is_qat);
    const std::vector<std::vector<at::Tensor>> samples = {g.inputs(), {at::randn({1, 3, 8, 8})}};
    const auto quantized = calibrate_and_quantize(model, samples, quantizer);
    for (const QuantRow& row : quantization_rows(*quantized)) {
      EXPECT_EQ(row.op.find("batch_norm"), std::string::npos);
      if (row.inputs.size() != 3) continue;
      EXPECT_TRUE(row.inputs[2] && row.inputs[2]->dtype == "int32") << row.op;
    }
  }
}

TEST(CalibrateAndQuantize, TrainsInTrainModeAndConvertsInEval) {
  at::manual_seed(12);
  GraphBuilder g;
  Node* conv = g.conv2d("c", g.input({4, 3, 8, 8}), 3, 4);
  const auto model = g.finish({g.call("aten.relu.default", {g.batch_norm("n", conv, 4)})});
  NeutronQuantizer quantizer(NeutronTargetSpec(kTarget), /*is_qat=*/true);
  bool was_training = false;
  const at::Tensor before = model->attr("c.weight").clone();
  const auto quantized = calibrate_and_quantize(model, {}, quantizer, [&](GraphModule& prepared) {
    was_training = prepared.is_training();
    for (int step = 0; step < 3; ++step) {
      prepared.run(g.inputs()).at(0).square().mean().backward();
      const at::NoGradGuard no_grad;
      for (at::Tensor& parameter : prepared.parameters()) {
        if (parameter.grad().defined()) parameter.sub_(parameter.grad(), 0.1).mutable_grad().zero_();
      }
    }
  });
  EXPECT_TRUE(was_training);
  EXPECT_FALSE(at::equal(model->attr("c.weight"), before)) << "nothing was trained";
  EXPECT_EQ(test::ops_of(*quantized).find("batch_norm"), std::string::npos);
}

TEST(CalibrateAndQuantize, WantsSamples) {
  GraphBuilder g;
  const auto model = g.finish({g.call("aten.relu.default", {g.input({1})})});
  NeutronQuantizer quantizer{NeutronTargetSpec(kTarget)};
  EXPECT_THROW(calibrate_and_quantize(model, {}, quantizer), Error);
}

}  // namespace
}  // namespace octet

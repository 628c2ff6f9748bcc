// A target may try patterns in order in place of rows: the order decides, what was annotated stays, and every reason is
// told.

#include <gtest/gtest.h>

#include "octet/support/error.h"
#include "octet/targets/engine/table_quantizer.h"
#include "tests/engine/graph_builder.h"

namespace octet::targets {
namespace {

using test::GraphBuilder;

QuantizationConfig symmetric_bytes(const QuantizerOptions&) {
  const RoleConfig activation = {.dtype = at::kByte, .symmetric = true, .after_training = {Watch::kMovingAverage}};
  RoleConfig unsigned_activation = activation;
  unsigned_activation.symmetric = false;
  const RoleConfig weight = {.symmetric = true, .per_channel = true};
  return {.roles = {{Role::kActivation, activation}, {Role::kUnit, unsigned_activation}, {Role::kWeight, weight}}};
}

QuantizationPattern conv(const std::string& name, std::vector<PatternActivation> activations = {}) {
  QuantizationPattern pattern;
  pattern.name = name;
  pattern.ops = {"aten.conv2d.default"};
  pattern.inputs = {{"input"}, {"weight", Role::kConvWeight}, {"bias", Role::kConvBias}};
  pattern.activations = std::move(activations);
  pattern.input_spec = InputSpec::kOfProducer;
  return pattern;
}

QuantizationPattern pool(PatternSharing sharing) {
  QuantizationPattern pattern;
  pattern.name = "pool";
  pattern.ops = {"aten.max_pool2d.default"};
  pattern.sharing = sharing;
  return pattern;
}

std::shared_ptr<const Target> target_of(PatternTable table) {
  Target target;
  target.name = "ordered";
  target.schemes = {{"bytes", symmetric_bytes}};
  target.patterns = [table](const QuantizerOptions&) { return table; };
  return std::make_shared<const Target>(std::move(target));
}

const PatternActivation kRelu = {{"aten.relu.default"}, Role::kUnit};
const PatternActivation kHardtanh = {{"aten.hardtanh.default"}, Role::kUnit, {{0.0, 6.0}}};

std::string spec(const AnySpec* found) {
  if (found == nullptr) return "float";
  const auto* plain = std::get_if<QuantizationSpec>(found);
  if (plain == nullptr) return text(*found);
  return plain->qscheme == at::kPerTensorAffine ? "affine" : "symmetric";
}

std::string output(const Node* node) {
  const QuantizationAnnotation* note = annotation(std::as_const(*node));
  return spec(note != nullptr && note->output_qspec ? &*note->output_qspec : nullptr);
}

std::string input(const Node* node) {
  const QuantizationAnnotation* note = annotation(std::as_const(*node));
  return spec(note == nullptr ? nullptr : note->input(node->arg(size_t{0}).node()));
}

TEST(Patterns, TakeActivationsInAtTheirBoundsAndReadTheSpecOfAnEarlierPattern) {
  GraphBuilder g;
  Node* first = g.conv2d("first", g.input({1, 3, 8, 8}), 3, 4);
  Node* clip = g.call("aten.hardtanh.default", {first, 0.0, 6.0});
  Node* second = g.conv2d("second", clip, 4, 4);
  Node* other_clip = g.call("aten.hardtanh.default", {second, -1.0, 1.0});
  const auto model = g.finish({g.conv2d("third", other_clip, 4, 4)});
  PatternTable table;
  table.stages = {{conv("conv_hardtanh", {kHardtanh})}, {conv("conv")}};
  TableQuantizer(target_of(table)).annotate(*model);
  EXPECT_EQ(output(first), "float") << "it is the clip's";
  EXPECT_EQ(output(clip), "affine") << "at 0 and 6";
  EXPECT_EQ(input(second), "affine") << "as the clip gives it";
  EXPECT_EQ(output(other_clip), "symmetric") << "at other bounds";
}

TEST(Patterns, ComeInOrder) {
  GraphBuilder g;
  Node* first = g.conv2d("first", g.input({1, 3, 8, 8}), 3, 4);
  Node* relu = g.call("aten.relu.default", {first});
  Node* second = g.conv2d("second", relu, 4, 4);
  Node* clip = g.call("aten.hardtanh.default", {second, 0.0, 6.0});
  const auto model = g.finish({clip});
  PatternTable table;
  // The second convolution is decided about before what it reads: it asks for a grid of its own.
  table.stages = {{conv("conv_hardtanh", {kHardtanh})}, {conv("conv_relu", {kRelu})}};
  const auto later = model->copy();
  TableQuantizer(target_of(table)).annotate(*model);
  EXPECT_EQ(input(second), "symmetric");
  EXPECT_EQ(output(relu), "affine");
  // In one stage both come in graph order.
  table.stages = {{conv("conv_hardtanh", {kHardtanh}), conv("conv_relu", {kRelu})}};
  TableQuantizer(target_of(table)).annotate(*later);
  for (const Node* node : later->graph().nodes()) {
    if (node->name() != second->name()) continue;
    EXPECT_EQ(input(node), "affine");
  }
}

TEST(Patterns, ShareTheGridOfTheirProducerOrMakeOne) {
  GraphBuilder g;
  Node* first = g.call("aten.max_pool2d.default", {g.input({1, 3, 8, 8}), std::vector<int64_t>{2, 2}});
  Node* made = g.conv2d("c", first, 3, 4);
  Node* second = g.call("aten.max_pool2d.default", {made, std::vector<int64_t>{2, 2}});
  const auto model = g.finish({second});
  PatternTable table;
  table.stages = {{conv("conv")}};
  table.propagation = {pool(PatternSharing::kProducer)};
  const auto plan = TableQuantizer(target_of(table)).explain(*model).plan;
  EXPECT_EQ(plan.entries.at(1).reason, "passes on the grid of 'x1', which has none");
  TableQuantizer(target_of(table)).annotate(*model);
  EXPECT_EQ(output(first), "float");
  EXPECT_NE(output(second).find("shared with output of 'conv2d'"), std::string::npos) << output(second);

  GraphBuilder alone;
  Node* own = alone.call("aten.max_pool2d.default", {alone.input({1, 3, 8, 8}), std::vector<int64_t>{2, 2}});
  const auto other = alone.finish({own});
  PatternTable makes;
  makes.stages = {{pool(PatternSharing::kProducerOrOwn)}};
  TableQuantizer(target_of(makes)).annotate(*other);
  EXPECT_EQ(input(own), "symmetric");
  EXPECT_NE(output(own).find("edge 'x1' -> 'max_pool2d'"), std::string::npos) << output(own);
}

TEST(Patterns, LeaveInFloatWhatAnOverrideSays) {
  GraphBuilder g;
  Node* made = g.conv2d("c", g.input({1, 3, 8, 8}), 3, 4);
  Node* relu = g.call("aten.relu.default", {made});
  const auto model = g.finish({relu});
  PatternTable table;
  table.stages = {{conv("conv_relu", {kRelu})}, {conv("conv")}};
  Override choice;
  choice.op = "relu";
  choice.quantize = false;
  TableQuantizer quantizer(target_of(table), {.overrides = {choice}});
  const auto plan = quantizer.explain(*model).plan;
  EXPECT_EQ(plan.entries.back().reason, "left in float by overrides[0]");
  EXPECT_TRUE(plan.overrides.at(0).in_effect);
  quantizer.annotate(*model);
  EXPECT_EQ(output(made), "symmetric") << "it is taken without the relu";
}

}  // namespace
}  // namespace octet::targets

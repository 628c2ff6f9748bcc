// Every rule that refuses an operator: a small program that breaks just that rule, and what is said of it.

#include <gtest/gtest.h>

#include "octet/quantize/qdq.h"
#include "octet/support/error.h"
#include "octet/targets/engine/calibrate_and_quantize.h"
#include "octet/targets/engine/placement/check.h"
#include "octet/targets/neutron/neutron_quantizer.h"
#include "octet/targets/neutron/target.h"
#include "tests/engine/graph_builder.h"

namespace octet {
namespace {

using targets::OperatorPlacement;
using targets::Placement;
using Ints = std::vector<int64_t>;
using test::GraphBuilder;

const targets::Target& target() {
  static const targets::Target imxrt700 = neutron::target(NeutronTargetSpec("imxrt700"));
  return imxrt700;
}

std::shared_ptr<GraphModule> quantized(GraphBuilder& b, std::vector<Arg> results, const NeutronOptions& options = {}) {
  at::manual_seed(0);
  auto module = b.finish(std::move(results));
  std::vector<std::vector<at::Tensor>> samples;
  for (int i = 0; i < 2; ++i) {
    samples.emplace_back();
    for (const at::Tensor& input : b.inputs()) samples.back().push_back(at::randn_like(input));
  }
  NeutronQuantizer quantizer(options);
  auto result = calibrate_and_quantize(module, samples, quantizer);
  propagate_shapes(*result, b.inputs());
  return result;
}

const OperatorPlacement* row_of(const Placement& placement, const std::string& op) {
  for (const OperatorPlacement& row : placement.operators) {
    if (row.op == op) return &row;
  }
  return nullptr;
}

Node* node_of(GraphModule& module, const std::string& op) {
  for (Node* node : module.graph().nodes()) {
    if (node->is_call(op)) return node;
  }
  return nullptr;
}

// The operator is on the CPU, and the reason says this.
void expect_refused(const GraphModule& module, const std::string& op, const std::string& reason) {
  const Placement placement = targets::place(module, target());
  const OperatorPlacement* row = row_of(placement, op);
  ASSERT_NE(row, nullptr) << op;
  EXPECT_FALSE(row->partition) << op << " runs on the NPU";
  EXPECT_NE(row->reason.find(reason), std::string::npos) << row->reason;
  EXPECT_EQ(row->reason.rfind("[" + row->where + "] ", 0), 0u) << row->reason;
}

void expect_taken(const GraphModule& module, const std::string& op) {
  const Placement placement = targets::place(module, target());
  const OperatorPlacement* row = row_of(placement, op);
  ASSERT_NE(row, nullptr) << op;
  EXPECT_TRUE(row->partition) << row->reason;
}

using Build = std::function<Node*(GraphBuilder&)>;

// One operator, or a few, in a program of their own.
void expect_refused(const Build& build, const std::string& op, const std::string& reason,
                    const NeutronOptions& options = {}) {
  GraphBuilder b;
  Node* result = build(b);
  expect_refused(*quantized(b, {result}, options), op, reason);
}

void expect_taken(const Build& build, const std::string& op) {
  GraphBuilder b;
  Node* result = build(b);
  expect_taken(*quantized(b, {result}), op);
}

constexpr const char* kConv = "aten.conv2d.default";
constexpr const char* kTransposed = "aten.conv_transpose2d.input";

Build conv(Ints input, Ints weight, Ints stride = {1, 1}, Ints padding = {0, 0}, Ints dilation = {1, 1},
           int64_t groups = 1) {
  return [=](GraphBuilder& b) {
    return b.call(kConv, {b.input(input), b.parameter("c.weight", weight), Arg(), stride, padding, dilation, groups});
  };
}

TEST(Refusals, Convolution) {
  NeutronOptions without;
  without.without_passes = {"add_batch_to_convolutions"};
  expect_refused(conv({3, 8, 8}, {4, 3, 3, 3}), kConv, "rank of input: expected 4, got 3", without);
  expect_taken(conv({3, 8, 8}, {4, 3, 3, 3}), kConv);
  expect_refused(conv({1, 1, 4100, 1}, {2, 1, 4097, 1}), kConv, "kernel: expected <= 4096, got 4097");
  expect_taken(conv({1, 1, 4100, 1}, {2, 1, 4096, 1}), kConv);
  expect_refused(conv({1, 1, 8, 8}, {2, 1, 1, 1}, {4097, 1}), kConv, "stride: expected <= 4096, got 4097");
  expect_taken(conv({1, 1, 8, 8}, {2, 1, 1, 1}, {4096, 1}), kConv);
  expect_refused(conv({1, 1, 4100, 1}, {2, 1, 2, 1}, {1, 1}, {0, 0}, {4097, 1}), kConv,
                 "dilation: expected <= 4096, got 4097");
  expect_taken(conv({1, 1, 4100, 1}, {2, 1, 2, 1}, {1, 1}, {0, 0}, {4096, 1}), kConv);
  // 32 * 32 * 64 = 65536; 57 channels count as 64.
  expect_refused(conv({1, 57, 32, 32}, {2, 57, 32, 32}), kConv, "(32 * 32 * 64): expected <= 65535, got 65536");
  expect_taken(conv({1, 56, 32, 32}, {2, 56, 32, 32}), kConv);
  expect_refused(conv({1, 166, 8, 8}, {166, 2, 3, 3}, {1, 1}, {0, 0}, {1, 1}, 83), kConv,
                 "groups: expected 1, or as many");
  expect_taken(conv({1, 22, 8, 8}, {22, 2, 3, 3}, {1, 1}, {0, 0}, {1, 1}, 11), kConv);
  expect_taken(conv({1, 22, 8, 8}, {22, 1, 3, 3}, {1, 1}, {0, 0}, {1, 1}, 22), kConv);
}

TEST(Refusals, ComputedWeightsAndBiases) {
  NeutronOptions without;
  without.without_passes = {"decompose_computed_weights"};
  const auto convolution = [](GraphBuilder& b) {
    return b.call(kConv, {b.input({1, 3, 8, 8}), b.input({4, 3, 3, 3})});
  };
  expect_refused(convolution, kConv, "weight: expected a parameter or constant, got a computed value", without);
  expect_taken(convolution, "aten.bmm.default");
  expect_refused(
      [](GraphBuilder& b) {
        return b.call(kConv, {b.input({1, 3, 8, 8}), b.parameter("c.weight", {4, 3, 3, 3}), b.input({4})});
      },
      kConv, "bias: expected a parameter or constant, got a computed value");
  const auto linear = [](GraphBuilder& b) { return b.call("aten.linear.default", {b.input({2, 3}), b.input({4, 3})}); };
  expect_refused(linear, "aten.linear.default", "weight: expected a parameter or constant, got a computed value",
                 without);
  expect_taken(linear, "aten.bmm.default");
}

// Stores an operand of a convolution with another type.
std::shared_ptr<GraphModule> with_operand_type(const char* argument, at::ScalarType type) {
  GraphBuilder b;
  auto module = quantized(b, {b.conv2d("c", b.input({1, 3, 8, 8}), 3, 4)});
  Node* dequantize = node_of(*module, kConv)->arg(argument).node();
  const std::string name = dequantize->args()[0].node()->target();
  module->set_attr(name, module->attr(name).to(type), AttrKind::kBuffer);
  dequantize->set_arg("dtype", type);
  return module;
}

TEST(Refusals, TypesOfOperands) {
  expect_taken(*with_operand_type("weight", at::kChar), kConv);
  expect_refused(*with_operand_type("weight", at::kShort), kConv, "weight: expected int8, got int16");
  expect_taken(*with_operand_type("bias", at::kInt), kConv);
  expect_refused(*with_operand_type("bias", at::kShort), kConv, "bias: expected int32, got int16");
}

// Programs from elsewhere: QAT there leaves the bias of a folded BatchNorm in float.
TEST(Refusals, FloatBiases) {
  GraphBuilder b;
  auto module = quantized(b, {b.conv2d("c", b.input({1, 3, 8, 8}), 3, 4)});
  Node* node = node_of(*module, kConv);
  module->set_attr("float_bias", at::zeros({4}), AttrKind::kParameter);
  {
    const auto here = module->graph().inserting_before(node);
    node->set_arg("bias", module->graph().get_attr("float_bias"));
  }
  propagate_shapes(*module, b.inputs());
  expect_refused(*module, kConv, "bias: expected int32, got float");
  const Placement placement = targets::place(*module, target());
  EXPECT_NE(row_of(placement, kConv)->way_out.find("QuantizeFusedConvBnBiasAtenPass"), std::string::npos);
}

TEST(Refusals, TypesOfValues) {
  GraphBuilder b;
  auto module = quantized(b, {b.conv2d("c", b.input({1, 3, 8, 8}), 3, 4)});
  Node* conv_node = node_of(*module, kConv);
  conv_node->users().front()->set_arg("dtype", at::kShort);
  expect_refused(*module, kConv, "result: expected int8, got int16");
  conv_node->users().front()->set_arg("dtype", at::kChar);
  conv_node->arg("input").node()->set_arg("dtype", at::kShort);
  expect_refused(*module, kConv, "input: expected int8, got int16");
}

Build transposed(Ints weight, Ints stride, Ints padding = {0, 0}, int64_t groups = 1, Ints dilation = {1, 1},
                 int64_t size = 8) {
  return [=](GraphBuilder& b) {
    const int64_t channels = weight[0];
    return b.call(kTransposed, {b.input({1, channels, size, size}), b.parameter("t.weight", weight), Arg(), stride,
                                padding, Ints{0, 0}, groups, dilation});
  };
}

TEST(Refusals, TransposedConvolution) {
  expect_taken(transposed({4, 2, 3, 3}, {2, 2}, {2, 2}), kTransposed);
  NeutronOptions without;
  without.without_passes = {"split_transposed_groups", "spread_transposed_kernels"};
  expect_refused(transposed({4, 2, 3, 3}, {2, 2}, {0, 0}, 2), kTransposed, "groups: expected 1, got 2", without);
  expect_taken(transposed({4, 2, 3, 3}, {2, 2}, {0, 0}, 2), kTransposed);
  expect_refused(transposed({4, 2, 3, 3}, {2, 2}, {0, 0}, 1, {2, 2}), kTransposed, "dilation: expected 1, got 2",
                 without);
  expect_taken(transposed({4, 2, 3, 3}, {2, 2}, {0, 0}, 1, {2, 2}), kTransposed);
  expect_refused(transposed({4, 2, 3, 3}, {3, 3}), kTransposed, "stride: expected <= 2, got 3");
  expect_refused(transposed({4, 2, 1, 1}, {2, 2}), kTransposed, "stride: expected <= kernel, got stride 2x2");
  expect_refused(transposed({4, 2, 3, 3}, {2, 2}, {3, 3}), kTransposed, "padding: expected < kernel, got padding 3x3");
  expect_refused(transposed({1, 2, 4097, 1}, {1, 1}), kTransposed, "kernel: expected <= 4096, got 4097");
  expect_refused(transposed({64, 1, 32, 32}, {1, 1}), kTransposed, "(32 * 32 * 64): expected <= 65535, got 65536");
}

TEST(Refusals, MatrixProducts) {
  expect_refused(
      [](GraphBuilder& b) {
        return b.call("aten.linear.default", {b.input({2, 5}), b.parameter("l.weight", {5})});
      },
      "aten.linear.default", "rank of weight: expected 2, got 1");
  const auto addmm = [](double beta, double alpha) {
    return [=](GraphBuilder& b) {
      return b.call("aten.addmm.default", {b.parameter("bias", {4}), b.input({2, 3}), b.parameter("w", {3, 4})},
                    {{"beta", beta}, {"alpha", alpha}});
    };
  };
  expect_taken(addmm(1, 1), "aten.addmm.default");
  expect_refused(addmm(2, 1), "aten.addmm.default", "beta: expected 1, got 2");
  expect_refused(addmm(1, 0.5), "aten.addmm.default", "alpha: expected 1, got 0.5");

  GraphBuilder b;
  auto module = quantized(b, {b.call("aten.bmm.default", {b.input({1, 3, 4}), b.input({1, 4, 5})})});
  expect_taken(*module, "aten.bmm.default");
  node_of(*module, "aten.bmm.default")->arg("mat2").node()->set_arg("zero_point", 3);
  expect_refused(*module, "aten.bmm.default", "zero point of mat2: expected 0, got 3");
}

TEST(Refusals, Elementwise) {
  const auto binary = [](const char* op, Ints first, Ints second, NamedArgs named = {}) {
    return [=](GraphBuilder& b) {
      Node* x = b.input(first);
      return b.call(op, {x, b.input(second)}, named);
    };
  };
  NeutronOptions without;
  without.without_passes = {"decompose_copies"};
  for (const char* op :
       {"aten.add.Tensor", "aten.sub.Tensor", "aten.mul.Tensor", "aten.maximum.default", "aten.minimum.default"}) {
    expect_taken(binary(op, {1, 4, 3, 5}, {1, 4, 1, 5}), op);
    expect_refused(binary(op, {1, 4, 1, 5}, {1, 1, 3, 5}), op, "shapes: expected one input of [1, 4, 3, 5]", without);
  }
  expect_refused(binary("aten.add.Tensor", {2, 3}, {2, 3}, {{"alpha", 2}}), "aten.add.Tensor",
                 "alpha: expected 1, got 2");
  expect_refused(binary("aten.sub.Tensor", {2, 3}, {2, 3}, {{"alpha", 2}}), "aten.sub.Tensor",
                 "alpha: expected 1, got 2");
}

// The quantize behind the operator goes over to another scale.
void expect_grid_matters(const Build& build, const std::string& op, const NeutronOptions& options = {}) {
  GraphBuilder b;
  Node* result = build(b);
  auto module = quantized(b, {result}, options);
  expect_taken(*module, op);
  Node* quantize = nullptr;
  for (Node* user : node_of(*module, op)->users()) {
    if (user->is(Trait::kQuantize)) quantize = user;
  }
  ASSERT_NE(quantize, nullptr) << op;
  quantize->set_arg("scale", quantize->arg("scale").to_double() * 2);
  expect_refused(*module, op, "expected the output's, ");
}

TEST(Refusals, GridsOfSharingOperators) {
  const auto unary = [](const char* op, std::vector<Arg> more, NamedArgs named = {}) {
    return [=](GraphBuilder& b) {
      std::vector<Arg> args = {b.conv2d("c", b.input({1, 3, 8, 8}), 3, 4)};
      args.insert(args.end(), more.begin(), more.end());
      return b.call(op, args, named);
    };
  };
  expect_grid_matters(unary("aten.mean.dim", {Ints{2, 3}}), "aten.mean.dim");
  expect_grid_matters(unary("aten.amax.default", {Ints{1}}), "aten.amax.default");
  expect_grid_matters(unary("aten.amin.default", {Ints{1}}), "aten.amin.default");
  NeutronOptions with_sums;
  with_sums.without_passes = {"decompose_sums"};
  expect_grid_matters(unary("aten.sum.dim_IntList", {Ints{1}}), "aten.sum.dim_IntList", with_sums);
  expect_grid_matters(unary("aten.max_pool2d.default", {Ints{2, 2}}), "aten.max_pool2d.default");
  expect_grid_matters(unary("aten.avg_pool2d.default", {Ints{2, 2}}), "aten.avg_pool2d.default");
  expect_grid_matters(unary("aten.adaptive_avg_pool2d.default", {Ints{2, 2}}), "aten.adaptive_avg_pool2d.default");
  expect_grid_matters(unary("aten.pad.default", {Ints{1, 1}}), "aten.pad.default");
  expect_grid_matters(unary("aten.permute.default", {Ints{0, 2, 3, 1}}), "aten.permute.default");
  expect_grid_matters(unary("aten.clamp.default", {-1.0, 2.0}), "aten.clamp.default");
  expect_grid_matters(
      [](GraphBuilder& b) {
        Node* x = b.input({1, 3, 8, 8});
        return b.call("aten.cat.default", {std::vector<Arg>{b.conv2d("c", x, 3, 4), b.conv2d("d", x, 3, 4)}, 1});
      },
      "aten.cat.default");
}

Build after_conv(const std::string& op, std::vector<Arg> more, Ints input = {1, 3, 8, 8}, NamedArgs named = {}) {
  return [=](GraphBuilder& b) {
    std::vector<Arg> args = {b.conv2d("c", b.input(input), input[1], 4)};
    args.insert(args.end(), more.begin(), more.end());
    return b.call(op, args, named);
  };
}

TEST(Refusals, Pools) {
  const char* max = "aten.max_pool2d.default";
  const char* avg = "aten.avg_pool2d.default";
  const char* adaptive = "aten.adaptive_avg_pool2d.default";
  expect_refused(after_conv(max, {Ints{2, 2}, Ints{2, 2}, Ints{0, 0}, Ints{2, 2}}), max, "dilation: expected 1, got 2");
  expect_refused(after_conv(max, {Ints{1, 1}, Ints{4097, 1}}), max, "stride: expected <= 4096, got 4097");
  // Passes pad what hangs over, count what is not counted, and multiply by constants.
  NeutronOptions without;
  without.without_passes = {"pad_overhanging_maxima", "scale_padded_averages", "decompose_uneven_averages"};
  const auto expect_changed = [&](const std::string& op, const std::vector<Arg>& more, const std::string& reason) {
    expect_taken(after_conv(op, more), op);
    expect_refused(after_conv(op, more), op, reason, without);
  };
  expect_changed(max, {Ints{3, 3}, Ints{2, 2}, Ints{0, 0}, Ints{1, 1}, true}, "ceil_mode: expected False");
  expect_changed(avg, {Ints{3, 3}, Ints{2, 2}, Ints{0, 0}, true}, "ceil_mode: expected False");
  expect_changed(avg, {Ints{2, 2}, Ints{2, 2}, Ints{0, 0}, false, true, 3}, "divisor_override: expected none");
  expect_changed(avg, {Ints{2, 2}, Ints{2, 2}, Ints{1, 1}, false, false},
                 "count_include_pad: expected True where there is padding");
  expect_taken(after_conv(avg, {Ints{2, 2}, Ints{2, 2}, Ints{0, 0}, false, false}), avg);
  expect_refused(after_conv(avg, {Ints{1, 1}, Ints{4097, 1}}), avg, "stride: expected <= 4096, got 4097");
  expect_refused(after_conv(avg, {Ints{4097, 1}, Ints{1, 1}}, {1, 3, 4100, 1}), avg,
                 "kernel: expected <= 4096, got 4097");
  expect_refused(after_conv(adaptive, {Ints{3, 3}}), adaptive, "width: expected a multiple of the output's 3, got 8",
                 without);
  expect_taken(after_conv(adaptive, {Ints{4, 4}}), adaptive);
}

TEST(Refusals, Softmax) {
  const char* op = "aten.softmax.int";
  const auto alone = [&](Ints sizes, int64_t dim) {
    return [=](GraphBuilder& b) { return b.call("aten.softmax.int", {b.input(sizes), dim}); };
  };
  expect_taken(alone({1, 2040}, 1), op);
  expect_refused(alone({1, 2041}, 1), op, "channels: expected <= 2040, got 2041");
  expect_taken(alone({2, 3, 4}, 1), op);  // turned to the last dimension
  expect_taken(alone({4096, 2}, 1), op);
  expect_refused(alone({4097, 2}, 1), op, "batch, height and width together: expected <= 4096, got 4097");
  expect_refused(alone({512, 1025}, 1), op, "elements: expected <= 524288, got 524800");
  // Behind a convolution dimension 1 holds the channels.
  expect_taken(after_conv(op, {1}), op);
  expect_taken(after_conv(op, {3}), op);
}

TEST(Refusals, Shapes) {
  const char* slice = "aten.slice.Tensor";
  NeutronOptions without;
  without.without_passes = {"decompose_strided_slices", "decompose_copies"};
  expect_refused(after_conv(slice, {2, 0, 8, 2}), slice, "step: expected 1, got 2", without);
  expect_taken(after_conv(slice, {2, 0, 8, 2}), "aten.max_pool2d.default");
  expect_refused(after_conv(slice, {2, 4, 4, 1}), slice, "elements: expected at least one, got none");
  const char* pad = "aten.pad.default";
  expect_refused(after_conv(pad, {Ints{1, 1, 1, 1}, "replicate"}), pad, "mode: expected constant or reflect", without);
  expect_taken(after_conv(pad, {Ints{1, 1, 1, 1}, "replicate"}), "aten.cat.default");
  expect_taken(after_conv(pad, {Ints{1, 1, 1, 1}, "reflect"}), pad);
  const char* view = "aten.view.default";
  expect_refused(after_conv(view, {Ints{1, 1, 1, 1, 1, 4, 8, 8}}), view, "dimensions: expected <= 7, got 8");
  expect_taken(after_conv(view, {Ints{1, 1, 1, 1, 4, 8, 8}}), view);
  const char* nearest = "aten.upsample_nearest2d.vec";
  NeutronOptions as_it_is;  // else they are taken apart
  as_it_is.mul_range = MulRange::kReference;
  expect_refused(after_conv(nearest, {Ints{24, 16}, Arg()}), nearest,
                 "scale of the height: expected one of 1, 2, 4, 8, got 3", as_it_is);
  expect_refused(after_conv(nearest, {Ints{16, 20}, Arg()}), nearest, "scale of the width", as_it_is);
  expect_taken(after_conv(nearest, {Ints{16, 32}, Arg()}), nearest);
  const char* bilinear = "aten.upsample_bilinear2d.vec";
  expect_refused(after_conv(bilinear, {Ints{16, 16}, true, Arg()}), bilinear,
                 "scale of the height: expected one of 1, 2, 4, 8, got 2.14286 (8 to 16)", as_it_is);
  expect_taken(after_conv(bilinear, {Ints{15, 29}, true, Arg()}), bilinear);
  expect_refused(after_conv(bilinear, {Ints{4, 4}, true, Arg()}, {1, 3, 1, 1}), bilinear,
                 "height: expected > 1 with align_corners, got 1", as_it_is);
}

TEST(Refusals, Clips) {
  const char* clamp = "aten.clamp.default";
  expect_refused(after_conv(clamp, {-INFINITY, INFINITY}), clamp, "bounds: expected at least one finite, got none");
  expect_taken(after_conv(clamp, {0.0, 6.0}), clamp);
}

TEST(Refusals, AloneInAPartition) {
  const auto alone = [](const std::string& op, Ints input, std::vector<Arg> more) {
    return [=](GraphBuilder& b) {
      std::vector<Arg> args = {b.input(input)};
      args.insert(args.end(), more.begin(), more.end());
      return b.call(op, args);
    };
  };
  expect_refused(alone("aten.clamp.default", {2, 3}, {-100.0, 100.0}), "aten.clamp.default",
                 "alone in its partition: expected a range that it clips");
  expect_refused(alone("aten.hardtanh.default", {2, 3}, {-1000.0, 1000.0}), "aten.hardtanh.default",
                 "alone in its partition: expected a range that it clips");
  expect_taken(alone("aten.relu.default", {2, 3}, {}), "aten.relu.default");
  expect_refused(alone("aten.mean.dim", {1, 3, 1, 1}, {Ints{2, 3}, true}), "aten.mean.dim",
                 "alone in its partition: expected a reduced dimension above 1, got all 1");
  expect_refused(alone("aten.upsample_nearest2d.vec", {1, 3, 4, 4}, {Ints{4, 4}, Arg()}), "aten.upsample_nearest2d.vec",
                 "alone in its partition: expected another size, got the same");
  expect_refused(alone("aten.view.default", {2, 6}, {Ints{3, 4}}), "aten.view.default",
                 "its partition: expected an operator that computes");
  expect_refused(alone("aten.dropout.default", {2, 3}, {0.5, false}), "aten.dropout.default",
                 "its partition: expected an operator that computes");
  expect_refused(
      [](GraphBuilder& b) {
        Node* x = b.input({2, 3});
        return b.call("aten.add.Tensor", {x, b.tensor("zeros", at::zeros({2, 3}))});
      },
      "aten.add.Tensor", "its partition: expected an operator that computes");
  expect_refused(
      [](GraphBuilder& b) {
        return b.call("aten.cat.default", {std::vector<Arg>{b.input({2, 3})}, 0});
      },
      "aten.cat.default", "its partition: expected an operator that computes");
}

TEST(Refusals, ConstantsThatArePermuted) {
  GraphBuilder b;
  Node* x = b.input({3, 2});
  auto module = quantized(b, {b.call("aten.permute.default", {x, Ints{1, 0}})});
  Node* permute = node_of(*module, "aten.permute.default");
  Node* dequantize = permute->arg("self").node();
  module->set_attr("stored", at::ones({3, 2}, at::kChar), AttrKind::kBuffer);
  {
    const auto here = module->graph().inserting_before(dequantize);
    Node* stored = module->graph().get_attr("stored");
    stored->set_meta(TensorMeta{at::kChar, {3, 2}});
    dequantize->set_arg("input", stored);
  }
  expect_refused(*module, "aten.permute.default", "alone in its partition: expected a computed value, got a constant");
}

TEST(Refusals, BatchNormOnItsOwn) {
  expect_refused(
      [](GraphBuilder& b) {
        return b.batch_norm("bn", b.input({1, 4, 3, 3, 3}), 4);
      },
      "aten.batch_norm.default", "BatchNorm: expected behind a convolution or linear");
}

TEST(Refusals, FloatNeighbours) {
  expect_refused(after_conv("aten.gelu.default", {}), "aten.gelu.default",
                 "no rule of imxrt700 knows aten.gelu.default");
  const auto behind_gelu = [](GraphBuilder& b) {
    Node* x = b.call("aten.gelu.default", {b.input({1, 4})});
    return b.call("aten.view.default", {x, Ints{4}});
  };
  expect_refused(behind_gelu, "aten.view.default", "inputs: expected all quantized, got float from gelu");
}

TEST(Refusals, WholeNumbers) {
  const auto places = [](GraphBuilder& b) {
    Node* x = b.call("aten.argmax.default", {b.call("aten.relu.default", {b.input({1, 4, 5})}), 2});
    return b.call("aten.slice.Tensor", {x, 1, 1, 3});
  };
  expect_refused(places, "aten.slice.Tensor", "its result is int64, which is never quantized");
}

// A fused activation goes with its convolution.
TEST(Refusals, FusedActivations) {
  expect_refused(
      [](GraphBuilder& b) {
        Node* x = conv({1, 57, 32, 32}, {2, 57, 32, 32})(b);
        return b.call("aten.relu.default", {x});
      },
      "aten.relu.default", "it is computed with conv2d");
}

TEST(Check, BeforeCalibrationScalesAreConditions) {
  GraphBuilder b;
  Node* result = b.call("aten.relu.default", {b.input({2, 3})});
  const auto module = b.finish({result});
  const std::string before = module->graph().text();
  NeutronQuantizer quantizer{NeutronTargetSpec("imxrt700")};
  const targets::Check check = targets::check_model(*module, quantizer);
  EXPECT_EQ(module->graph().text(), before) << "the model is left as it was";
  EXPECT_FALSE(check.scales_known);
  ASSERT_EQ(check.placement.operators.size(), 1u);
  EXPECT_TRUE(check.placement.operators[0].partition);
  ASSERT_EQ(check.placement.operators[0].conditions.size(), 1u);
  EXPECT_NE(check.placement.operators[0].conditions[0].find("clips within the input's range"), std::string::npos);
}

TEST(Check, InputSizesAreVaried) {
  GraphBuilder b;
  const auto module = b.finish({after_conv("aten.adaptive_avg_pool2d.default", {Ints{4, 4}})(b)});
  NeutronOptions without;
  without.without_passes = {"decompose_uneven_averages"};
  NeutronQuantizer quantizer{without};
  EXPECT_EQ(targets::check_model(*module, quantizer).placement.on_cpu(), 0);
  EXPECT_EQ(targets::check_model(*module, quantizer, {{1, 3, 12, 16}}).placement.on_cpu(), 0);
  const targets::Check uneven = targets::check_model(*module, quantizer, {{1, 3, 10, 8}});
  EXPECT_EQ(uneven.placement.on_cpu(), 1);
  EXPECT_EQ(row_of(uneven.placement, "aten.adaptive_avg_pool2d.default")->way_out,
            "another input size, or padding to 12");
  EXPECT_THROW(targets::check_model(*module, quantizer, {{1, 3, 8, 8}, {1}}), Error);
  EXPECT_THROW(targets::check_model(*module, quantizer, {{1, 5, 8, 8}}), Error);
}

TEST(Check, SharesAndTransitions) {
  GraphBuilder b;
  Node* x = b.conv2d("c", b.input({1, 3, 8, 8}), 3, 4);  // 4 * 64 * 27 MACs
  x = b.call("aten.gelu.default", {x});
  x = b.conv2d("d", x, 4, 4);
  const auto module = quantized(b, {x});
  const Placement placement = targets::place(*module, target());
  EXPECT_EQ(placement.partitions, 2);
  EXPECT_EQ(placement.on_cpu(), 1);
  EXPECT_EQ(placement.operators[0].macs, 4 * 64 * 27);
  EXPECT_EQ(placement.macs(), placement.npu_macs());
  EXPECT_EQ(placement.operators[0].bytes, 4 * 27 + 4 * 4) << "int8 weights and int32 biases";
  ASSERT_EQ(placement.transitions.size(), 2u);
  EXPECT_EQ(placement.transitions[0].to, placement.operators[1].where);
  EXPECT_EQ(placement.transitions[1].from, placement.operators[1].where);
}

}  // namespace
}  // namespace octet

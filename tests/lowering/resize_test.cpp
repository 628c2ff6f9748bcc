// Resizes by a scale that is not the ratio of the sizes, which is all that TFLite's know.
#include <ATen/ops/equal.h>
#include <gtest/gtest.h>

#include "octet/integer/executor.h"
#include "octet/lowering/lowering.h"
#include "octet/quantize/sqnr.h"
#include "octet/support/error.h"
#include "octet/targets/engine/calibrate_and_quantize.h"
#include "octet/targets/engine/placement/check.h"
#include "octet/targets/neutron/neutron_quantizer.h"
#include "tests/engine/graph_builder.h"

namespace octet {
namespace {

using test::GraphBuilder;
using tflite::OpCode;

struct Resize {
  std::string op;
  int64_t height, width;
  std::vector<double> scale;  // of height and width; empty: to twice the size, without one
};

std::shared_ptr<GraphModule> network(GraphBuilder& g, const Resize& resize) {
  Node* x = g.call("aten.relu.default", {g.input({2, 3, resize.height, resize.width})});
  const Arg size = resize.scale.empty() ? Arg(std::vector<int64_t>{2 * resize.height, 2 * resize.width}) : Arg();
  const Arg scale = resize.scale.empty() ? Arg() : Arg(c10::IValue(resize.scale));
  const std::string op = (resize.op == "nearest_exact" ? "aten._upsample_" : "aten.upsample_") + resize.op + "2d.vec";
  Node* big = resize.op != "bilinear" ? g.call(op, {x, size, scale}) : g.call(op, {x, size, false, scale});
  return g.finish({big});
}

NeutronOptions with(MulRange mul_range) {
  NeutronOptions options;
  options.mul_range = mul_range;
  return options;
}

std::shared_ptr<GraphModule> quantized(const std::shared_ptr<GraphModule>& model, const GraphBuilder& g,
                                       MulRange mul_range = MulRange::kObserved) {
  NeutronQuantizer quantizer(with(mul_range));
  const auto converted = calibrate_and_quantize(model, {g.inputs()}, quantizer);
  propagate_shapes(*converted, g.inputs());
  return converted;
}

size_t how_many(const tflite::Model& program, OpCode code) {
  return static_cast<size_t>(std::count_if(program.operators.begin(), program.operators.end(),
                                           [&](const auto& op) { return op.code == code; }));
}

TEST(Resizes, ToTheNearestReadWhatPyTorchReads) {
  const at::NoGradGuard no_grad;
  for (const Resize& each : std::vector<Resize>{{"nearest", 4, 4, {1.6, 1.6}},
                                                {"nearest", 7, 5, {1.3, 2.0}},
                                                {"nearest", 9, 8, {0.7, 0.4}},
                                                {"nearest", 5, 6, {2.0, 2.0}},
                                                {"nearest", 5, 6, {}},
                                                {"nearest", 4, 3, {2.49, 3.34}},
                                                {"nearest_exact", 4, 4, {1.6, 1.6}},
                                                {"nearest_exact", 9, 8, {0.7, 0.4}},
                                                {"nearest_exact", 5, 6, {2.0, 2.0}},
                                                {"nearest_exact", 5, 6, {}}}) {
    at::manual_seed(2);
    GraphBuilder g;
    const auto converted = quantized(network(g, each), g);
    const at::Tensor wanted = converted->run(g.inputs())[0];
    const tflite::Model program = lower(*converted);
    const at::Tensor got = integer::Executor(program).run_dequantized(g.inputs())[0];
    EXPECT_TRUE(at::equal(got, wanted)) << each.height << " by " << testing::PrintToString(each.scale);
  }
}

TEST(Resizes, StayOneOperatorWhereSizesSayTheSame) {
  for (const auto& [scale, gathers] : std::vector<std::pair<std::vector<double>, size_t>>{
           {{2.0, 2.0}, 0}, {{}, 0}, {{1.5, 1.5}, 0}, {{1.6, 1.6}, 2}}) {
    GraphBuilder g;
    const auto converted = quantized(network(g, {"nearest", 4, 4, scale}), g, MulRange::kReference);
    const tflite::Model program = lower(*converted);
    EXPECT_EQ(how_many(program, OpCode::kGather), gathers);
    EXPECT_EQ(how_many(program, OpCode::kResizeNearestNeighbor), gathers == 0 ? 1u : 0u);
  }
}

TEST(Resizes, BilinearByAnotherScaleAreTwoLinears) {
  const at::NoGradGuard no_grad;
  for (const Resize& each : std::vector<Resize>{
           {"bilinear", 6, 5, {1.7, 1.7}}, {"bilinear", 10, 12, {0.4, 0.4}}, {"bilinear", 4, 4, {2.1, 2.0}}}) {
    at::manual_seed(3);
    GraphBuilder g;
    const auto model = network(g, each);
    const at::Tensor wanted = model->copy()->run(g.inputs())[0];
    const tflite::Model program = lower(*quantized(model, g));
    EXPECT_EQ(how_many(program, OpCode::kFullyConnected), 2u);
    const at::Tensor got = integer::Executor(program).run_dequantized(g.inputs())[0];
    EXPECT_GT(compute_error(wanted, got), 28.0) << each.height << " by " << testing::PrintToString(each.scale);
  }
}

// With the reference's range of mul they stay what they are.
TEST(Resizes, BilinearByAnotherScaleAreRefused) {
  GraphBuilder fits;
  const auto taken = quantized(network(fits, {"bilinear", 4, 4, {1.5, 1.5}}), fits, MulRange::kReference);
  EXPECT_EQ(how_many(lower(*taken), OpCode::kResizeBilinear), 1u);
  GraphBuilder g;
  const auto converted = quantized(network(g, {"bilinear", 4, 4, {1.6, 1.6}}), g, MulRange::kReference);
  try {
    lower(*converted);
    FAIL() << "TFLite reads at other places";
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("not the ratio of its sizes; interpolate(size=...)"), std::string::npos)
        << error.what();
  }
}

// 4 rows by 2.1 are 8: a scale that the NPU has, and another step.
TEST(Resizes, ByAnotherScaleAreNotOnTheNpu) {
  GraphBuilder g;
  const auto model = network(g, {"bilinear", 4, 4, {2.1, 2.1}});
  NeutronQuantizer quantizer(with(MulRange::kReference));
  const targets::Check check = targets::check_model(*model, quantizer);
  EXPECT_NE(check.placement.operators.back().reason.find("scale_factor: expected the ratio of its sizes"),
            std::string::npos)
      << check.placement.operators.back().reason;
}

}  // namespace
}  // namespace octet

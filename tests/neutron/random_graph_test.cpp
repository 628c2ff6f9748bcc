// Random graphs of supported operators: they prepare, calibrate and convert without an error, keep close to the float
// model, and leave no operator in float.

#include <gtest/gtest.h>

#include <ATen/Parallel.h>

#include <cmath>
#include <random>

#include "octet/quantize/rows.h"
#include "octet/support/error.h"
#include "octet/targets/engine/calibrate_and_quantize.h"
#include "octet/targets/neutron/neutron_quantizer.h"
#include "octet/targets/neutron/operator_rules.h"
#include "tests/engine/graph_builder.h"

namespace octet {
namespace {

using Ints = std::vector<int64_t>;

// Grows a graph of 4-D values [1, C, H, W] from one input; each step applies a random operator to a random earlier
// value.
class Grower {
 public:
  explicit Grower(uint32_t seed) : random_(seed) {
    at::manual_seed(seed);
    values_.push_back({graph_.input({1, 4, 8, 8}), {1, 4, 8, 8}});
  }

  std::shared_ptr<GraphModule> grow(int64_t steps) {
    for (int64_t step = 0; step < steps; ++step) values_.push_back(next(step));
    return graph_.finish({values_.back().node});
  }
  const std::vector<at::Tensor>& inputs() const { return graph_.inputs(); }

 private:
  struct Value {
    Node* node;
    Ints sizes;
  };

  int64_t pick(int64_t count) { return std::uniform_int_distribution<int64_t>(0, count - 1)(random_); }
  // The newest value three times out of four, so that chains grow.
  Value any() {
    return pick(4) > 0 ? values_.back() : values_[static_cast<size_t>(pick(static_cast<int64_t>(values_.size())))];
  }
  // A value of the same shape, if another has it; else the value itself.
  Value same_shape(const Value& value) {
    std::vector<Value> found;
    for (const Value& other : values_) {
      if (other.sizes == value.sizes) found.push_back(other);
    }
    return found[static_cast<size_t>(pick(static_cast<int64_t>(found.size())))];
  }
  Node* call(const std::string& op, std::vector<Arg> args) { return graph_.call(op, std::move(args)); }

  Value convolution(int64_t step, const Value& x) {
    const int64_t in = x.sizes[1];
    const int64_t kind = pick(4);
    const int64_t out = kind == 0 ? in : 2 * (1 + pick(4));
    const int64_t groups = kind == 0 ? in : kind == 1 && in % 2 == 0 ? 2 : 1;
    Node* conv = graph_.conv2d(str("c", step), x.node, in, out, groups);
    if (pick(2) == 0) conv = graph_.batch_norm(str("n", step), conv, out);
    return {conv, {1, out, x.sizes[2], x.sizes[3]}};
  }

  Value activation(const Value& x) {
    switch (pick(8)) {
      case 0:
        return {call("aten.relu.default", {x.node}), x.sizes};
      case 1:
        return {call("aten.relu6.default", {x.node}), x.sizes};
      case 2:
        return {call("aten.hardtanh.default", {x.node, 0.0, 6.0}), x.sizes};
      case 3:
        return {call("aten.sigmoid.default", {x.node}), x.sizes};
      case 4:
        return {call("aten.tanh.default", {x.node}), x.sizes};
      case 5:
        return {call("aten.hardswish.default", {x.node}), x.sizes};
      case 6:
        return {call("aten.leaky_relu.default", {x.node}), x.sizes};
      default:
        return {call("aten.clamp.default", {x.node, -1.5, 1.5}), x.sizes};
    }
  }

  Value pair(const Value& x) {
    Node* other = same_shape(x).node;
    switch (pick(4)) {
      case 0:
        return {call("aten.add.Tensor", {x.node, other}), x.sizes};
      case 1:
        return {call("aten.sub.Tensor", {x.node, other}), x.sizes};
      case 2:
        return {call("aten.maximum.default", {x.node, other}), x.sizes};
      default: {
        Ints sizes = x.sizes;
        sizes[1] *= 2;
        return {call("aten.cat.default", {Arg(std::vector<Arg>{x.node, other}), int64_t{1}}), sizes};
      }
    }
  }

  Value move(const Value& x) {
    const Ints& s = x.sizes;
    switch (pick(6)) {
      case 0:
        return {call("aten.abs.default", {x.node}), s};
      case 1:
        return {call("aten.permute.default", {x.node, Ints{0, 1, 3, 2}}), {s[0], s[1], s[3], s[2]}};
      case 2:
        return {call("aten.dropout.default", {x.node, 0.3, false}), s};
      case 3: {
        Node* flat = call("aten.flatten.using_ints", {x.node, int64_t{2}});
        return {call("aten.view.default", {flat, s}), s};
      }
      case 4: {
        if (s[1] < 2) return {call("aten.neg.default", {x.node}), s};
        Node* half = graph_.item(call("aten.split.Tensor", {x.node, s[1] / 2, int64_t{1}}), 1);
        return {half, {s[0], s[1] / 2, s[2], s[3]}};
      }
      default:
        if (s[2] < 4 || s[3] < 4) return {call("aten.mean.dim", {x.node, Ints{2, 3}, true}), {s[0], s[1], 1, 1}};
        return {call(pick(2) == 0 ? "aten.max_pool2d.default" : "aten.avg_pool2d.default",
                     {x.node, Ints{2, 2}, Ints{2, 2}}),
                {s[0], s[1], s[2] / 2, s[3] / 2}};
    }
  }

  Value next(int64_t step) {
    const Value x = any();
    if (x.sizes[1] > 32) return {call("aten.mean.dim", {x.node, Ints{1}, true}), {1, 1, x.sizes[2], x.sizes[3]}};
    switch (pick(5)) {
      case 0:
      case 1:
        return convolution(step, x);
      case 2:
        return activation(x);
      case 3:
        return pair(x);
      default:
        return move(x);
    }
  }

  std::mt19937 random_;
  test::GraphBuilder graph_;
  std::vector<Value> values_;
};

double decibel(const at::Tensor& reference, const at::Tensor& value) {
  const double noise = (reference - value).norm().item<double>();
  return noise == 0.0 ? 200.0 : 20 * std::log10(reference.norm().item<double>() / noise);
}

// An operator computed together with the activation behind it has no output of its own.
void expect_no_float_operator(const GraphModule& model) {
  static const targets::RuleTable rules(neutron::operator_rules(NeutronTargetSpec("imxrt700")));
  for (const Node* node : model.graph().nodes()) {
    if (!node->is_call() || node->target().rfind("quantized_decomposed.", 0) == 0) continue;
    for (const Node* input : node->inputs()) {
      const bool quantized = input->is_call() && input->target().rfind("quantized_decomposed.dequantize", 0) == 0;
      const bool fused = input->is_call() && input->user_count() == 1 && rules.find(*node)->is_activation;
      EXPECT_TRUE(quantized || fused) << node->name() << " reads '" << input->name() << "' in float\n"
                                      << model.graph().text();
    }
  }
}

class RandomGraphTest : public testing::TestWithParam<bool> {};

TEST_P(RandomGraphTest, QuantizesWholeAndStaysClose) {
  const bool is_qat = GetParam();
  at::set_num_threads(1);  // tensors this small only wait for each other
  constexpr uint32_t kGraphs = 250;
  std::vector<double> closeness;
  for (uint32_t seed = 0; seed < kGraphs; ++seed) {
    SCOPED_TRACE(str("seed ", seed));
    Grower grower(seed);
    const auto model = grower.grow(3 + static_cast<int64_t>(seed % 12));
    const at::Tensor wanted = model->run(grower.inputs()).at(0);
    std::vector<std::vector<at::Tensor>> samples = {grower.inputs()};
    for (int i = 0; i < 2; ++i) samples.push_back({at::randn({1, 4, 8, 8})});
    NeutronQuantizer quantizer(NeutronTargetSpec("imxrt700"), is_qat);
    const auto quantized = calibrate_and_quantize(model->copy(), samples, quantizer);
    if (!is_qat) expect_no_float_operator(*quantized);
    const at::Tensor output = quantized->run(grower.inputs()).at(0);
    ASSERT_EQ(output.sizes(), wanted.sizes());
    ASSERT_TRUE(at::isfinite(output).all().item<bool>());
    closeness.push_back(decibel(wanted, output));
    if (HasFailure()) break;
  }
  std::sort(closeness.begin(), closeness.end());
  ASSERT_EQ(closeness.size(), kGraphs);
  RecordProperty("worst_sqnr_db", std::to_string(closeness.front()));
  RecordProperty("median_sqnr_db", std::to_string(closeness[kGraphs / 2]));
  std::cout << "SQNR in dB: worst " << closeness.front() << ", 5 % below " << closeness[kGraphs / 20] << ", median "
            << closeness[kGraphs / 2] << "\n";
  // In training, the one moving average of a shared range follows whichever tensor it saw first (as in the reference),
  // so that the others are cut off until it has moved.
  EXPECT_GT(closeness[kGraphs / 2], 33.0);
  EXPECT_GT(closeness[kGraphs / 20], is_qat ? 5.0 : 28.0);
  EXPECT_GT(closeness.front(), is_qat ? 0.0 : 15.0);
}

INSTANTIATE_TEST_SUITE_P(Modes, RandomGraphTest, testing::Bool(),
                         [](const auto& test) { return test.param ? "qat" : "ptq"; });

}  // namespace
}  // namespace octet

#include "octet/quantize/decomposed_ops.h"

#include <gtest/gtest.h>

#include <limits>

#include "octet/graph/late_operators.h"
#include "octet/graph/op.h"
#include "octet/support/error.h"

namespace octet {
namespace {

std::vector<at::Tensor> call(const std::string& op, std::vector<c10::IValue> arguments) {
  c10::Stack stack(std::move(arguments));
  Op::find("quantized_decomposed." + op).handle().callBoxed(stack);
  std::vector<at::Tensor> results;
  for (const c10::IValue& value : stack) results.push_back(value.toTensor());
  return results;
}

c10::IValue type(at::ScalarType dtype) { return static_cast<int64_t>(dtype); }

TEST(DecomposedOps, AreKnownByTheirTraits) {
  define_all_late_operators();
  std::set<std::string> quantize, dequantize;  // packets
  for (const c10::OperatorName& name : c10::Dispatcher::singleton().getAllOpNames()) {
    if (name.name.rfind("quantized_decomposed::", 0) != 0) continue;
    const auto handle = c10::Dispatcher::singleton().findSchema(name);
    if (!handle) continue;
    const Op op(*handle);
    EXPECT_TRUE(op.is(Trait::kDecomposed)) << op.text();
    if (op.is(Trait::kQuantize)) quantize.insert(std::string(op.short_name()));
    if (op.is(Trait::kDequantize)) dequantize.insert(std::string(op.short_name()));
  }
  EXPECT_EQ(quantize, (std::set<std::string>{"quantize_per_channel", "quantize_per_channel_group",
                                             "quantize_per_tensor", "quantize_per_token"}));
  EXPECT_EQ(dequantize.size(), quantize.size());
}

TEST(DecomposedOps, HaveTorchsSchemas) {
  const auto schema = [](const std::string& op) { return octet::str(Op::find("quantized_decomposed." + op).schema()); };
  EXPECT_EQ(schema("quantize_per_tensor.default"),
            "quantized_decomposed::quantize_per_tensor(Tensor input, float scale, int zero_point, int quant_min, int "
            "quant_max, ScalarType dtype) -> Tensor");
  EXPECT_EQ(schema("dequantize_per_tensor.tensor2"),
            "quantized_decomposed::dequantize_per_tensor.tensor2(Tensor input, Tensor scale, Tensor zero_point, Tensor "
            "quant_min, Tensor quant_max, ScalarType dtype, *, ScalarType? out_dtype=None) -> Tensor");
  EXPECT_EQ(
      schema("dequantize_per_channel.default"),
      "quantized_decomposed::dequantize_per_channel(Tensor input, Tensor scales, Tensor? zero_points, int axis, int "
      "quant_min, int quant_max, ScalarType dtype, *, ScalarType? out_dtype=None) -> Tensor");
  EXPECT_EQ(schema("choose_qparams.tensor"),
            "quantized_decomposed::choose_qparams.tensor(Tensor input, int quant_min, int quant_max, float eps, "
            "ScalarType dtype) -> (Tensor, Tensor)");
  EXPECT_EQ(schema("dequantize_per_channel_group.default"),
            "quantized_decomposed::dequantize_per_channel_group(Tensor input, Tensor scales, Tensor? zero_points, int "
            "quant_min, int quant_max, ScalarType dtype, int group_size, ScalarType output_dtype) -> Tensor");
}

TEST(DecomposedOps, QuantizePerTensorRoundsHalfToEvenAndClips) {
  const at::Tensor x = at::tensor({-200.0F, -1.5F, -0.5F, 0.5F, 1.5F, 2.5F, 400.0F});
  const at::Tensor q = decomposed::quantize_per_tensor(x, 1.0, 10, -128, 127, at::kChar);
  EXPECT_TRUE(at::equal(q, at::tensor({-128, 8, 10, 10, 12, 12, 127}, at::kChar)));
  const at::Tensor back = decomposed::dequantize_per_tensor(q, 0.5, 10, -128, 127, at::kChar);
  EXPECT_TRUE(at::equal(back, at::tensor({-69.0F, -1.0F, 0.0F, 0.0F, 1.0F, 1.0F, 58.5F})));
}

TEST(DecomposedOps, OverloadsAgree) {
  at::manual_seed(1);
  const at::Tensor x = at::randn({50});
  const at::Tensor s = at::full({1}, 0.03, at::kDouble);
  const at::Tensor z = at::full({1}, -7, at::kLong);
  const at::Tensor low = at::full({1}, -100, at::kLong);
  const at::Tensor high = at::full({1}, 100, at::kLong);
  const at::Tensor q = call("quantize_per_tensor.default", {x, 0.03, -7, -100, 100, type(at::kChar)})[0];
  EXPECT_EQ(q.scalar_type(), at::kChar);
  EXPECT_TRUE(at::equal(q, call("quantize_per_tensor.tensor", {x, s, z, -100, 100, type(at::kChar)})[0]));
  EXPECT_TRUE(at::equal(q, call("quantize_per_tensor.tensor2", {x, s, z, low, high, type(at::kChar)})[0]));
  const c10::IValue none;
  const at::Tensor y = call("dequantize_per_tensor.default", {q, 0.03, -7, -100, 100, type(at::kChar), none})[0];
  EXPECT_TRUE(at::equal(y, call("dequantize_per_tensor.tensor", {q, s, z, -100, 100, type(at::kChar), none})[0]));
  EXPECT_TRUE(at::equal(y, call("dequantize_per_tensor.tensor2", {q, s, z, low, high, type(at::kChar), none})[0]));
  EXPECT_EQ(call("dequantize_per_tensor.default", {q, 0.03, -7, -100, 100, type(at::kChar), type(at::kHalf)})[0]
                .scalar_type(),
            at::kHalf);
}

TEST(DecomposedOps, PerChannelIsPerTensorChannelByChannel) {
  at::manual_seed(2);
  const at::Tensor x = at::randn({4, 5, 6});
  for (int64_t axis = 0; axis < 3; ++axis) {
    const int64_t channels = x.size(axis);
    const at::Tensor scales = at::rand({channels}) * 0.02 + 0.01;
    const at::Tensor zeros = at::randint(-10, 10, {channels}, at::kLong);
    const at::Tensor q = decomposed::quantize_per_channel(x, scales, zeros, axis, -127, 127, at::kChar);
    const at::Tensor y = decomposed::dequantize_per_channel(q, scales, zeros, axis, -127, 127, at::kChar);
    const at::Tensor plain = decomposed::dequantize_per_channel(q, scales, std::nullopt, axis, -127, 127, at::kChar);
    for (int64_t c = 0; c < channels; ++c) {
      const double scale = scales[c].item<float>();
      const auto zero = zeros[c].item<int64_t>();
      const at::Tensor one = decomposed::quantize_per_tensor(x.select(axis, c), scale, zero, -127, 127, at::kChar);
      EXPECT_TRUE(at::equal(q.select(axis, c), one));
      EXPECT_TRUE(
          at::equal(y.select(axis, c), decomposed::dequantize_per_tensor(one, scale, zero, -127, 127, at::kChar)));
      EXPECT_TRUE(
          at::equal(plain.select(axis, c), decomposed::dequantize_per_tensor(one, scale, 0, -127, 127, at::kChar)));
    }
  }
}

// Rows of any length and memory order, halves, values beyond the range and none at all, against plain operators.
TEST(DecomposedOps, RowsOfAnyMemoryOrderAreRoundedAlike) {
  at::manual_seed(3);
  const auto wanted = [](const at::Tensor& x, const at::Tensor& scales, const at::Tensor& zeros) {
    const std::vector<int64_t> shape = {-1, 1, 1, 1};
    const at::Tensor q = at::round(x * at::reciprocal(scales.reshape(shape))) + zeros.reshape(shape);
    return q.clamp(-128, 127).to(at::kChar);
  };
  for (const int64_t channels : {1, 2, 17}) {
    for (const int64_t size : {1, 3, 6}) {
      at::Tensor x = at::randint(-300, 300, {channels, 5, size, size}).to(at::kFloat) * 0.25F;
      x.view(-1)[0] = std::numeric_limits<float>::quiet_NaN();
      x.view(-1)[3] = std::numeric_limits<float>::infinity();
      const at::Tensor scales = at::pow(2.0, at::randint(-3, 2, {channels}).to(at::kFloat));
      const at::Tensor zeros = at::randint(-10, 10, {channels}, at::kLong);
      const at::Tensor last = x.contiguous(at::MemoryFormat::ChannelsLast), turned = x.transpose(0, 1).contiguous();
      for (const at::Tensor& given : {x, last, turned.transpose(0, 1), x.slice(1, 1, 4)}) {
        const at::Tensor q = decomposed::quantize_per_channel(given, scales, zeros, 0, -128, 127, at::kChar);
        EXPECT_TRUE(at::equal(q, wanted(given, scales, zeros))) << channels << " " << size << " " << given.strides();
        const at::Tensor whole = decomposed::quantize_per_tensor(given, 0.3, -7, -100, 127, at::kChar);
        EXPECT_TRUE(at::equal(whole, (at::round(given * (1.0 / 0.3)) - 7).clamp(-100, 127).to(at::kChar)));
      }
      const at::Tensor q = decomposed::quantize_per_channel(last, scales, zeros, 0, -128, 127, at::kChar);
      EXPECT_EQ(q.strides(), last.strides());
    }
  }
}

// The numbers that torch 2.13's own operators give.
TEST(DecomposedOps, DynamicParametersEqualTorchs) {
  const at::Tensor x = at::tensor({-1.5F, 0.25F, 3.1F, 0.01F, -0.02F, 0.005F}).view({2, 3});
  auto affine = call("choose_qparams.tensor", {x, -128, 127, 1e-7, type(at::kChar)});
  EXPECT_EQ(affine[0].scalar_type(), at::kDouble);
  EXPECT_EQ(affine[1].scalar_type(), at::kLong);
  EXPECT_EQ(affine[0].item<double>(), 0x1.278df4p-6);
  EXPECT_EQ(affine[1].item<int64_t>(), -45);
  auto symmetric = call("choose_qparams_symmetric.tensor", {x, 0, 255, 1e-7, type(at::kByte)});
  EXPECT_EQ(symmetric[0].item<double>(), 0x1.8e5b28p-6);
  EXPECT_EQ(symmetric[1].item<int64_t>(), 128);

  auto token = call("choose_qparams_per_token.default", {x, type(at::kChar)});
  EXPECT_TRUE(at::equal(token[0], at::tensor({0x1.8feca6p-6F, 0x1.4a429ap-13F}).view({2, 1})));
  EXPECT_TRUE(at::equal(token[1], at::zeros({2, 1})));
  auto shifted = call("choose_qparams_per_token_asymmetric.default", {x, type(at::kChar)});
  EXPECT_TRUE(at::equal(shifted[0], at::tensor({0x1.278df4p-6, 0x1.ed729p-14}, at::kDouble).view({2, 1})));
  EXPECT_TRUE(at::equal(shifted[1], at::tensor({-45, 42}, at::kLong).view({2, 1})));

  const at::Tensor scales = at::tensor({0.02F, 0.0001F}).view({2, 1});
  const at::Tensor zeros = at::tensor({3, 0}, at::kInt).view({2, 1});
  const at::Tensor q = call("quantize_per_token.default", {x, scales, zeros, -128, 127, type(at::kChar)})[0];
  EXPECT_TRUE(at::equal(q, at::tensor({-72, 16, 127, 100, -128, 50}, at::kChar).view({2, 3})));
  const at::Tensor y =
      call("dequantize_per_token.default", {q, scales, zeros, -128, 127, type(at::kChar), type(at::kFloat)})[0];
  EXPECT_TRUE(at::allclose(y[0], at::tensor({-1.5F, 0.26F, 2.48F})));
}

TEST(DecomposedOps, GroupsShareTheirParameters) {
  at::manual_seed(3);
  const at::Tensor x = at::randn({3, 8});
  const at::Tensor scales = at::rand({3, 2}) * 0.1 + 0.02;
  const at::Tensor zeros = at::randint(-3, 3, {3, 2}, at::kInt);
  const at::Tensor q = call("quantize_per_channel_group.default", {x, scales, zeros, -8, 7, type(at::kChar), 4})[0];
  const at::Tensor y =
      call("dequantize_per_channel_group.default", {q, scales, zeros, -8, 7, type(at::kChar), 4, type(at::kFloat)})[0];
  for (int64_t row = 0; row < 3; ++row) {
    for (int64_t group = 0; group < 2; ++group) {
      const at::Tensor part = x[row].slice(0, group * 4, group * 4 + 4);
      const float scale = scales[row][group].item<float>();
      const int zero = zeros[row][group].item<int>();
      const at::Tensor expected = (part * (1.0F / scale) + zero).round().clamp(-8, 7);
      EXPECT_TRUE(at::equal(q[row].slice(0, group * 4, group * 4 + 4), expected.to(at::kChar)));
      EXPECT_TRUE(at::allclose(y[row].slice(0, group * 4, group * 4 + 4), (expected - zero) * scale));
    }
  }
  EXPECT_THROW(call("quantize_per_channel_group.default", {x, scales, zeros, -8, 7, type(at::kChar), 3}),
               std::exception);
}

TEST(DecomposedOps, HalfTypesAreWidened) {
  const at::Tensor x = at::randn({20}).to(at::kHalf);
  EXPECT_TRUE(at::equal(decomposed::quantize_per_tensor(x, 0.02, 0, -128, 127, at::kChar),
                        decomposed::quantize_per_tensor(x.to(at::kFloat), 0.02, 0, -128, 127, at::kChar)));
}

TEST(DecomposedOps, Int32BoundsSurviveTheCast) {
  constexpr int64_t kLow = std::numeric_limits<int32_t>::min();
  constexpr int64_t kHigh = std::numeric_limits<int32_t>::max();
  const at::Tensor q = decomposed::quantize_per_tensor(at::tensor({1e20F, -1e20F}), 1.0, 0, kLow, kHigh, at::kInt);
  EXPECT_EQ(q[0].item<int32_t>(), 2147483520);
  EXPECT_EQ(q[1].item<int32_t>(), kLow);
}

TEST(DecomposedOps, NameWhatDoesNotFit) {
  const at::Tensor x = at::randn({2, 3});
  EXPECT_THROW(decomposed::quantize_per_tensor(x.to(at::kInt), 1, 0, -128, 127, at::kChar), Error);
  EXPECT_THROW(decomposed::quantize_per_tensor(x, 1, 0, -129, 127, at::kChar), Error);
  EXPECT_THROW(decomposed::quantize_per_tensor(x, 1, 0, 0, 255, at::kFloat), Error);
  EXPECT_THROW(decomposed::dequantize_per_tensor(x, 1, 0, -128, 127, at::kChar), Error);
  const at::Tensor zeros = at::zeros({3}, at::kLong);
  EXPECT_THROW(decomposed::quantize_per_channel(x, at::ones({3}), zeros, 0, -128, 127, at::kChar), Error);
  EXPECT_THROW(decomposed::quantize_per_channel(x, at::ones({3}), zeros, 2, -128, 127, at::kChar), Error);
}

}  // namespace
}  // namespace octet

// torchao's operators on blocks, beside numbers that torchao 0.18.0 computed.

#include "octet/quantize/affine_ops.h"

#include <gtest/gtest.h>

#include "octet/graph/graph_module.h"
#include "octet/quantize/factories.h"
#include "octet/quantize/quantize_pt2e.h"
#include "tests/graph/expect_error.h"

namespace octet {
namespace {

using test::expect_error;

at::Tensor two_rows() {
  return at::tensor({0.75F, -0.1F, 0.33F, -0.52F, 0.01F, 0.02F, 0.4F, 0.31F, -1.0F, 0.2F, 0.9F, 0.05F, -0.3F, -0.2F,
                     -0.7F, -0.01F})
      .reshape({2, 8});
}

struct AffineCase {
  int64_t bits;
  MappingType mapping;
  std::vector<float> scale;
  std::vector<int64_t> zero_point;
  std::vector<int64_t> levels;
};

void expect_levels(const at::Tensor& found, const std::vector<int64_t>& wanted) {
  const at::Tensor flat = found.to(at::kLong).flatten();
  EXPECT_EQ(std::vector<int64_t>(flat.data_ptr<int64_t>(), flat.data_ptr<int64_t>() + flat.numel()), wanted);
}

TEST(AffineOps, GivesTorchaosNumbers) {
  using enum MappingType;
  const std::vector<AffineCase> cases = {
      {1, kSymmetric, {1.5F, 0.800000012F, 2.0F, 1.39999998F}, {0, 0, 0, 0}, std::vector<int64_t>(16, 0)},
      {1,
       kAsymmetric,
       {1.26999998F, 0.400000006F, 1.89999998F, 0.699999988F},
       {-1, -1, 0, 0},
       {0, -1, -1, -1, -1, -1, 0, 0, -1, 0, 0, 0, 0, 0, -1, 0}},
      {2,
       kSymmetricNoClippingErr,
       {0.75F, 0.400000006F, 0.899999976F, 0.349999994F},
       {0, 0, 0, 0},
       {1, 0, 0, -1, 0, 0, 1, 1, -1, 0, 1, 0, -1, -1, -2, 0}},
      {4,
       kSymmetric,
       {0.100000001F, 0.0533333346F, 0.13333334F, 0.0933333337F},
       {0, 0, 0, 0},
       {7, -1, 3, -5, 0, 0, 7, 6, -7, 1, 7, 0, -3, -2, -8, 0}},
      {4,
       kSymmetricNoClippingErr,
       {0.107142858F, 0.0571428575F, 0.128571421F, 0.0874999985F},
       {0, 0, 0, 0},
       {7, -1, 3, -5, 0, 0, 7, 5, -8, 2, 7, 0, -3, -2, -8, 0}},
      {4,
       kAsymmetric,
       {0.0846666619F, 0.0266666673F, 0.126666665F, 0.0466666669F},
       {-2, -8, 0, 7},
       {7, -3, 2, -8, -8, -7, 7, 4, -8, 2, 7, 0, 1, 3, -8, 7}},
      {8,
       kAsymmetric,
       {0.00498039229F, 0.00156862743F, 0.00745098013F, 0.00274509797F},
       {-24, -128, 6, 127},
       {127, -44, 42, -128, -122, -115, 127, 70, -128, 33, 127, 13, 18, 54, -128, 123}}};
  const at::Tensor w = two_rows();
  const std::vector<int64_t> block = {1, 4};
  const Op choose = Op::find("torchao.choose_qparams_affine.default");
  for (const AffineCase& each : cases) {
    SCOPED_TRACE(octet::str(each.bits, " bits, ", text(each.mapping)));
    const int64_t low = -(int64_t{1} << (each.bits - 1));
    const int64_t high = -low - 1;
    torch::jit::Stack stack = {w,
                               std::string(text(each.mapping)),
                               block,
                               static_cast<int64_t>(at::kChar),
                               low,
                               high,
                               c10::IValue(),
                               c10::IValue(),
                               static_cast<int64_t>(at::kChar),
                               true};
    choose.handle().callBoxed(&stack);
    const at::Tensor scale = stack.at(0).toTensor();
    const at::Tensor zero_point = stack.at(1).toTensor();
    EXPECT_TRUE(at::equal(scale.flatten(), at::tensor(each.scale))) << scale;
    EXPECT_EQ(scale.sizes(), at::IntArrayRef({2, 2}));
    EXPECT_EQ(zero_point.scalar_type(), at::kChar);
    expect_levels(zero_point, each.zero_point);
    const at::Tensor q = affine::quantize(w, block, scale, zero_point, at::kChar, low, high);
    expect_levels(q, each.levels);
    const at::Tensor x = affine::dequantize(q, block, scale, zero_point, at::kChar);
    const at::Tensor by_hand = (q.to(at::kFloat) - zero_point.repeat_interleave(4, 1)) * scale.repeat_interleave(4, 1);
    EXPECT_TRUE(at::equal(x, by_hand));
  }
}

TEST(AffineOps, GivesAGridForEachToken) {
  at::manual_seed(1);
  const at::Tensor x = at::randn({2, 3, 4});
  const Op choose = Op::find("torchao.choose_qparams_affine");
  const auto shapes = [&](std::vector<int64_t> block, bool keepdim) {
    torch::jit::Stack stack = {x,
                               std::string("ASYMMETRIC"),
                               block,
                               static_cast<int64_t>(at::kChar),
                               int64_t{-128},
                               int64_t{127},
                               c10::IValue(),
                               c10::IValue(),
                               c10::IValue(),
                               keepdim};
    choose.handle().callBoxed(&stack);
    EXPECT_EQ(stack.at(1).toTensor().scalar_type(), at::kInt);
    return stack.at(0).toTensor().sizes().vec();
  };
  EXPECT_EQ(shapes({1, 1, 4}, false), (std::vector<int64_t>{2, 3}));
  EXPECT_EQ(shapes({1, 1, 4}, true), (std::vector<int64_t>{2, 3, 1}));
  EXPECT_EQ(shapes({1, 3, 2}, false), (std::vector<int64_t>{2, 2}));
  const QParams grid = affine::choose_qparams(x, std::vector<int64_t>{1, 1, 4}, {});
  const at::Tensor q =
      affine::quantize(x, std::vector<int64_t>{1, 1, 4}, grid.scale, grid.zero_point, at::kChar, -128, 127);
  const at::Tensor back = affine::dequantize(q, std::vector<int64_t>{1, 1, 4}, grid.scale, grid.zero_point, at::kChar);
  EXPECT_TRUE((back - x).abs().le(grid.scale * 0.51).all().item<bool>());
}

TEST(AffineOps, RefusesWhatItCannotCompute) {
  const at::Tensor w = two_rows();
  const at::Tensor scale = at::ones({2, 2});
  const auto quantize = [&](std::vector<int64_t> block, int64_t low, int64_t high) {
    affine::quantize(w, block, scale, std::nullopt, at::kChar, low, high);
  };
  expect_error([&] { quantize({1, 3}, -8, 7); }, {"quantize_affine", "a divisor of 8", "got 3"});
  expect_error([&] { quantize({4}, -8, 7); }, {"block_size", "each of 2 dimensions", "[4]"});
  expect_error([&] { quantize({1, 2}, -8, 7); }, {"scales", "8, one a block", "got 4"});
  expect_error([&] { quantize({1, 4}, -8, 200); }, {"range of int8", "[-8, 200]"});
  expect_error(
      [&] {
        affine::dequantize(w, std::vector<int64_t>{1, 4}, scale, std::nullopt, at::kChar);
      },
      {"expected int8, got float32"});
  expect_error([] { mapping_from_text("LOPSIDED", "m"); }, {"SYMMETRIC_NO_CLIPPING_ERR", "'LOPSIDED'"});
  expect_error(
      [&] {
        affine::choose_qparams(w, std::vector<int64_t>{1, 4},
                               {.mapping = MappingType::kSymmetricNoClippingErr, .quant_min = -1, .quant_max = 0});
      },
      {"levels on both sides of 0", "[-1, 0]"});
}

TEST(AffineOps, WatchesEachBlockOfAWeight) {
  QuantizationSpec spec;
  spec.observer_or_fake_quant = block_min_max_observer(MappingType::kAsymmetric);
  spec.quant_min = -8;
  spec.quant_max = 7;
  spec.block_size = {1, 4};
  const auto observer = make_observer(spec);
  EXPECT_FALSE(observer->has_data());
  observer->forward(two_rows());
  EXPECT_TRUE(observer->has_data());
  const QParams grid = observer->calculate_qparams();
  EXPECT_EQ(grid.scale.sizes(), at::IntArrayRef({2, 2}));
  EXPECT_TRUE(at::equal(grid.scale.flatten(), at::tensor({0.0846666619F, 0.0266666673F, 0.126666665F, 0.0466666669F})));
  observer->forward(two_rows() * 2);  // the wider range stands
  EXPECT_TRUE(at::allclose(observer->calculate_qparams().scale, grid.scale * 2));
  const auto twin = std::dynamic_pointer_cast<BlockMinMaxObserver>(observer->copy());
  ASSERT_NE(twin, nullptr);
  EXPECT_TRUE(at::equal(twin->calculate_qparams().scale, observer->calculate_qparams().scale));
  twin->reset();
  EXPECT_FALSE(twin->has_data());
  expect_error([&] { observer->forward(at::ones({3, 8})); }, {"blocks", "[2, 2]", "[3, 2]"});
  QuantizationSpec wrong = spec;
  wrong.qscheme = at::kPerTensorSymmetric;
  expect_error([&] { make_observer(wrong); }, {"mapping", "ASYMMETRIC"});
  wrong = spec;
  wrong.block_size = {1, 0};
  expect_error([&] { make_observer(wrong); }, {"block_size", "1 or more", "got 0"});
  wrong = spec;
  wrong.observer_or_fake_quant = fake_quantize(block_min_max_observer(MappingType::kAsymmetric));
  expect_error([&] { make_observer(wrong); }, {"FakeQuantize", "not in blocks"});
}

}  // namespace
}  // namespace octet

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <set>

#include "octet/quantize/compare.h"
#include "octet/quantize/fold_batch_norm.h"
#include "octet/quantize/qdq.h"
#include "octet/quantize/quantize_pt2e.h"
#include "octet/quantize/rows.h"
#include "octet/quantize/trained_weights.h"
#include "octet/quantize/value_study.h"
#include "octet/support/error.h"
#include "tests/quantize/test_nets.h"

namespace octet {
namespace {

std::shared_ptr<GraphModule> small_net() {
  test::Net net({2, 3, 6, 6});
  net.conv2d("c1", 3, 4, true);
  net.batch_norm("bn1", 4);
  net.relu();
  net.conv2d("c2", 4, 4, false);
  net.batch_norm("bn2", 4);
  return net.finish();
}

TEST(Rows, JsonGoesThereAndBack) {
  at::manual_seed(0);
  auto module = small_net();
  test::SimpleQuantizer quantizer(false);
  module = prepare_pt2e(module, quantizer);
  (*module)(at::randn({2, 3, 6, 6}));
  auto converted = convert_pt2e(module);
  const auto rows = quantization_rows(*converted);
  ASSERT_EQ(rows.size(), 4u);
  EXPECT_EQ(rows[0].op, "input");
  EXPECT_EQ(rows[1].op, "aten.conv2d.default");
  const auto json = nlohmann::ordered_json::parse(rows_text(rows));
  EXPECT_EQ(json, to_json(rows));
  const std::string text = json[1]["inputs"][1].dump();
  EXPECT_LT(text.find("scale"), text.find("zero_point"));
  EXPECT_LT(text.find("zero_point"), text.find("axis"));
  EXPECT_LT(text.find("axis"), text.find("quant_min"));
  EXPECT_TRUE(json[1]["output"].is_null());
  const auto back = rows_from_json(json);
  ASSERT_EQ(back.size(), rows.size());
  for (size_t i = 0; i < rows.size(); ++i) {
    EXPECT_EQ(back[i].op, rows[i].op);
    EXPECT_EQ(back[i].inputs, rows[i].inputs);
    EXPECT_EQ(back[i].output, rows[i].output);
  }
  EXPECT_THROW(rows_from_json(nlohmann::ordered_json::parse("[{\"op\": 3}]")), Error);
}

TEST(Compare, FindsTheLayerThatIsWrong) {
  at::manual_seed(1);
  auto float_model = small_net();
  auto module = float_model->copy();
  test::SimpleQuantizer quantizer(false);
  module = prepare_pt2e(module, quantizer);
  const at::Tensor x = at::randn({2, 3, 6, 6});
  (*module)(x);
  auto converted = convert_pt2e(module);
  Comparison comparison = compare_models(*float_model, *converted, {x});
  ASSERT_EQ(comparison.output_sqnr_db.size(), 1u);
  EXPECT_GT(comparison.output_sqnr_db[0], 30);
  ASSERT_EQ(comparison.layers.size(), 3u);
  std::set<std::string> names;
  for (const LayerComparison& layer : comparison.layers) {
    names.insert(layer.name + " " + layer.float_name);
    EXPECT_GT(layer.sqnr_db, 30) << layer.name;
  }
  // A folded convolution is held against the BatchNorm's value.
  EXPECT_EQ(names, (std::set<std::string>{"conv2d batch_norm", "relu relu", "conv2d_1 batch_norm_1"}));

  converted->attr("_frozen_param2").neg_();
  comparison = compare_models(*float_model, *converted, {x});
  EXPECT_EQ(comparison.layers.front().name, "conv2d_1");
  EXPECT_LT(comparison.layers.front().sqnr_db, 10);
}

// A float model that a target's passes have been over has no BatchNorm any more, and notes where they were.
TEST(Compare, FindsTheLayersOfAFoldedModel) {
  at::manual_seed(1);
  auto float_model = small_net();
  float_model->train(false);
  auto module = float_model->copy();
  test::SimpleQuantizer quantizer(false);
  module = prepare_pt2e(module, quantizer);
  const at::Tensor x = at::randn({2, 3, 6, 6});
  (*module)(x);
  auto converted = convert_pt2e(module);
  fold_batch_norms(*float_model);
  const Comparison comparison = compare_models(*float_model, *converted, {x});
  std::set<std::string> names, losses, studies;
  for (const LayerComparison& layer : comparison.layers) names.insert(layer.name + " " + layer.float_name);
  EXPECT_EQ(names, (std::set<std::string>{"conv2d conv2d", "relu relu", "conv2d_1 conv2d_1"}));
  for (const ValueLoss& loss : value_losses(*float_model, *converted, {{x}})) losses.insert(loss.name);
  for (const ValueStudy& study : study_values(*float_model, *converted, {x})) studies.insert(study.name);
  EXPECT_TRUE(losses.contains("conv2d_1")) << losses.size();
  EXPECT_TRUE(studies.contains("conv2d_1")) << studies.size();
}

// Rounding moves a weight by half a step at most: what lies farther away was trained.
TEST(TrainedWeights, AreNoRoundingOfTheFloatModels) {
  at::manual_seed(1);
  auto float_model = small_net();
  float_model->train(false);
  test::SimpleQuantizer quantizer(false);
  auto prepared = prepare_pt2e(float_model->copy(), quantizer);
  const at::Tensor x = at::randn({2, 3, 6, 6});
  (*prepared)(x);
  const auto converted = convert_pt2e(prepared);
  using Found = std::pair<int64_t, int64_t>;
  const auto found = [&](const GraphModule& beside) {
    const TrainedWeights weights = find_trained_weights(beside, *converted);
    return Found(weights.trained, weights.layers);
  };
  EXPECT_EQ(found(*float_model), Found(0, 2));
  auto folded = float_model->copy();
  fold_batch_norms(*folded);
  EXPECT_EQ(found(*folded), Found(0, 2));
  const at::NoGradGuard no_grad;
  float_model->attr("c2.weight").mul_(1.2);
  EXPECT_EQ(found(*float_model), Found(1, 2));
  float_model->attr("bn1.running_var").mul_(0.5);
  EXPECT_EQ(found(*float_model), Found(2, 2));

  // The same weights with values in float: what is left between the two is no more than 8 bits lose.
  const auto own = with_float_values(*converted);
  for (const Node* node : own->graph().nodes()) EXPECT_FALSE(node->is(Trait::kQuantize)) << node->name();
  const Comparison comparison = compare_models(*own, *converted, {x});
  ASSERT_EQ(comparison.layers.size(), 3u);
  EXPECT_GT(comparison.layers.front().sqnr_db, 30);
  EXPECT_LT(comparison.layers.front().sqnr_db, 80);
  EXPECT_LT(compare_models(*float_model, *converted, {x}).output_sqnr_db.at(0), 20);
}

TEST(Compare, PreparedModelsStayAsTheyAre) {
  at::manual_seed(2);
  auto float_model = small_net();
  auto module = float_model->copy();
  test::SimpleQuantizer quantizer(true);
  module = prepare_qat_pt2e(module, quantizer);
  (*module)(at::randn({2, 3, 6, 6}));
  std::vector<at::Tensor> before;
  for (const at::Tensor& buffer : module->buffers()) before.push_back(buffer.clone());
  module->eval();
  const Comparison comparison = compare_models(*float_model, *module, {at::randn({2, 3, 6, 6}) * 3});
  EXPECT_EQ(comparison.layers.size(), 3u);
  const auto after = module->buffers();
  for (size_t i = 0; i < before.size(); ++i) EXPECT_TRUE(at::equal(before[i], after[i]));
}

}  // namespace
}  // namespace octet

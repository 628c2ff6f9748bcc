// PTQ or QAT is said once, by the quantizer.

#include <gtest/gtest.h>

#include "octet/quantize/factories.h"
#include "octet/quantize/quantize_pt2e.h"
#include "octet/targets/engine/calibrate_and_quantize.h"
#include "tests/engine/graph_builder.h"
#include "tests/graph/expect_error.h"

namespace octet {
namespace {

using test::GraphBuilder;

// Quantizes what it finds, for a mode or for either.
class OneScale : public Quantizer {
 public:
  explicit OneScale(std::optional<QuantizationMode> mode) : mode_(mode) {}
  std::optional<QuantizationMode> mode() const override { return mode_; }
  void annotate(GraphModule& module) override {
    for (Node* node : module.graph().nodes()) {
      if (!node->is_call() || is_annotated(*node)) continue;
      QuantizationSpec spec;
      spec.observer_or_fake_quant =
          mode_ == QuantizationMode::kQat ? fused_moving_avg_fake_quantize() : min_max_observer();
      QuantizationAnnotation& note = ensure_annotation(*node);
      note.output_qspec = spec;
      note.annotated = true;
    }
  }
  void transform_converted(GraphModule& module) override { finished = &module; }
  GraphModule* finished = nullptr;

 private:
  std::optional<QuantizationMode> mode_;
};

std::shared_ptr<GraphModule> relu(GraphBuilder& g) {
  return g.finish({g.call("aten.relu.default", {g.input({2, 3})})});
}

TEST(Mode, OfTheOtherPrepareIsAnError) {
  GraphBuilder g;
  const auto model = relu(g);
  OneScale ptq(QuantizationMode::kPtq);
  OneScale qat(QuantizationMode::kQat);
  test::expect_error([&] { prepare_qat_pt2e(model->copy(), ptq); },
                     {"prepare_qat_pt2e", "quantization-aware", "post-training", "prepare_pt2e"});
  test::expect_error([&] { prepare_pt2e(model->copy(), qat); }, {"prepare_pt2e", "got one for quantization-aware"});
  EXPECT_EQ(prepare(model->copy(), ptq)->facts().at("quantization_stage"), "prepared");
  EXPECT_EQ(prepare(model->copy(), qat)->facts().at("quantization_stage"), "prepared for training");
}

TEST(Mode, AQuantizerForEitherIsAskedByName) {
  GraphBuilder g;
  const auto model = relu(g);
  OneScale either(std::nullopt);
  EXPECT_NO_THROW(prepare_pt2e(model->copy(), either));
  EXPECT_NO_THROW(prepare_qat_pt2e(model->copy(), either));
  test::expect_error([&] { prepare(model->copy(), either); }, {"prepare_pt2e or prepare_qat_pt2e"});
  test::expect_error([&] { calibrate_and_quantize(model->copy(), {g.inputs()}, either); }, {"prepare_pt2e or"});
}

TEST(Mode, AComposition) {
  const auto ptq = std::make_shared<OneScale>(QuantizationMode::kPtq);
  const auto qat = std::make_shared<OneScale>(QuantizationMode::kQat);
  const auto either = std::make_shared<OneScale>(std::nullopt);
  EXPECT_EQ(ComposableQuantizer({either, qat}).mode(), QuantizationMode::kQat);
  EXPECT_EQ(ComposableQuantizer({either}).mode(), std::nullopt);
  test::expect_error([&] { ComposableQuantizer({ptq, either, qat}); }, {"post-training", "quantization-aware"});
}

TEST(Finish, GoesToEvalConvertsAndAsksTheQuantizer) {
  GraphBuilder g;
  const auto model = relu(g);
  for (const auto mode : {QuantizationMode::kPtq, QuantizationMode::kQat}) {
    OneScale quantizer(mode);
    auto prepared = prepare(model->copy(), quantizer);
    prepared->train();
    prepared->run(g.inputs());
    const auto converted = finish(prepared, quantizer);
    EXPECT_EQ(quantizer.finished, converted.get());
    EXPECT_FALSE(prepared->is_training());
    EXPECT_EQ(converted->facts().at("quantization_stage"), "converted");
  }
}

}  // namespace
}  // namespace octet

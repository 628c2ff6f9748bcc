#include "octet/quantize/spec.h"

#include <gtest/gtest.h>

#include <cmath>

#include "octet/graph/graph_module.h"
#include "octet/quantize/factories.h"
#include "octet/quantize/quantizer.h"
#include "octet/quantize/sqnr.h"
#include "octet/support/error.h"
#include "tests/quantize/test_nets.h"

namespace octet {
namespace {

QuantizationSpec good() {
  QuantizationSpec spec;
  spec.observer_or_fake_quant = histogram_observer();
  return spec;
}

std::string failure(const AnySpec& spec) {
  try {
    validate(spec, "conv2d 'c'");
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

TEST(Spec, GoodOnesPass) {
  EXPECT_EQ(failure(good()), "");
  FixedQParamsQuantizationSpec fixed;
  fixed.scale = 1.0 / 256;
  fixed.zero_point = -128;
  EXPECT_EQ(failure(fixed), "");
}

TEST(Spec, ErrorsNameTheField) {
  QuantizationSpec spec = good();
  spec.quant_min = 5;
  spec.quant_max = 4;
  EXPECT_NE(failure(spec).find("[conv2d 'c'] quant_min: expected at most quant_max 4, got 5"), std::string::npos);
  spec = good();
  spec.quant_max = 128;
  EXPECT_NE(failure(spec).find("quant_max"), std::string::npos);
  spec = good();
  spec.ch_axis = -1;
  EXPECT_NE(failure(spec).find("ch_axis"), std::string::npos);
  spec = good();
  spec.qscheme = at::kPerChannelSymmetric;
  EXPECT_NE(failure(spec).find("ch_axis"), std::string::npos);
  spec = good();
  spec.observer_or_fake_quant = {};
  EXPECT_NE(failure(spec).find("observer_or_fake_quant"), std::string::npos);

  for (const double scale : {0.0, -1.0, std::nan(""), HUGE_VAL}) {
    FixedQParamsQuantizationSpec fixed;
    fixed.scale = scale;
    EXPECT_NE(failure(fixed).find("scale"), std::string::npos) << scale;
  }
  FixedQParamsQuantizationSpec fixed;
  fixed.zero_point = 128;
  EXPECT_NE(failure(fixed).find("zero_point"), std::string::npos);
  EXPECT_NE(failure(SharedQuantizationSpec{}).find("shared"), std::string::npos);
  DerivedQuantizationSpec derived;
  EXPECT_NE(failure(derived).find("derive_qparams"), std::string::npos);
  derived.derive_qparams = [](const std::vector<QParams>& from) { return from.at(0); };
  EXPECT_NE(failure(derived).find("derived_from"), std::string::npos);
}

TEST(Spec, Prints) {
  QuantizationSpec spec = good();
  spec.quant_min = -127;
  spec.quant_max = 127;
  spec.qscheme = at::kPerChannelSymmetric;
  spec.ch_axis = 0;
  EXPECT_EQ(text(spec), "int8[-127, 127] per_channel_symmetric axis 0 HistogramObserver");
  test::Net net({1, 3, 4, 4});
  Node* conv = net.conv2d("c", 3, 4, true);
  Node* x = conv->arg(0).node();
  EXPECT_EQ(text(SharedQuantizationSpec{EdgeOrNode(x, conv)}), "shared with edge 'x' -> '" + conv->name() + "'");
  EXPECT_EQ(EdgeOrNode(conv).text(), "output of '" + conv->name() + "'");
}

TEST(Spec, ComparesByValue) {
  EXPECT_EQ(AnySpec(good()), AnySpec(good()));
  QuantizationSpec other = good();
  other.observer_or_fake_quant = min_max_observer();
  EXPECT_FALSE(AnySpec(good()) == AnySpec(other));
}

TEST(Annotation, LivesOnTheNode) {
  test::Net net({1, 3, 4, 4});
  Node* conv = net.conv2d("c", 3, 4, true);
  Node* x = conv->arg(0).node();
  EXPECT_EQ(annotation(*conv), nullptr);
  EXPECT_FALSE(is_annotated(*conv));
  QuantizationAnnotation& made = ensure_annotation(*conv);
  made.set_input(x, good());
  QuantizationSpec other = good();
  other.is_dynamic = true;
  made.set_input(x, other);
  ASSERT_EQ(annotation(*conv)->input_qspec_map.size(), 1U);
  EXPECT_EQ(*annotation(*conv)->input(x), AnySpec(other));
  EXPECT_EQ(made.input(conv), nullptr);
  made.annotated = true;
  EXPECT_TRUE(is_annotated(*conv));
  EXPECT_EQ(&ensure_annotation(*conv), &made);
}

std::shared_ptr<Quantizer> for_each_call(std::function<void(Node&)> annotate_node) {
  return std::make_shared<test::LambdaQuantizer>([=](GraphModule& module) {
    for (Node* node : module.graph().nodes()) {
      if (node->is_call()) annotate_node(*node);
    }
  });
}

TEST(ComposableQuantizer, ALaterChildMayAddButNotReplace) {
  test::Net net({1, 3, 4, 4});
  Node* conv = net.conv2d("c", 3, 4, true);
  Node* x = conv->arg(0).node();
  const auto compose = [&](std::function<void(Node&)> second) {
    conv->notes().erase(kAnnotationKey);
    const auto first = [&](Node& node) {
      ensure_annotation(node).set_input(x, good());
      ensure_annotation(node).annotated = true;
    };
    ComposableQuantizer quantizer({for_each_call(first), for_each_call(std::move(second))});
    quantizer.annotate(*net.module);
  };
  const auto has_output = [&] { return ensure_annotation(*conv).output_qspec.has_value(); };
  compose([](Node& node) { ensure_annotation(node).output_qspec = good(); });
  EXPECT_TRUE(has_output());
  EXPECT_TRUE(ensure_annotation(*conv).annotated) << "what the first said stands";
  compose([](Node&) {});
  EXPECT_FALSE(has_output());
  EXPECT_TRUE(ensure_annotation(*conv).annotated);
  EXPECT_THROW(compose([](Node& node) { node.notes().erase(kAnnotationKey); }), Error);
  EXPECT_THROW(compose([](Node& node) { node.notes()[kAnnotationKey] = QuantizationAnnotation{}; }), Error);
  QuantizationSpec other = good();
  other.quant_max = 100;
  EXPECT_THROW(compose([&](Node& node) { ensure_annotation(node).set_input(x, other); }), Error);
  EXPECT_THROW(ComposableQuantizer({nullptr}), Error);
}

TEST(ComputeError, IsTheSignalToNoiseRatioInDecibels) {
  const at::Tensor x = at::tensor({3.0F, 4.0F});
  EXPECT_NEAR(compute_error(x, x + at::tensor({0.3F, 0.4F})), 20.0, 1e-5);
  EXPECT_TRUE(std::isinf(compute_error(x, x)));
  EXPECT_THROW(compute_error(x, at::ones({3})), Error);
}

}  // namespace
}  // namespace octet

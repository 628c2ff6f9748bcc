// Specs and annotations that are broken or contradict themselves: each a clear error that names the place.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "octet/quantize/decomposed_ops.h"
#include "octet/quantize/factories.h"
#include "octet/quantize/quantize_pt2e.h"
#include "octet/support/error.h"
#include "octet/targets/neutron/neutron_quantizer.h"
#include "tests/engine/graph_builder.h"
#include "tests/engine/malformed.h"

namespace octet {
namespace {

using test::expect_refused;
using test::Parts;

// input -> conv2d -> sigmoid; conv2d -> linear. As the quantizer annotates it, to be broken at one place.
struct Annotated {
  test::GraphBuilder g;
  Node* x = g.input({2, 3, 8, 8});
  Node* conv = g.conv2d("c", x, 3, 4);
  Node* weight = conv->arg("weight").node();
  Node* bias = conv->arg("bias").node();
  Node* pool = g.call("aten.max_pool2d.default", {conv, std::vector<int64_t>{2, 2}});
  Node* tanh = g.call("aten.tanh.default", {pool});
  std::shared_ptr<GraphModule> model = g.finish({tanh, pool});

  QuantizationAnnotation& of(Node* node) { return ensure_annotation(*node); }
  template <typename Spec>
  Spec& input(Node* reader, Node* producer) {
    for (auto& [node, spec] : of(reader).input_qspec_map) {
      if (node == producer) return std::get<Spec>(spec);
    }
    throw std::logic_error("no such input");
  }
  template <typename Spec>
  Spec& output(Node* node) {
    return std::get<Spec>(*of(node).output_qspec);
  }
};

class Broken : public Quantizer {
 public:
  Broken(Annotated& net, std::function<void(Annotated&)> change) : net_(net), change_(std::move(change)) {}
  void annotate(GraphModule& module) override {
    NeutronQuantizer(NeutronTargetSpec("imxrt700")).annotate(module);
    change_(net_);
  }

 private:
  Annotated& net_;
  std::function<void(Annotated&)> change_;
};

// Prepares, calibrates, converts and runs: somewhere on the way the break must be found.
void refuse(const std::string& name, const std::function<void(Annotated&)>& change, const Parts& parts) {
  expect_refused(
      "annotation " + name,
      [&] {
        at::manual_seed(0);
        Annotated net;
        Broken quantizer(net, change);
        const auto prepared = prepare_pt2e(net.model, quantizer);
        const at::NoGradGuard no_grad;
        prepared->run(net.g.inputs());
        convert_pt2e(prepared)->run(net.g.inputs());
      },
      parts);
}

using Fixed = FixedQParamsQuantizationSpec;
using Shared = SharedQuantizationSpec;
using Derived = DerivedQuantizationSpec;

const char* kWeightEdge = "[edge 'c_weight' -> 'conv2d']";
const char* kBiasEdge = "[edge 'c_bias' -> 'conv2d']";
const char* kInput = "[output of 'x1']";
const char* kTanh = "[output of 'tanh']";

TEST(MalformedAnnotation, TheGoodOneRuns) {
  Annotated net;
  const at::Tensor wanted = net.model->run(net.g.inputs()).at(0);
  Broken quantizer(net, [](Annotated&) {});
  const auto prepared = prepare_pt2e(net.model, quantizer);
  prepared->run(net.g.inputs());
  const at::Tensor got = convert_pt2e(prepared)->run(net.g.inputs()).at(0);
  ASSERT_EQ(got.sizes(), wanted.sizes());
  EXPECT_LT((got - wanted).norm().item<double>(), 0.03 * wanted.norm().item<double>());
  EXPECT_EQ(EdgeOrNode(net.weight, net.conv).text(), std::string(kWeightEdge).substr(1, strlen(kWeightEdge) - 2));
}

TEST(MalformedAnnotation, Ranges) {
  const auto weight = [](const char* name, const std::function<void(QuantizationSpec&)>& change,
                         const std::string& part) {
    refuse(octet::str("weight ", name), [&](Annotated& n) { change(n.input<QuantizationSpec>(n.conv, n.weight)); },
           {kWeightEdge, part});
  };
  const auto bounds = [](std::optional<int64_t> low, std::optional<int64_t> high) {
    return [=](auto& s) {
      s.quant_min = low;
      s.quant_max = high;
    };
  };
  weight("quant_min above quant_max", bounds(10, -10), "quant_min: expected at most quant_max -10, got 10");
  weight("quant_min equal to quant_max", bounds(0, 0), "quant_min: expected below quant_max 0");
  weight("quant_min below int8", bounds(-129, 127), "quant_min: expected within int8's");
  weight("quant_max above int8", bounds(-128, 128), "quant_max: expected within int8's");
  weight("uint8 range as int8", bounds(0, 255), "quant_max");
  weight("quant_min alone", bounds(-127, std::nullopt), "quant_min is given without quant_max");
  weight("quant_max alone", bounds(std::nullopt, 127), "quant_max is given without quant_min");
  weight("above zero", bounds(5, 100), "one that holds 0");
  weight("below zero", bounds(-100, -5), "one that holds 0");
  const auto typed = [&](const char* name, at::ScalarType dtype, int64_t low, int64_t high, const std::string& part) {
    weight(
        name,
        [=](QuantizationSpec& s) {
          s.dtype = dtype;
          s.quant_min = low;
          s.quant_max = high;
        },
        part);
  };
  typed("uint8 below 0", at::kByte, -1, 255, "quant_min: expected within uint8's");
  typed("uint8 above 255", at::kByte, 0, 256, "quant_max: expected within uint8's");
  typed("int16 below", at::kShort, -32769, 32767, "quant_min: expected within int16's");
  typed("int16 above", at::kShort, -32768, 32768, "quant_max: expected within int16's");
  typed("uint16 above", at::kUInt16, 0, 65536, "quant_max: expected within uint16's");
  typed("int32 below", at::kInt, -2147483649, 2147483647, "quant_min: expected within int32's");
  typed("int32 above", at::kInt, -2147483648, 2147483648, "quant_max: expected within int32's");
  typed("float32 with a range", at::kFloat, -127, 127, "dtype: expected int8");
  typed("int64 with a range", at::kLong, -127, 127, "dtype: expected int8");
  typed("bool", at::kBool, 0, 1, "dtype: expected int8");
  weight(
      "float32 without a range",
      [](QuantizationSpec& s) {
        s.dtype = at::kFloat;
        s.quant_min = s.quant_max = std::nullopt;
      },
      "no default range");

  const auto both = [&](const char* name, std::optional<int64_t> low, std::optional<int64_t> high,
                        const std::string& part) {
    refuse(octet::str("input ", name), [&](Annotated& n) { bounds(low, high)(n.output<QuantizationSpec>(n.x)); },
           {kInput, part});
    refuse(octet::str("bias ", name), [&](Annotated& n) { bounds(low, high)(n.input<Derived>(n.conv, n.bias)); },
           {kBiasEdge, part});
    refuse(octet::str("fixed ", name), [&](Annotated& n) { bounds(low, high)(n.output<Fixed>(n.tanh)); },
           {kTanh, part});
  };
  both("quant_min above quant_max", 7, 6, "quant_min: expected at most quant_max 6, got 7");
  both("quant_max beyond every type", -100, int64_t{1} << 40, "quant_max: expected within");
  both("quant_min beyond every type", -(int64_t{1} << 40), 100, "quant_min: expected within");
  both("a lone bound", std::nullopt, 100, "quant_max is given without quant_min");
}

TEST(MalformedAnnotation, ChannelAxes) {
  const auto weight = [](const char* name, std::optional<int64_t> axis, const std::string& part) {
    refuse(octet::str("weight axis ", name),
           [=](Annotated& n) { n.input<QuantizationSpec>(n.conv, n.weight).ch_axis = axis; }, {kWeightEdge, part});
  };
  weight("missing", std::nullopt, "needs ch_axis");
  weight("negative", -1, "ch_axis: expected 0 or more, got -1");
  weight("the rank", 4, "ch_axis: expected below the rank 4, got 4");
  weight("absurd", int64_t{1} << 62, "ch_axis: expected below the rank 4");
  const auto bias = [](const char* name, std::optional<int64_t> axis, const std::string& part) {
    refuse(octet::str("bias axis ", name), [=](Annotated& n) { n.input<Derived>(n.conv, n.bias).ch_axis = axis; },
           {kBiasEdge, part});
  };
  bias("missing", std::nullopt, "needs ch_axis");
  bias("negative", -4, "ch_axis: expected 0 or more, got -4");
  bias("the rank", 1, "ch_axis: expected below the rank 1, got 1");
  refuse("weight axis of other channels than the bias has",
         [](Annotated& n) { n.input<QuantizationSpec>(n.conv, n.weight).ch_axis = 1; }, {"scales and zero points"});
  refuse("negative axis per tensor", [](Annotated& n) { n.output<QuantizationSpec>(n.x).ch_axis = -2; },
         {kInput, "ch_axis"});
}

TEST(MalformedAnnotation, SchemesAndObservers) {
  const auto weight = [](const char* name, const ObserverFactory& factory, const Parts& parts) {
    Parts all = parts;
    all.emplace_back(kWeightEdge);
    refuse(
        octet::str("per-channel weight with ", name),
        [&](Annotated& n) { n.input<QuantizationSpec>(n.conv, n.weight).observer_or_fake_quant = factory; }, all);
  };
  weight("min_max", min_max_observer(), {"MinMaxObserver", "a per-tensor one", "per_channel_symmetric"});
  weight("moving average", moving_average_min_max_observer(), {"a per-tensor one", "per_channel_symmetric"});
  weight("histogram", histogram_observer(), {"HistogramObserver", "a per-tensor one"});
  weight("a fake min_max", fake_quantize(min_max_observer()), {"a per-tensor one"});
  weight("no observer", {}, {"observer_or_fake_quant is not set"});
  weight("an observer of nothing", {"Nothing", [](const ObserverArgs&) { return std::shared_ptr<ObserverBase>(); }},
         {"makes no observer"});
  weight("a fake fake quantizer", fake_quantize(fake_quantize(per_channel_min_max_observer())), {"a plain observer"});
  weight("a fake placeholder", fake_quantize(placeholder_observer()), {"PlaceholderObserver", "no quantization"});
  weight("a fake recorder", fake_quantize(recording_observer()), {"RecordingObserver", "no quantization"});
  weight("a fake no-op", fake_quantize(noop_observer()), {"NoopObserver", "no quantization"});
  weight("eps 0", per_channel_min_max_observer(0), {"eps: expected positive"});
  weight("averaging constant 0", moving_average_per_channel_min_max_observer(0), {"averaging_constant"});

  const auto input = [](const char* name, const std::function<void(QuantizationSpec&)>& change,
                        const std::string& part) {
    refuse(octet::str("input ", name), [&](Annotated& n) { change(n.output<QuantizationSpec>(n.x)); }, {kInput, part});
  };
  const auto observed_by = [&](const char* name, const ObserverFactory& factory, const std::string& part) {
    input(
        name, [&](QuantizationSpec& s) { s.observer_or_fake_quant = factory; }, part);
  };
  observed_by("by min_max per channel", per_channel_min_max_observer(), "a per-channel one");
  observed_by("by moving average per channel", moving_average_per_channel_min_max_observer(), "a per-channel one");
  observed_by("with a negative eps", min_max_observer(-1e-6), "eps: expected positive");
  observed_by("with NaN as eps", histogram_observer(std::nan("")), "eps: expected positive");
  observed_by("with an infinite eps", min_max_observer(HUGE_VAL), "eps: expected positive and finite");
  observed_by("with no bins", histogram_observer(kDefaultEps, 0), "bins: expected 1 or more");
  observed_by("with negative bins", histogram_observer(kDefaultEps, -2048), "bins: expected 1 or more");
  observed_by("averaging with a negative constant", moving_average_min_max_observer(-0.1), "averaging_constant");
  observed_by("averaging beyond 1", moving_average_min_max_observer(1.5), "averaging_constant");
  observed_by("averaging with NaN", moving_average_min_max_observer(std::nan("")), "averaging_constant");
  observed_by("fused averaging with 0", fused_moving_avg_fake_quantize(0.0), "averaging_constant");
  const auto dynamic = [&](const char* name, const ObserverFactory& factory) {
    input(
        name,
        [&](QuantizationSpec& s) {
          s.is_dynamic = true;
          s.observer_or_fake_quant = factory;
        },
        "cannot serve dynamic");
  };
  dynamic("dynamic with min_max", min_max_observer());
  dynamic("dynamic with a histogram", histogram_observer());
  dynamic("dynamic with an average of several", moving_average_min_max_observer());
  input(
      "per channel without an axis", [](QuantizationSpec& s) { s.qscheme = at::kPerChannelAffine; }, "needs ch_axis");
  input(
      "per channel with a histogram",
      [](QuantizationSpec& s) {
        s.qscheme = at::kPerChannelAffine;
        s.ch_axis = 1;
      },
      "a per-tensor one");
  input(
      "of embeddings' scheme",
      [](QuantizationSpec& s) {
        s.qscheme = at::kPerChannelAffineFloatQParams;
        s.ch_axis = 0;
      },
      "a per-tensor one");
}

TEST(MalformedAnnotation, FixedParameters) {
  const auto fixed = [](const std::string& name, const std::function<void(Fixed&)>& change, const std::string& part) {
    refuse("fixed " + name, [&](Annotated& n) { change(n.output<Fixed>(n.tanh)); }, {kTanh, part});
  };
  const std::vector<std::pair<const char*, double>> scales = {
      {"0", 0.0},        {"-0", -0.0},        {"negative", -1.0 / 128}, {"NaN", std::nan("")},
      {"inf", HUGE_VAL}, {"-inf", -HUGE_VAL}, {"0 in float32", 1e-60},  {"infinite in float32", 1e60},
  };
  for (const auto& [name, scale] : scales) {
    const double value = scale;
    fixed(
        octet::str("scale ", name), [value](Fixed& s) { s.scale = value; }, "scale: expected positive and finite");
  }
  fixed(
      "zero point below", [](Fixed& s) { s.zero_point = -129; }, "zero_point: expected within [-128, 127], got -129");
  fixed(
      "zero point above", [](Fixed& s) { s.zero_point = 128; }, "zero_point: expected within [-128, 127], got 128");
  fixed(
      "zero point absurd", [](Fixed& s) { s.zero_point = int64_t{1} << 50; }, "zero_point");
  fixed(
      "zero point outside a narrow range",
      [](Fixed& s) {
        s.quant_min = -127;
        s.zero_point = -128;
      },
      "zero_point: expected within [-127, 127], got -128");
  fixed(
      "zero point outside the dtype's range",
      [](Fixed& s) {
        s.dtype = at::kByte;
        s.quant_min = s.quant_max = std::nullopt;
        s.zero_point = -1;
      },
      "zero_point: expected within [0, 255], got -1");
  fixed(
      "symmetric off zero",
      [](Fixed& s) {
        s.qscheme = at::kPerTensorSymmetric;
        s.zero_point = 3;
      },
      "zero_point: expected 0 for a symmetric scheme, got 3");
  fixed(
      "per channel affine", [](Fixed& s) { s.qscheme = at::kPerChannelAffine; }, "a per-tensor one");
  fixed(
      "per channel symmetric", [](Fixed& s) { s.qscheme = at::kPerChannelSymmetric; }, "a per-tensor one");
  fixed(
      "dynamic", [](Fixed& s) { s.is_dynamic = true; }, "is_dynamic contradicts");
  fixed(
      "uint8 with int8's range", [](Fixed& s) { s.dtype = at::kByte; }, "quant_min: expected within uint8's");
  fixed(
      "float32 with a range", [](Fixed& s) { s.dtype = at::kFloat; }, "dtype: expected int8");
  fixed(
      "float16 without a range",
      [](Fixed& s) {
        s.dtype = at::kHalf;
        s.quant_min = s.quant_max = std::nullopt;
      },
      "no default range");
}

TEST(MalformedAnnotation, SharedSpecs) {
  const auto share = [](EdgeOrNode anchor) { return AnySpec(Shared{anchor}); };
  refuse("output shared with itself", [&](Annotated& n) { n.of(n.pool).output_qspec = share(n.pool); },
         {"[output of 'max_pool2d']", "circle"});
  refuse("edge shared with itself",
         [&](Annotated& n) {
           n.of(n.pool).set_input(n.conv, share({n.conv, n.pool}));
         },
         {"[edge 'conv2d' -> 'max_pool2d']", "circle"});
  refuse("circle of two",
         [&](Annotated& n) {
           n.of(n.conv).output_qspec = share(n.pool);
           n.of(n.pool).output_qspec = share(n.conv);
         },
         {"circle", "output of 'conv2d'", "output of 'max_pool2d'"});
  refuse("circle of an edge and an output",
         [&](Annotated& n) {
           n.of(n.conv).output_qspec = share({n.conv, n.pool});
           n.of(n.pool).set_input(n.conv, share(n.conv));
         },
         {"circle", "edge 'conv2d' -> 'max_pool2d'"});
  refuse("circle of three",
         [&](Annotated& n) {
           n.of(n.x).output_qspec = share(n.pool);
           n.of(n.conv).output_qspec = share(n.x);
           n.of(n.pool).output_qspec = share(n.conv);
         },
         {"circle", "output of 'x1'", "output of 'conv2d'", "output of 'max_pool2d'"});
  refuse("chain into a circle",
         [&](Annotated& n) {
           n.of(n.tanh).output_qspec = share(n.pool);
           n.of(n.pool).output_qspec = share(n.conv);
           n.of(n.conv).output_qspec = share(n.pool);
         },
         {"circle"});
  refuse("no anchor", [&](Annotated& n) { n.of(n.pool).output_qspec = share({}); },
         {"[output of 'max_pool2d']", "names no edge or node"});
  refuse("anchor with a reader and no producer",
         [&](Annotated& n) {
           n.of(n.pool).output_qspec = share({nullptr, n.pool});
         },
         {"[output of 'max_pool2d']", "names no edge or node"});
  refuse("anchor without a spec", [&](Annotated& n) { n.of(n.conv).output_qspec.reset(); },
         {"[edge 'conv2d' -> 'max_pool2d']", "output of 'conv2d', which has no spec", "annotate the anchor"});
  refuse("anchor without an annotation", [&](Annotated& n) { n.conv->notes().erase(kAnnotationKey); },
         {"output of 'conv2d', which has no spec"});
  refuse("anchor that is a weight", [&](Annotated& n) { n.of(n.pool).output_qspec = share(n.weight); },
         {"[output of 'max_pool2d']", "output of 'c_weight', which has no spec"});
  refuse("anchor that is no edge of the graph",
         [&](Annotated& n) {
           n.of(n.pool).output_qspec = share({n.x, n.tanh});
         },
         {"[output of 'max_pool2d']", "edge 'x1' -> 'tanh', which has no spec"});
  refuse("edge the wrong way round",
         [&](Annotated& n) {
           n.of(n.pool).output_qspec = share({n.pool, n.conv});
         },
         {"edge 'max_pool2d' -> 'conv2d', which has no spec"});
  Annotated other;
  NeutronQuantizer(NeutronTargetSpec("imxrt700")).annotate(*other.model);
  refuse("anchor in another graph", [&](Annotated& n) { n.of(n.pool).output_qspec = share(other.conv); },
         {"[output of 'max_pool2d']", "which has no spec"});
}

TEST(MalformedAnnotation, DerivedSpecs) {
  const auto bias = [](const char* name, const std::function<void(Derived&, Annotated&)>& change, const Parts& parts) {
    refuse(
        octet::str("bias ", name), [&](Annotated& n) { change(n.input<Derived>(n.conv, n.bias), n); }, parts);
  };
  bias("derived from nothing", [](Derived& s, auto&) { s.derived_from.clear(); }, {kBiasEdge, "derived_from names no"});
  bias("derived from an empty edge", [](Derived& s, auto&) { s.derived_from[0] = {}; }, {kBiasEdge, "an empty edge"});
  bias("without a function", [](Derived& s, auto&) { s.derive_qparams = nullptr; }, {kBiasEdge, "derive_qparams"});
  bias("derived from an output without a spec", [](Derived& s, auto& n) { s.derived_from[1] = EdgeOrNode(n.weight); },
       {kBiasEdge, "output of 'c_weight', which has no spec", "annotate the source"});
  bias("derived from no edge of the graph", [](Derived& s, auto& n) { s.derived_from[0] = EdgeOrNode(n.x, n.tanh); },
       {kBiasEdge, "which has no spec"});
  bias("derived from itself", [](Derived& s, auto& n) { s.derived_from[0] = EdgeOrNode(n.bias, n.conv); },
       {kBiasEdge, "depends on itself"});
  bias("and weight derived from each other",
       [](Derived& s, auto& n) {
         Derived weight = s;
         weight.derived_from = {EdgeOrNode(n.x, n.conv), EdgeOrNode(n.bias, n.conv)};
         n.of(n.conv).set_input(n.weight, weight);
       },
       {"edge '", "depends on itself"});
  bias("derived from one source", [](Derived& s, auto&) { s.derived_from.pop_back(); },
       {"bias = input * weight", "sources: expected 2, got 1"});
  bias("derived from three sources", [](Derived& s, auto& n) { s.derived_from.push_back(EdgeOrNode(n.x)); },
       {"bias = input * weight", "sources: expected 2, got 3"});
  bias("of other channels", [](Derived& s, auto& n) { s.derived_from[1] = EdgeOrNode(n.x); },
       {"scales and zero points: expected 4, got 1"});
  bias("of float32", [](Derived& s, auto&) { s.dtype = at::kFloat; }, {kBiasEdge, "dtype: expected int8"});
  bias("of int8 with int32's range", [](Derived& s, auto&) { s.dtype = at::kChar; }, {kBiasEdge, "within int8's"});
  bias("without an input spec",
       [](Derived&, auto& n) {
         auto& map = n.of(n.conv).input_qspec_map;
         map.erase(map.begin());
       },
       {kBiasEdge, "edge 'x1' -> 'conv2d', which has no spec"});
  bias("without a weight spec",
       [](Derived&, auto& n) {
         auto& map = n.of(n.conv).input_qspec_map;
         map.erase(map.begin() + 1);
       },
       {kBiasEdge, "edge 'c_weight' -> 'conv2d', which has no spec"});

  const auto gives = [&](const char* name, const at::Tensor& scale, const at::Tensor& zero_point, const char* part) {
    bias(name,
         [=](Derived& s, auto&) {
           s.derive_name = "mine";
           s.derive_qparams = [=](const std::vector<QParams>&) { return QParams{scale, zero_point}; };
         },
         {"mine", part});
  };
  const at::Tensor zeros = at::zeros({4}, at::kLong);
  gives("with scale 0", at::tensor({1.0F, 0.0F, 1.0F, 1.0F}), zeros, "scale: expected positive and finite, got 0");
  gives("with a negative scale", at::full({4}, -0.5F), zeros, "scale: expected positive and finite, got -0.5");
  gives("with NaN as scale", at::full({4}, std::nan("")), zeros, "scale: expected positive and finite");
  gives("with an infinite scale", at::full({4}, HUGE_VAL), zeros, "scale: expected positive and finite");
  gives("with no scale", {}, zeros, "gives no scales");
  gives("with no zero point", at::ones({4}), {}, "gives no scales");
  gives("with fewer zero points", at::ones({4}), at::zeros({3}, at::kLong), "gives no scales");
  gives("with empty scales", at::ones({0}), at::zeros({0}, at::kLong), "gives no scales");
}

TEST(MalformedAnnotation, PlacesThatAreNone) {
  refuse("input that is not read", [](Annotated& n) { n.of(n.tanh).set_input(n.x, n.output<QuantizationSpec>(n.x)); },
         {"tanh", "an input that it does not read, 'x1'"});
  refuse("input of a node of another graph",
         [other = std::make_shared<Annotated>()](Annotated& n) {
           n.of(n.tanh).set_input(other->pool, n.output<QuantizationSpec>(n.x));
         },
         {"tanh", "an input that it does not read"});
  refuse("input that is null", [](Annotated& n) { n.of(n.tanh).set_input(nullptr, n.output<QuantizationSpec>(n.x)); },
         {"tanh", "an input that is null"});
  refuse("output of the end",
         [](Annotated& n) { n.of(n.model->graph().output()).output_qspec = n.output<QuantizationSpec>(n.x); },
         {"has no output to quantize"});
}

TEST(MalformedAnnotation, Composition) {
  using Change = std::function<void(Annotated&)>;
  const auto refused = [](const char* name, const Change& change, const std::string& part) {
    Annotated net;
    ComposableQuantizer quantizer(
        {std::make_shared<NeutronQuantizer>(NeutronTargetSpec("imxrt700")), std::make_shared<Broken>(net, change)});
    expect_refused(octet::str("composition ", name), [&] { prepare_pt2e(net.model, quantizer); },
                   {"quantizer 2 of the composition", part});
  };
  refused(
      "removes an annotation", [](Annotated& n) { n.tanh->notes().erase(kAnnotationKey); }, "removed the annotation");
  refused(
      "unmarks one", [](Annotated& n) { n.of(n.tanh).annotated = false; }, "unmarked the annotation");
  refused(
      "changes the sharing", [](Annotated& n) { n.of(n.tanh).allow_implicit_sharing = false; }, "the sharing rule");
  refused(
      "replaces an output", [](Annotated& n) { n.output<Fixed>(n.tanh).scale = 0.5; }, "replaced the output spec");
  refused(
      "replaces an input", [](Annotated& n) { n.input<QuantizationSpec>(n.conv, n.weight).ch_axis = 1; },
      "replaced the spec of input 'c_weight'");
  refused(
      "removes an input", [](Annotated& n) { n.of(n.conv).input_qspec_map.pop_back(); },
      "replaced the spec of input 'c_bias'");
  expect_refused("composition of null", [] { ComposableQuantizer quantizer({nullptr}); }, {"a quantizer is null"});
}

TEST(MalformedAnnotation, Stages) {
  NeutronQuantizer quantizer(NeutronTargetSpec("imxrt700"));
  expect_refused("prepare of nothing", [&] { prepare_pt2e(nullptr, quantizer); }, {"[prepare]", "no model"});
  expect_refused("training prepare of nothing", [&] { prepare_qat_pt2e(nullptr, quantizer); }, {"[prepare]"});
  expect_refused("convert of nothing", [&] { convert_pt2e(nullptr); }, {"[convert]", "no model"});
  Annotated net;
  expect_refused("convert of a float model", [&] { convert_pt2e(net.model); }, {"[convert]", "not prepared"});
  const auto prepared = prepare_pt2e(net.model, quantizer);
  expect_refused("prepare twice", [&] { prepare_pt2e(prepared, quantizer); }, {"[prepare]", "already prepared"});
  prepared->run(net.g.inputs());
  const auto converted = convert_pt2e(prepared);
  expect_refused("convert twice", [&] { convert_pt2e(converted); }, {"[convert]", "not prepared"});
}

// What a program from elsewhere may hold between a quantize and its reader.
TEST(MalformedAnnotation, QuantizedValuesOfTheWrongKind) {
  using namespace decomposed;
  const at::Tensor x = at::ones({2, 3});
  const at::Tensor q = at::ones({2, 3}, at::kChar);
  const at::Tensor scales = at::ones({3});
  const at::Tensor zeros = at::zeros({3}, at::kLong);
  const auto refused = [](const char* name, const std::function<void()>& action, const Parts& parts) {
    expect_refused(octet::str("op ", name), action, parts);
  };
  refused("dequantize of uint8 reads int8", [&] { dequantize_per_tensor(q, 1, 0, 0, 255, at::kByte); },
          {"dequantize_per_tensor", "expected uint8, got int8"});
  refused("dequantize of int8 reads float", [&] { dequantize_per_tensor(x, 1, 0, -128, 127, at::kChar); },
          {"dequantize_per_tensor", "expected int8, got float32"});
  refused("dequantize per channel of int32 reads int8",
          [&] { dequantize_per_channel(q, scales, zeros, 1, -128, 127, at::kInt); },
          {"dequantize_per_channel", "expected int32, got int8"});
  refused("dequantize of float", [&] { dequantize_per_tensor(x, 1, 0, 0, 1, at::kFloat); }, {"cannot dequantize"});
  refused("quantize to float", [&] { quantize_per_tensor(x, 1, 0, 0, 1, at::kFloat); }, {"cannot quantize to float32"});
  refused("quantize of int8", [&] { quantize_per_tensor(q, 1, 0, -128, 127, at::kChar); }, {"float32", "got int8"});
  refused("quantize beyond int8", [&] { quantize_per_tensor(x, 1, 0, 0, 255, at::kChar); }, {"range of int8", "255"});
  refused("quantize with quant_min above quant_max", [&] { quantize_per_tensor(x, 1, 0, 9, -9, at::kChar); },
          {"range of int8", "[9, -9]"});
  refused("quantize per channel beyond uint8", [&] { quantize_per_channel(x, scales, zeros, 1, -1, 255, at::kByte); },
          {"range of uint8"});
  refused("quantize per channel with a negative axis",
          [&] { quantize_per_channel(x, scales, zeros, -1, -128, 127, at::kChar); }, {"axis", "0 to 1", "got -1"});
  refused("quantize per channel with the rank as axis",
          [&] { quantize_per_channel(x, scales, zeros, 2, -128, 127, at::kChar); }, {"axis", "0 to 1", "got 2"});
  refused("quantize per channel of other channels",
          [&] { quantize_per_channel(x, scales, zeros, 0, -128, 127, at::kChar); },
          {"scales and zero points", "expected 2, got 3"});
  refused("dequantize per channel with fewer zero points",
          [&] { dequantize_per_channel(q, scales, zeros.narrow(0, 0, 2), 1, -128, 127, at::kChar); },
          {"scales and zero points", "expected 3, got 2"});

  // The same in a graph: the error names the node.
  test::GraphBuilder g;
  Node* in = g.input({2, 3});
  Node* stored = g.call("quantized_decomposed.quantize_per_tensor.default", {in, 0.1, 0, -128, 127, at::kChar});
  Node* read = g.call("quantized_decomposed.dequantize_per_tensor.default", {stored, 0.1, 0, 0, 255, at::kByte});
  refused("graph whose dequantize reads another type", [&] { g.finish({read}); },
          {"dequantize_per_tensor", "expected uint8, got int8"});
}

// Stands last in the last file of cases: they register as they run.
TEST(MalformedAnnotation, WithTheConfigsThereAreAtLeastTwoHundredCases) {
  const size_t count = test::refused_cases().size();
  RecordProperty("cases", static_cast<int>(count));
  // With a filter or in another order there is nothing to count.
  if (testing::GTEST_FLAG(filter) != "*" || testing::GTEST_FLAG(shuffle)) GTEST_SKIP() << count << " cases ran";
  EXPECT_GE(count, 200u);
}

}  // namespace
}  // namespace octet

// The quantizer that docs/quantization-overview.md writes from nothing, used in each of its three modes.
#include <ATen/core/grad_mode.h>
#include <octet/graph/record.h>
#include <octet/models/model.h>
#include <octet/quantize/quantize_pt2e.h>
#include <octet/quantize/sqnr.h>
#include <torch/nn/modules/linear.h>

#include <cstdio>

// [own-quantizer]
#include <octet/quantize/factories.h>
#include <octet/quantize/quantizer.h>

enum class Mode { kStatic, kDynamic, kWeightOnly };

/// int8 linear layers, their weights with a scale for each output channel. All else stays in float.
class LinearQuantizer : public octet::Quantizer {
 public:
  explicit LinearQuantizer(Mode mode) : mode_(mode) {}

  void annotate(octet::GraphModule& module) override {
    for (octet::Node* node : module.graph().nodes()) {
      if (!node->is_call("aten.linear.default")) continue;
      octet::QuantizationAnnotation& annotation = octet::ensure_annotation(*node);
      if (mode_ != Mode::kWeightOnly) annotation.set_input(node->arg("input").node(), activation());
      annotation.set_input(node->arg("weight").node(), weight());
      annotation.annotated = true;
      if (mode_ != Mode::kStatic) continue;
      // The activation behind a linear layer that alone reads it is computed with it: the grid belongs to its output.
      octet::Node* last = node;
      if (node->user_count() == 1 && node->users()[0]->is_call("aten.relu.default")) last = node->users()[0];
      octet::ensure_annotation(*last).output_qspec = activation();
      octet::ensure_annotation(*last).annotated = true;
    }
  }

 private:
  octet::QuantizationSpec activation() const {
    octet::QuantizationSpec spec;
    spec.dtype = at::kChar;
    spec.quant_min = -128;
    spec.quant_max = 127;
    spec.qscheme = at::kPerTensorAffine;
    spec.is_dynamic = mode_ == Mode::kDynamic;
    spec.observer_or_fake_quant = spec.is_dynamic ? octet::placeholder_observer() : octet::histogram_observer();
    return spec;
  }

  octet::QuantizationSpec weight() const {
    octet::QuantizationSpec spec;
    spec.dtype = at::kChar;
    spec.quant_min = -127;
    spec.quant_max = 127;
    spec.qscheme = at::kPerChannelSymmetric;
    spec.ch_axis = 0;
    spec.observer_or_fake_quant = octet::per_channel_min_max_observer();
    return spec;
  }

  Mode mode_;
};
// [/own-quantizer]

namespace {

class TwoLayers : public octet::Model {
 public:
  at::Tensor forward(const at::Tensor& x) override { return second_->forward(first_->forward(x).relu()); }
  std::vector<int64_t> sample_shape() const override { return {64}; }

 private:
  torch::nn::Linear first_ = register_module("first", torch::nn::Linear(64, 128));
  torch::nn::Linear second_ = register_module("second", torch::nn::Linear(128, 10));
};

int64_t count(const octet::GraphModule& module, const std::string& op) {
  int64_t found = 0;
  for (const octet::Node* node : module.graph().nodes()) found += node->is_call(op) ? 1 : 0;
  return found;
}

// What each mode must leave in the program, besides a useful result.
bool right(const octet::GraphModule& program, Mode mode, double sqnr_db) {
  const int64_t chosen = count(program, "quantized_decomposed.choose_qparams.tensor");
  const int64_t stored = count(program, "quantized_decomposed.quantize_per_tensor.default");
  const int64_t weights = count(program, "quantized_decomposed.dequantize_per_channel.default");
  return weights == 2 && chosen == (mode == Mode::kDynamic ? 2 : 0) && stored == (mode == Mode::kStatic ? 3 : 0) &&
         sqnr_db > 25.0;
}

}  // namespace

int main() try {
  at::manual_seed(0);
  const at::NoGradGuard no_grad;
  const auto model = std::make_shared<TwoLayers>();
  const at::Tensor calibration = at::randn({256, 64});
  const at::Tensor test = at::randn({64, 64});
  for (const auto& [mode, name] : {std::pair(Mode::kStatic, "static"), std::pair(Mode::kDynamic, "dynamic"),
                                   std::pair(Mode::kWeightOnly, "weight-only")}) {
    // [own-quantizer-use]
    LinearQuantizer quantizer(mode);
    auto exported = octet::export_module(model, {test});
    auto prepared = octet::prepare_pt2e(exported, quantizer);
    if (mode == Mode::kStatic) prepared->run({calibration});  // only ranges kept in the program need data
    auto quantized = octet::convert_pt2e(prepared);
    double sqnr_db = octet::compute_error(model->forward(test), quantized->forward(test));
    // [/own-quantizer-use]
    std::printf("%s: SQNR %.1f dB\n", name, sqnr_db);
    if (!right(*quantized, mode, sqnr_db)) {
      std::fprintf(stderr, "guide_own_quantizer: not the expected program:\n%s", quantized->graph().text().c_str());
      return 1;
    }
  }
  return 0;
} catch (const std::exception& error) {
  std::fprintf(stderr, "guide_own_quantizer: %s\n", error.what());
  return 1;
}

// MobileNetV2 at 224x224: a float training step against a QAT step, in one process and in turn, and what prepare and
// convert take. usage: qat_step [batch = 16] [threads = 2] [rounds = 5]
#include <ATen/Parallel.h>
#include <ATen/ops/cross_entropy_loss.h>
#include <torch/optim/sgd.h>

#include <cstdio>
#include <string>

#include "benchmarks/figures.h"
#include "octet/quantize/frozen_layers.h"
#include "octet/quantize/quantize_pt2e.h"
#include "octet/targets/neutron/neutron_quantizer.h"

namespace {

using octet::benchmarks::Figures;
using octet::benchmarks::milliseconds;

struct Trainee {
  std::shared_ptr<octet::GraphModule> module;
  std::unique_ptr<torch::optim::SGD> optimizer;

  explicit Trainee(std::shared_ptr<octet::GraphModule> graph) : module(std::move(graph)) {
    for (at::Tensor& parameter : module->parameters()) {
      if (parameter.dim() == 4) parameter.set_data(parameter.contiguous(at::MemoryFormat::ChannelsLast));
    }
    module->train(true);
    optimizer = std::make_unique<torch::optim::SGD>(module->parameters(), torch::optim::SGDOptions(1e-3).momentum(0.9));
  }
  void step(const at::Tensor& images, const at::Tensor& labels) {
    optimizer->zero_grad();
    at::cross_entropy_loss(module->forward(images), labels).backward();
    optimizer->step();
  }
};

}  // namespace

int main(int argc, char** argv) {
  const int64_t batch = argc > 1 ? std::stoll(argv[1]) : 16;
  at::set_num_threads(argc > 2 ? std::stoi(argv[2]) : 2);
  const int rounds = argc > 3 ? std::stoi(argv[3]) : 5;
  at::manual_seed(0);

  const auto exported = octet::benchmarks::mobilenet_v2();

  Figures prepare, convert;
  std::shared_ptr<octet::GraphModule> prepared;
  octet::NeutronQuantizer quantizer(octet::NeutronTargetSpec("imxrt700"), /*is_qat=*/true);
  for (int round = 0; round < 3; ++round) {
    auto copy = exported->copy();
    prepare.add(milliseconds([&] { prepared = octet::prepare_qat_pt2e(copy, quantizer); }));
  }

  Trainee plain(exported->copy());
  Trainee quantized(prepared);
  Trainee half(prepared->copy());
  octet::freeze_layers(*half.module, "0.5");
  const at::Tensor images = at::randn({batch, 3, 224, 224}).contiguous(at::MemoryFormat::ChannelsLast);
  const at::Tensor labels = at::randint(1000, {batch});
  plain.step(images, labels);
  quantized.step(images, labels);
  half.step(images, labels);
  Figures float_step, qat_step, half_step, ratio, half_ratio;
  for (int round = 0; round < rounds; ++round) {
    const double a = milliseconds([&] { plain.step(images, labels); });
    const double b = milliseconds([&] { quantized.step(images, labels); });
    const double c = milliseconds([&] { half.step(images, labels); });
    half_step.add(c);
    half_ratio.add(c / a);
    float_step.add(a);
    qat_step.add(b);
    ratio.add(b / a);
  }
  octet::move_exported_model_to_eval(prepared);
  for (int round = 0; round < 3; ++round) {
    auto copy = prepared->copy();
    convert.add(milliseconds([&] { octet::convert_pt2e(copy); }));
  }
  std::printf("MobileNetV2 224x224, batch %ld, %d threads, %d rounds: medians (quartiles)\n", static_cast<long>(batch),
              at::get_num_threads(), rounds);
  std::printf("  float step  %8.1f ms (%.1f to %.1f)\n", float_step.median(), float_step.at(0.25), float_step.at(0.75));
  std::printf("  QAT step    %8.1f ms (%.1f to %.1f)\n", qat_step.median(), qat_step.at(0.25), qat_step.at(0.75));
  std::printf("  QAT / float %8.2f    (%.2f to %.2f)\n", ratio.median(), ratio.at(0.25), ratio.at(0.75));
  std::printf("  first half of the layers frozen %8.1f ms (%.1f to %.1f), to the float step %.2f (%.2f to %.2f)\n",
              half_step.median(), half_step.at(0.25), half_step.at(0.75), half_ratio.median(), half_ratio.at(0.25),
              half_ratio.at(0.75));
  std::printf("  prepare     %8.1f ms, convert %.1f ms, together %.1f ms\n", prepare.median(), convert.median(),
              prepare.median() + convert.median());
  return 0;
}

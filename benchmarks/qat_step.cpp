// A float training step of libtorch, in channels last, against a QAT step, with all layers trained and with the first
// half frozen; and what prepare and convert take. All in one process and in turn.
// usage: qat_step [batch = 16] [threads = 2] [rounds = 5] [model = mobilenet_v2] [size = 224] [side = all]
// As `qat_step 128 2 9 resnet8 32`. Side `float` or `qat` runs that step alone, and prints the process's peak of
// memory; side `shares` holds a QAT step of all channels against steps that train a share of them.
#include <ATen/Parallel.h>
#include <ATen/ops/cross_entropy_loss.h>
#include <torch/optim/sgd.h>

#include <cstdio>
#include <functional>
#include <optional>
#include <string>

#include "benchmarks/figures.h"
#include "octet/kernels/recycled_memory.h"
#include "octet/quantize/frozen_layers.h"
#include "octet/quantize/quantize_pt2e.h"
#include "octet/support/error.h"
#include "octet/support/memory_limit.h"
#include "octet/targets/neutron/neutron_quantizer.h"
#include "octet/train/integer_prefix.h"
#include "octet/train/optimizer.h"
#include "octet/train/partial_update.h"

namespace {

using octet::benchmarks::Figures;
using octet::benchmarks::milliseconds;

using Optimizer = std::shared_ptr<torch::optim::Optimizer>;

// Of taking a step, each side's own.
struct Way {
  std::function<Optimizer(const std::vector<at::Tensor>&)> make_optimizer;
  bool recycles;  // memory
};

constexpr double kRate = 1e-3;
constexpr double kMomentum = 0.9;

const Way kLibtorch{[](const std::vector<at::Tensor>& parameters) -> Optimizer {
                      return std::make_shared<torch::optim::SGD>(parameters,
                                                                 torch::optim::SGDOptions(kRate).momentum(kMomentum));
                    },
                    false};
const Way kOctet{[](const std::vector<at::Tensor>& parameters) {
                   octet::OptimizerOptions options;
                   options.momentum = kMomentum;
                   return octet::make_optimizer(parameters, options, kRate);
                 },
                 true};

struct Trainee {
  std::shared_ptr<octet::GraphModule> module;
  std::shared_ptr<octet::IntegerPrefix> prefix;  // null: all steps run
  std::shared_ptr<octet::PartialUpdate> update;  // null: all channels are trained
  Optimizer optimizer;
  bool recycles;

  Trainee(std::shared_ptr<octet::GraphModule> graph, const Way& way)
      : module(std::move(graph)), recycles(way.recycles) {
    for (at::Tensor& parameter : module->parameters()) {
      if (parameter.dim() == 4) parameter.set_data(parameter.contiguous(at::MemoryFormat::ChannelsLast));
    }
    module->train(true);
    optimizer = way.make_optimizer(module->parameters());
  }
  void step(const at::Tensor& images, const at::Tensor& labels) {
    std::optional<octet::RecycledMemory> recycled;
    if (recycles) recycled.emplace();
    optimizer->zero_grad();
    const at::Tensor logits = prefix ? prefix->run({images}).at(0) : module->forward(images);
    at::cross_entropy_loss(logits, labels).backward();
    if (update) {
      update->step(*optimizer);
    } else {
      optimizer->step();
    }
  }
};

// All in turn, `rounds` times.
void compare_shares(const octet::GraphModule& prepared, const at::Tensor& images, int rounds) {
  struct Side {
    std::string name;
    octet::PartialUpdateOptions update;
    std::unique_ptr<Trainee> trainee = nullptr;
    Figures step = {}, ratio = {};
  };
  std::vector<Side> sides;
  sides.push_back({"all channels", {}});
  for (const double share : {0.5, 0.25, 0.1}) sides.push_back({octet::str("share ", share, ", by layer"), {share}});
  for (const double share : {0.5, 0.25, 0.1}) {
    sides.push_back({octet::str("share ", share, ", whole layers"), {share, octet::UpdateScope::kWholeLayers}});
  }
  at::Tensor labels;
  for (Side& side : sides) {
    side.trainee = std::make_unique<Trainee>(prepared.copy(), kOctet);
    if (side.update.share < 1) {
      side.trainee->update = std::make_shared<octet::PartialUpdate>(*side.trainee->module, side.update);
      side.trainee->update->choose();
    }
    if (!labels.defined()) {
      labels = at::randint(side.trainee->module->forward(images).size(1), {images.size(0)}, at::kLong);
    }
    side.trainee->step(images, labels);
  }
  for (int round = 0; round < rounds; ++round) {
    double whole = 0;
    for (Side& side : sides) {
      const double took = milliseconds([&] { side.trainee->step(images, labels); });
      if (&side == &sides.front()) whole = took;
      side.step.add(took);
      side.ratio.add(took / whole);
    }
  }
  for (const Side& side : sides) {
    std::printf("  %-26s %8.1f ms (%.1f to %.1f), to all %.2f (%.2f to %.2f)\n", side.name.c_str(), side.step.median(),
                side.step.at(0.25), side.step.at(0.75), side.ratio.median(), side.ratio.at(0.25), side.ratio.at(0.75));
  }
}

}  // namespace

int main(int argc, char** argv) try {
  const int64_t batch = argc > 1 ? std::stoll(argv[1]) : 16;
  at::set_num_threads(argc > 2 ? std::stoi(argv[2]) : 2);
  const int rounds = argc > 3 ? std::stoi(argv[3]) : 5;
  const std::string model = argc > 4 ? argv[4] : "mobilenet_v2";
  const int64_t size = argc > 5 ? std::stoll(argv[5]) : 224;
  at::manual_seed(0);

  const std::string side = argc > 6 ? argv[6] : "all";
  const auto exported = octet::benchmarks::exported_model(model, size);
  const at::Tensor images = at::randn({batch, 3, size, size}).contiguous(at::MemoryFormat::ChannelsLast);
  octet::NeutronQuantizer quantizer(octet::NeutronTargetSpec("imxrt700"), /*is_qat=*/true);
  if (side == "shares") {
    compare_shares(*octet::prepare_qat_pt2e(exported->copy(), quantizer), images, rounds);
    return 0;
  }
  if (side != "all") {
    if (side != "float" && side != "qat") {
      throw octet::expected("bench_qat_step", "side", "all, float, qat or shares", side);
    }
    auto graph = exported->copy();
    if (side == "qat") graph = octet::prepare_qat_pt2e(graph, quantizer);
    Trainee alone(graph, side == "qat" ? kOctet : kLibtorch);
    const at::Tensor labels = at::randint(alone.module->forward(images).size(1), {batch});
    alone.step(images, labels);
    Figures figures;
    for (int round = 0; round < rounds; ++round) figures.add(milliseconds([&] { alone.step(images, labels); }));
    std::printf("%s step, %s: %.1f ms, peak %.0f MB\n", side.c_str(), model.c_str(), figures.median(),
                static_cast<double>(octet::peak_memory()) / 1e6);
    return 0;
  }

  Figures prepare, convert;
  std::shared_ptr<octet::GraphModule> prepared;
  for (int round = 0; round < 3; ++round) {
    auto copy = exported->copy();
    prepare.add(milliseconds([&] { prepared = octet::prepare_qat_pt2e(copy, quantizer); }));
  }

  Trainee plain(exported->copy(), kLibtorch);
  const at::Tensor labels = at::randint(plain.module->forward(images).size(1), {batch});
  Trainee quantized(prepared, kOctet);
  Trainee half(prepared->copy(), kOctet);
  octet::freeze_layers(*half.module, "0.5");
  plain.step(images, labels);
  quantized.step(images, labels);
  half.step(images, labels);
  Trainee settled(half.module->copy(), kOctet);  // ranges too, so that its frozen begin can run in integers
  octet::freeze_layers(*settled.module, "0.5");
  settled.module->apply(octet::disable_observer);
  const octet::IntegerPrefix::Found found = octet::IntegerPrefix::find(*settled.module);
  settled.prefix = found.prefix;
  settled.step(images, labels);
  Figures float_step, qat_step, half_step, settled_step, ratio, half_ratio, settled_ratio;
  for (int round = 0; round < rounds; ++round) {
    const double a = milliseconds([&] { plain.step(images, labels); });
    const double b = milliseconds([&] { quantized.step(images, labels); });
    const double c = milliseconds([&] { half.step(images, labels); });
    const double d = milliseconds([&] { settled.step(images, labels); });
    float_step.add(a);
    qat_step.add(b);
    ratio.add(b / a);
    half_step.add(c);
    half_ratio.add(c / a);
    settled_step.add(d);
    settled_ratio.add(d / a);
  }
  octet::move_exported_model_to_eval(prepared);
  for (int round = 0; round < 3; ++round) {
    auto copy = prepared->copy();
    convert.add(milliseconds([&] { octet::convert_pt2e(copy); }));
  }
  const bool is_mobilenet = model == "mobilenet_v2";
  std::printf("%s %ldx%ld, batch %ld, %d threads, %d rounds: medians (quartiles)\n",
              is_mobilenet ? "MobileNetV2" : model.c_str(), static_cast<long>(size), static_cast<long>(size),
              static_cast<long>(batch), at::get_num_threads(), rounds);
  const auto frozen = [](const char* what, const Figures& step, const Figures& to_float) {
    std::printf("  %s %8.1f ms (%.1f to %.1f), to the float step %.2f (%.2f to %.2f)\n", what, step.median(),
                step.at(0.25), step.at(0.75), to_float.median(), to_float.at(0.25), to_float.at(0.75));
  };
  std::printf("  float step  %8.1f ms (%.1f to %.1f)\n", float_step.median(), float_step.at(0.25), float_step.at(0.75));
  std::printf("  QAT step    %8.1f ms (%.1f to %.1f)\n", qat_step.median(), qat_step.at(0.25), qat_step.at(0.75));
  std::printf("  QAT / float %8.2f    (%.2f to %.2f)\n", ratio.median(), ratio.at(0.25), ratio.at(0.75));
  frozen("first half of the layers frozen", settled_step, settled_ratio);
  std::printf("    %s\n", found.prefix ? octet::str(found.prefix->layers(), " of them in integers").c_str()
                                       : found.declined.c_str());
  frozen("the same, ranges still observed", half_step, half_ratio);
  std::printf("  prepare     %8.1f ms, convert %.1f ms, together %.1f ms\n", prepare.median(), convert.median(),
              prepare.median() + convert.median());
  return 0;
} catch (const std::exception& error) {
  std::fprintf(stderr, "%s\n", error.what());
  return 1;
}

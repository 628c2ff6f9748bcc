// MobileNetV2 at 224x224: what a batch of calibration costs against the float forward of libtorch, in one process and
// in turn; and what prepare and convert take for every target. Longer graphs: bench_growth.
// usage: calibration [batch = 16] [threads = 2] [rounds = 5]
#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>

#include <cstdio>
#include <functional>
#include <string>

#include "benchmarks/figures.h"
#include "octet/quantize/calibrate.h"
#include "octet/quantize/quantize_pt2e.h"
#include "octet/targets/engine/table_quantizer.h"
#include "octet/targets/targets.h"

namespace {

using octet::QuantizationMode;
using octet::benchmarks::Figures;
using octet::benchmarks::milliseconds;

void print(const char* name, const Figures& figures, const char* unit) {
  std::printf("  %-28s %8.2f %s (quartiles %.2f to %.2f)\n", name, figures.median(), unit, figures.at(0.25),
              figures.at(0.75));
}

std::shared_ptr<octet::GraphModule> channels_last(std::shared_ptr<octet::GraphModule> module) {
  for (at::Tensor& parameter : module->parameters()) {
    if (parameter.dim() == 4) parameter.set_data(parameter.contiguous(at::MemoryFormat::ChannelsLast));
  }
  return module;
}

void time_calibration(const octet::GraphModule& exported, int64_t batch, int rounds) {
  const at::NoGradGuard no_grad;
  std::vector<std::vector<at::Tensor>> images;
  for (int i = 0; i < 4; ++i) {
    images.push_back({at::randn({batch, 3, 224, 224}).contiguous(at::MemoryFormat::ChannelsLast)});
  }
  auto plain = channels_last(exported.copy());
  octet::targets::TableQuantizer quantizer(octet::all_targets().standard());
  auto prepared = channels_last(octet::prepare(exported.copy(), quantizer));
  Figures forward, first, next, first_ratio, next_ratio;
  plain->run(images[0]);
  for (int round = 0; round < rounds; ++round) {
    auto copy = prepared->copy();
    const double f = milliseconds([&] { plain->run(images[0]); });
    const double a = milliseconds([&] { octet::calibrate(*copy, {images[0]}); });
    const double b = milliseconds([&] { octet::calibrate(*copy, {images[1 + round % 3]}); });
    forward.add(f);
    first.add(a);
    next.add(b);
    first_ratio.add(a / f);
    next_ratio.add(b / f);
  }
  print("float forward", forward, "ms");
  print("calibration, first batch", first, "ms");
  print("calibration, next batch", next, "ms");
  print("first batch / forward", first_ratio, "");
  print("calibration / float", next_ratio, "");
}

void time_quantization(const octet::GraphModule& exported, int rounds) {
  for (const auto& target : octet::all_targets().all()) {
    for (const QuantizationMode mode : target->modes) {
      octet::targets::TableQuantizer quantizer(target, {.mode = mode});
      Figures prepare, convert, both;
      for (int round = 0; round < rounds; ++round) {
        auto copy = exported.copy();
        const double a = milliseconds([&] { copy = octet::prepare(copy, quantizer); });
        copy->train(false);
        octet::calibrate(*copy, {{at::randn({1, 3, 224, 224})}});
        const double b = milliseconds([&] { octet::finish(copy, quantizer); });
        prepare.add(a);
        convert.add(b);
        both.add(a + b);
      }
      std::printf("  %-12s %-4s prepare %7.1f ms, convert %7.1f ms, together %7.1f ms (quartiles %.1f to %.1f)\n",
                  target->name.c_str(), octet::text(mode), prepare.at(0.5), convert.at(0.5), both.at(0.5),
                  both.at(0.25), both.at(0.75));
    }
  }
}

}  // namespace

int main(int argc, char** argv) {
  const int64_t batch = argc > 1 ? std::stoll(argv[1]) : 16;
  at::set_num_threads(argc > 2 ? std::stoi(argv[2]) : 2);
  const int rounds = argc > 3 ? std::stoi(argv[3]) : 5;
  at::manual_seed(0);
  const auto exported = octet::benchmarks::mobilenet_v2();
  std::printf("MobileNetV2 224x224, batch %ld, %d threads, %d rounds\n", static_cast<long>(batch),
              at::get_num_threads(), rounds);
  time_calibration(*exported, batch, rounds);
  time_quantization(*exported, rounds);
  return 0;
}

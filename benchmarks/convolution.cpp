// The convolutions of a network, layer by layer in channels last: libtorch's forward, gradient of the input and of the
// weight against octet's, in one process and in turn.
// usage: convolution [batch = 16] [threads = 2] [rounds = 5] [network = mobilenet_v2]
// Networks: mobilenet_v2 and resnet18 at 224x224, resnet8 at 32x32.
#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/convolution.h>
#include <ATen/ops/convolution_backward.h>
#include <ATen/ops/randn.h>

#include <array>
#include <cstdio>
#include <functional>
#include <string>
#include <vector>

#include "benchmarks/figures.h"
#include "octet/kernels/convolution.h"
#include "octet/support/error.h"

namespace {

using octet::benchmarks::Figures;
using octet::benchmarks::milliseconds;

struct Layer {
  int64_t in, out, filter, stride, groups, size;
  int count;
};

void add(std::vector<Layer>& layers, const Layer& layer) {
  for (Layer& known : layers) {
    if (known.in == layer.in && known.out == layer.out && known.filter == layer.filter &&
        known.stride == layer.stride && known.size == layer.size) {
      ++known.count;
      return;
    }
  }
  layers.push_back(layer);
}

std::vector<Layer> layers_of_mobilenet_v2() {
  std::vector<Layer> layers{{3, 32, 3, 2, 1, 224, 1}};
  struct Stage {
    int64_t expansion, out, repeats, stride;
  };
  int64_t size = 112;
  int64_t in = 32;
  for (const Stage& stage : {Stage{1, 16, 1, 1}, Stage{6, 24, 2, 2}, Stage{6, 32, 3, 2}, Stage{6, 64, 4, 2},
                             Stage{6, 96, 3, 1}, Stage{6, 160, 3, 2}, Stage{6, 320, 1, 1}}) {
    for (int64_t i = 0; i < stage.repeats; ++i) {
      const int64_t stride = i == 0 ? stage.stride : 1;
      const int64_t hidden = in * stage.expansion;
      if (stage.expansion > 1) add(layers, {in, hidden, 1, 1, 1, size, 1});
      add(layers, {hidden, hidden, 3, stride, hidden, size, 1});
      size /= stride;
      add(layers, {hidden, stage.out, 1, 1, 1, size, 1});
      in = stage.out;
    }
  }
  add(layers, {320, 1280, 1, 1, 1, size, 1});
  return layers;
}

// Stages of blocks of two 3x3 convolutions; each but the first halves the image and doubles the channels.
std::vector<Layer> layers_of_resnet(const Layer& first, int64_t size, int64_t stages, int64_t blocks) {
  std::vector<Layer> layers{first};
  int64_t in = first.out;
  for (int64_t stage = 0; stage < stages; ++stage) {
    const int64_t out = first.out << stage;
    const int64_t stride = stage == 0 ? 1 : 2;
    add(layers, {in, out, 3, stride, 1, size, 1});
    if (stride > 1) add(layers, {in, out, 1, stride, 1, size, 1});
    size /= stride;
    for (int64_t i = 1; i < 2 * blocks; ++i) add(layers, {out, out, 3, 1, 1, size, 1});
    in = out;
  }
  return layers;
}

std::vector<Layer> layers_of(const std::string& network) {
  if (network == "resnet8") return layers_of_resnet({3, 16, 3, 1, 1, 32, 1}, 32, 3, 1);
  if (network == "resnet18") return layers_of_resnet({3, 64, 7, 2, 1, 224, 1}, 56, 4, 2);
  if (network == "mobilenet_v2") return layers_of_mobilenet_v2();
  throw octet::expected("bench_convolution", "network", "mobilenet_v2, resnet18 or resnet8", network);
}

}  // namespace

int main(int argc, char** argv) try {
  const int64_t batch = argc > 1 ? std::stoll(argv[1]) : 16;
  at::set_num_threads(argc > 2 ? std::stoi(argv[2]) : 2);
  const int rounds = argc > 3 ? std::stoi(argv[3]) : 5;
  const std::string network = argc > 4 ? argv[4] : "mobilenet_v2";
  const at::NoGradGuard no_grad;
  constexpr std::array<const char*, 3> kPasses{"forward", "input", "weight"};
  std::array<std::array<double, 2>, 3> total{};
  std::printf("%s, batch %ld, %d threads, %d rounds; ms of libtorch and of octet\n", network.c_str(),
              static_cast<long>(batch), at::get_num_threads(), rounds);
  for (const Layer& layer : layers_of(network)) {
    const int64_t pad = layer.filter / 2;
    const octet::ConvGeometry g{{layer.stride, layer.stride}, {pad, pad}, {1, 1}, layer.groups};
    const auto image = [](const at::Tensor& x) { return x.contiguous(at::MemoryFormat::ChannelsLast); };
    const at::Tensor x = image(at::randn({batch, layer.in, layer.size, layer.size}));
    const at::Tensor weight = image(at::randn({layer.out, layer.in / layer.groups, layer.filter, layer.filter}));
    const at::Tensor dy = image(at::randn_like(octet::conv_forward(x, weight, {}, g)));
    const auto libtorch = [&](std::array<bool, 3> wanted) {
      at::convolution_backward(dy, x, weight, at::IntArrayRef{layer.out}, g.stride, g.padding, g.dilation, false,
                               {0, 0}, g.groups, wanted);
    };
    const std::array<std::array<std::function<void()>, 2>, 3> work{{
        {[&] {
           at::convolution(x, weight, {}, g.stride, g.padding, g.dilation, false, {0, 0}, g.groups);
         },
         [&] { octet::conv_forward(x, weight, {}, g); }},
        {[&] {
           libtorch({true, false, false});
         },
         [&] { octet::conv_backward_input(dy, x.sizes(), weight, g); }},
        {[&] {
           libtorch({false, true, false});
         },
         [&] { octet::conv_backward_weight(dy, x, weight.sizes(), g); }},
    }};
    std::printf("  %4ld -> %4ld %ldx%ld stride %ld at %3ld, %d times:", static_cast<long>(layer.in),
                static_cast<long>(layer.out), static_cast<long>(layer.filter), static_cast<long>(layer.filter),
                static_cast<long>(layer.stride), static_cast<long>(layer.size), layer.count);
    for (size_t pass = 0; pass < kPasses.size(); ++pass) {
      std::array<Figures, 2> times;
      for (int round = 0; round < rounds; ++round) {
        for (size_t side = 0; side < 2; ++side) times[side].add(milliseconds(work[pass][side]));
      }
      std::printf("  %s %6.2f %6.2f", kPasses[pass], times[0].median(), times[1].median());
      // The image that the network reads asks for no gradient.
      if (pass == 1 && layer.in == 3) continue;
      for (size_t side = 0; side < 2; ++side)
        total[pass][side] += static_cast<double>(layer.count) * times[side].median();
    }
    std::printf("\n");
  }
  for (size_t pass = 0; pass < kPasses.size(); ++pass) {
    std::printf("  all, %-8s libtorch %7.1f ms, octet %7.1f ms, octet / libtorch %.2f\n", kPasses[pass], total[pass][0],
                total[pass][1], total[pass][1] / total[pass][0]);
  }
  return 0;
} catch (const std::exception& error) {
  std::fprintf(stderr, "%s\n", error.what());
  return 1;
}

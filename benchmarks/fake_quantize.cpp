// The fused fake quantizer against the plain ATen formula, forward and backward, on one activation of MobileNetV2 at
// batch 16. usage: bench_fake_quantize [Google Benchmark's options]
#include <ATen/ops/full.h>
#include <ATen/ops/ones_like.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/zeros.h>
#include <benchmark/benchmark.h>

#include "octet/kernels/fake_quantize_kernel.h"

namespace octet {
namespace {

using Kernel = at::Tensor (*)(const at::Tensor&, const at::Tensor&, const at::Tensor&, int64_t, int64_t, int64_t);

void step(benchmark::State& state, Kernel kernel, bool per_channel) {
  at::Tensor x = at::randn({16, 96, 56, 56}).contiguous(at::MemoryFormat::ChannelsLast).set_requires_grad(true);
  const int64_t grids = per_channel ? x.size(1) : 1;
  const at::Tensor scale = at::full({grids}, 0.02F);
  const at::Tensor zero_point = at::zeros({grids}, at::kLong);
  const at::Tensor gradient = at::ones_like(x.detach());
  for (auto _ : state) {
    const at::Tensor y = kernel(x, scale, zero_point, per_channel ? 1 : -1, -128, 127);
    y.backward(gradient);
    benchmark::DoNotOptimize(x.mutable_grad().data_ptr());
    x.mutable_grad() = at::Tensor();
  }
  state.SetBytesProcessed(static_cast<int64_t>(state.iterations()) * x.numel() * 4);
}

BENCHMARK_CAPTURE(step, fused_per_tensor, fake_quantize, false)->UseRealTime()->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(step, plain_per_tensor, fake_quantize_reference, false)->UseRealTime()->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(step, fused_per_channel, fake_quantize, true)->UseRealTime()->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(step, plain_per_channel, fake_quantize_reference, true)->UseRealTime()->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace octet

BENCHMARK_MAIN();

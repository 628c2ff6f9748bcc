#include "octet/integer/kernels/window.h"

#include "octet/support/error.h"

namespace octet::integer {
namespace {

using tflite::Padding;
using tflite::Tensor;

Axis sliding_axis(const KernelContext& context, int64_t in, int64_t out, int64_t filter, int64_t stride,
                  int64_t dilation) {
  if (stride < 1 || dilation < 1 || filter < 1) context.fail("stride, dilation and filter", "at least 1", "0 or less");
  const int64_t reach = (filter - 1) * dilation + 1;
  const bool same = context.op.options.padding == Padding::kSame;
  const int64_t wanted = same ? (in + stride - 1) / stride : in < reach ? 0 : (in - reach) / stride + 1;
  if (out != wanted) context.fail("output size", std::to_string(wanted), std::to_string(out));
  const int64_t total = std::max<int64_t>((out - 1) * stride + reach - in, 0);
  return {in, out, filter, stride, dilation, same ? total / 2 : 0};
}

void require_same_batch(const KernelContext& context, const Tensor& input) {
  const int64_t wanted = input.shape[0], got = context.output().shape[0];
  if (wanted != got) context.fail("samples", std::to_string(wanted), std::to_string(got));
}

}  // namespace

Window convolution_window(const KernelContext& context, tflite::Type type) {
  const Tensor& input = context.input(0);
  const Tensor& weight = context.input(1);
  const Tensor& output = context.output();
  context.require_images({&input, &output, &weight}, type);
  require_same_batch(context, input);
  const auto& options = context.op.options;
  const auto axis = [&](size_t d, int64_t stride, int64_t dilation) {
    return sliding_axis(context, input.shape[d], output.shape[d], weight.shape[d], stride, dilation);
  };
  return {axis(1, options.stride_h, options.dilation_h), axis(2, options.stride_w, options.dilation_w), input.shape[0],
          input.shape[3], output.shape[3]};
}

Window pool_window(const KernelContext& context, tflite::Type type) {
  const Tensor& input = context.input(0);
  const Tensor& output = context.output();
  context.require_images({&input, &output}, type);
  require_same_batch(context, input);
  if (output.shape[3] != input.shape[3]) {
    context.fail("channels", std::to_string(input.shape[3]), std::to_string(output.shape[3]));
  }
  const auto& options = context.op.options;
  const auto axis = [&](size_t d, int64_t filter, int64_t stride) {
    return sliding_axis(context, input.shape[d], output.shape[d], filter, stride, 1);
  };
  return {axis(1, options.filter_h, options.stride_h), axis(2, options.filter_w, options.stride_w), input.shape[0],
          input.shape[3], output.shape[3]};
}

Window transposed_window(const KernelContext& context, tflite::Type type) {
  // Inputs: output shape, weight [O, H, W, I], image, bias.
  const Tensor& weight = context.input(1);
  const Tensor& input = context.input(2);
  const Tensor& output = context.output();
  context.require_images({&input, &output, &weight}, type);
  require_same_batch(context, input);
  if (weight.shape[3] != input.shape[3] || output.shape[3] != weight.shape[0]) {
    context.fail("channels of the weight", octet::str(input.shape[3], " in, ", output.shape[3], " out"),
                 octet::str(weight.shape[3], ", ", weight.shape[0]));
  }
  const auto& options = context.op.options;
  const auto axis = [&](size_t d, int64_t stride) -> Axis {
    if (stride < 1) context.fail("stride", "at least 1", "0 or less");
    const int64_t in = input.shape[d], out = output.shape[d], filter = weight.shape[d];
    const bool same = options.padding == Padding::kSame;
    return {in, out, filter, stride, 1, same ? std::max<int64_t>((in - 1) * stride + filter - out, 0) / 2 : 0};
  };
  return {axis(1, options.stride_h), axis(2, options.stride_w), input.shape[0], input.shape[3], output.shape[3]};
}

}  // namespace octet::integer

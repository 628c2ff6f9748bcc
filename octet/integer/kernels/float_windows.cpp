// Float32 operators on images. They lie in NHWC, ATen takes NCHW: permuted views in and out.

#include <cmath>
#include <limits>

#include "octet/integer/kernels/float_ops.h"
#include "octet/integer/kernels/resize.h"
#include "octet/integer/kernels/window.h"
#include "octet/support/error.h"

namespace octet::integer {
namespace {

using tflite::OpCode;
using tflite::Tensor;
using tflite::Type;

at::Tensor channels_first(const at::Tensor& x) { return x.permute({0, 3, 1, 2}); }
at::Tensor channels_last(const at::Tensor& x) { return x.permute({0, 2, 3, 1}); }

// With what the window needs around the image.
at::Tensor padded(const at::Tensor& x, const Window& window, float value) {
  const int64_t left = window.w.before, right = window.w.after(), top = window.h.before, bottom = window.h.after();
  if (left + right + top + bottom == 0) return x;
  return at::constant_pad_nd(x, {left, right, top, bottom}, value);
}

void require_reasonable(const KernelContext& context, const Window& window) {
  if (!window.is_reasonable()) context.fail("window", "in proportion to the image", "far beyond it");
}

FloatFunction grouped_convolution(const KernelContext& context, const Window& window, int64_t groups,
                                  std::vector<int64_t> weight_order) {
  require_bias(context, 2, window.out_channels);
  require_reasonable(context, window);
  const auto activation = context.op.options.activation;
  return [=, order = std::move(weight_order)](const std::vector<at::Tensor>& inputs) {
    const auto& [h, w, batches, channels, out_channels] = window;
    const at::Tensor image = padded(channels_first(inputs[0]), window, 0.0F);
    const at::Tensor y =
        at::conv2d(image, inputs[1].permute(order), bias_of(inputs, 2), at::IntArrayRef{h.stride, w.stride},
                   at::IntArrayRef{0, 0}, at::IntArrayRef{h.dilation, w.dilation}, groups);
    return activated(channels_last(y), activation);
  };
}

}  // namespace

FloatFunction float_convolution(const KernelContext& context) {
  const Window window = convolution_window(context, Type::kFloat32);
  const std::vector<int64_t>& weight = context.input(1).shape;
  const int64_t groups = weight[3] < 1 || window.channels % weight[3] != 0 ? 0 : window.channels / weight[3];
  if (groups < 1 || weight[0] != window.out_channels || weight[0] % groups != 0) {
    context.fail("channels of the weight", octet::str("a divisor of ", window.channels, ", ", window.out_channels),
                 octet::str(weight[3], ", ", weight[0]));
  }
  return grouped_convolution(context, window, groups, {0, 3, 1, 2});
}

FloatFunction float_depthwise_convolution(const KernelContext& context) {
  const Window window = convolution_window(context, Type::kFloat32);
  const std::vector<int64_t>& weight = context.input(1).shape;
  if (weight[0] != 1 || weight[3] != window.out_channels || window.channels < 1 ||
      window.out_channels % window.channels != 0) {
    context.fail("channels", "a multiple of the input's, in weight and output",
                 octet::str(window.channels, ", ", weight[3], " and ", window.out_channels));
  }
  return grouped_convolution(context, window, window.channels, {3, 0, 1, 2});
}

FloatFunction float_transposed_convolution(const KernelContext& context) {
  const Window window = transposed_window(context, Type::kFloat32);
  require_bias(context, 3, window.out_channels);
  const auto activation = context.op.options.activation;
  return [=](const std::vector<at::Tensor>& inputs) {
    const auto& [h, w, batches, channels, out_channels] = window;
    at::Tensor y = at::conv_transpose2d(channels_first(inputs[2]), inputs[1].permute({3, 0, 1, 2}), {},
                                        at::IntArrayRef{h.stride, w.stride});
    // Cut to the result, or filled up with what only the bias reaches.
    y = at::constant_pad_nd(y, {-w.before, w.out + w.before - y.size(3), -h.before, h.out + h.before - y.size(2)});
    y = channels_last(y);
    if (const at::Tensor bias = bias_of(inputs, 3); bias.defined()) y = y + bias;
    return activated(y, activation);
  };
}

FloatFunction float_pool(const KernelContext& context) {
  const Window window = pool_window(context, Type::kFloat32);
  require_reasonable(context, window);
  const auto activation = context.op.options.activation;
  const bool average = context.op.code == OpCode::kAveragePool2d;
  return [=](const std::vector<at::Tensor>& inputs) {
    const std::vector<int64_t> filter = {window.h.filter, window.w.filter};
    const std::vector<int64_t> stride = {window.h.stride, window.w.stride};
    const at::Tensor x = channels_first(inputs[0]);
    at::Tensor y;
    if (average) {
      const auto sums = [&](const at::Tensor& of) {
        return at::avg_pool2d(padded(of, window, 0.0F), filter, stride, 0, false, true, 1);
      };
      y = sums(x) / sums(at::ones({1, 1, window.h.in, window.w.in}, x.options()));  // padding does not count
    } else {
      y = at::max_pool2d(padded(x, window, -std::numeric_limits<float>::infinity()), filter, stride);
    }
    return activated(channels_last(y), activation);
  };
}

namespace {

// Two neighbours of every resized pixel, and the weight of the higher one.
struct Neighbours {
  std::vector<int64_t> low, high;
  std::vector<float> weight;
};

Neighbours neighbours(const KernelContext& context, int64_t in, int64_t out) {
  const bool aligned = context.op.options.align_corners && out > 1;
  const bool half_pixels = context.op.options.half_pixel_centers;
  const float scale = aligned ? static_cast<float>(in - 1) / static_cast<float>(out - 1)
                              : static_cast<float>(in) / static_cast<float>(out);
  Neighbours result;
  for (int64_t to = 0; to < out; ++to) {
    const auto place = static_cast<float>(to);
    const float at = half_pixels ? (place + 0.5F) * scale - 0.5F : place * scale;
    const int64_t low = std::max<int64_t>(static_cast<int64_t>(std::floor(at)), 0);
    result.low.push_back(std::min(low, in - 1));
    result.high.push_back(std::min(static_cast<int64_t>(std::ceil(at)), in - 1));
    result.weight.push_back(at - static_cast<float>(low));
    if (result.high.back() < 0) result.high.back() = 0;
  }
  return result;
}

at::Tensor taken(const at::Tensor& x, int64_t dim, const std::vector<int64_t>& places) {
  return at::index_select(x, dim, at::tensor(places, at::TensorOptions(at::kLong)));
}

at::Tensor mixed(const at::Tensor& x, int64_t dim, const Neighbours& points) {
  std::vector<int64_t> shape(4, 1);
  shape[static_cast<size_t>(dim)] = -1;
  const at::Tensor weight = at::tensor(points.weight, at::TensorOptions(at::kFloat)).reshape(shape);
  return taken(x, dim, points.low) * (1 - weight) + taken(x, dim, points.high) * weight;
}

}  // namespace

FloatFunction float_resize(const KernelContext& context) {
  const Tensor& input = context.input(0);
  const Tensor& output = context.output();
  context.require_images({&input, &output}, Type::kFloat32);
  if (input.shape[0] != output.shape[0] || input.shape[3] != output.shape[3]) {
    context.fail("samples and channels", octet::str(input.shape[0], ", ", input.shape[3]),
                 octet::str(output.shape[0], ", ", output.shape[3]));
  }
  if (input.shape[1] < 1 || input.shape[2] < 1) context.fail("size of the image", "at least 1", "0");
  if (context.op.code == OpCode::kResizeNearestNeighbor) {
    const auto rows = nearest_places(context.op.options, input.shape[1], output.shape[1]);
    const auto columns = nearest_places(context.op.options, input.shape[2], output.shape[2]);
    return [=](const std::vector<at::Tensor>& inputs) { return taken(taken(inputs[0], 1, rows), 2, columns); };
  }
  const Neighbours rows = neighbours(context, input.shape[1], output.shape[1]);
  const Neighbours columns = neighbours(context, input.shape[2], output.shape[2]);
  return [=](const std::vector<at::Tensor>& inputs) { return mixed(mixed(inputs[0], 1, rows), 2, columns); };
}

}  // namespace octet::integer

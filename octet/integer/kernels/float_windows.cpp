// Float32 operators on images, sums in the order of TFLite's reference kernels. Images lie in NHWC; ATen's pools take
// NCHW: permuted views in and out.

#include <cmath>
#include <limits>

#include "octet/integer/kernels/float_in_order.h"
#include "octet/integer/kernels/resize.h"
#include "octet/integer/kernels/window.h"
#include "octet/kernels/parallel.h"
#include "octet/support/error.h"

namespace octet::integer {
namespace {

using tflite::OpCode;
using tflite::Tensor;
using tflite::Type;

at::Tensor channels_first(const at::Tensor& x) { return x.permute({0, 3, 1, 2}); }
at::Tensor channels_last(const at::Tensor& x) { return x.permute({0, 2, 3, 1}); }

// With what the window needs around the image.
at::Tensor padded(const at::Tensor& x, const Window& window, float value) {  // NHWC
  const int64_t left = window.w.before, right = window.w.after(), top = window.h.before, bottom = window.h.after();
  if (left + right + top + bottom == 0) return x;
  return at::constant_pad_nd(x, {0, 0, left, right, top, bottom}, value);
}

void require_reasonable(const KernelContext& context, const Window& window) {
  if (!window.is_reasonable()) context.fail("window", "in proportion to the image", "far beyond it");
}

// The pixels of the image that tap (y, x) of the window meets, one for each place of the window.
at::Tensor met(const at::Tensor& image, const Window& window, int64_t y, int64_t x) {
  const auto along = [](const at::Tensor& of, int64_t dim, const Axis& axis, int64_t tap) {
    const int64_t first = tap * axis.dilation;
    return of.slice(dim, first, first + (axis.out - 1) * axis.stride + 1, axis.stride);
  };
  return along(along(image, 1, window.h, y), 2, window.w, x);
}

// A row of the results of all images: each sum takes the window's taps in order, of each its channels; what lies beside
// the image adds nothing.
void add_row(const Window& window, int64_t groups, const float* image, const float* weight, int64_t row, float* to) {
  const auto& [h, w, batches, channels, out_channels] = window;
  const int64_t depth = channels / groups, results = out_channels / groups;
  const float* sample = image + row / h.out * h.in * w.in * channels;
  float* place = to + row * w.out * out_channels;
  for (int64_t column = 0; column < w.out; ++column, place += out_channels) {
    const float* matrix = weight;
    for (int64_t fy = 0; fy < h.filter; ++fy) {
      const int64_t y = row % h.out * h.stride - h.before + fy * h.dilation;
      for (int64_t fx = 0; fx < w.filter; ++fx, matrix += channels * results) {
        const int64_t x = column * w.stride - w.before + fx * w.dilation;
        if (y < 0 || y >= h.in || x < 0 || x >= w.in) continue;
        const float* pixel = sample + (y * w.in + x) * channels;
        for (int64_t c = 0; c < channels; ++c) {
          float* sums = place + c / depth * results;
          for (int64_t k = 0; k < results; ++k) sums[k] += pixel[c] * matrix[c * results + k];
        }
      }
    }
  }
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
  require_bias(context, 2, window.out_channels);
  require_reasonable(context, window);
  const auto activation = context.op.options.activation;
  return [=](const std::vector<at::Tensor>& inputs) {
    at::Tensor sums = at::zeros({window.batches, window.h.out, window.w.out, window.out_channels}, inputs[0].options());
    const at::Tensor image = inputs[0].contiguous();
    // Tap, group, channel; a group's results lie side by side.
    const at::Tensor matrices = inputs[1].flatten(1, 2).unflatten(0, {groups, -1}).permute({2, 0, 3, 1}).contiguous();
    const auto* from = image.const_data_ptr<float>();
    const auto* by = matrices.const_data_ptr<float>();
    auto* to = sums.mutable_data_ptr<float>();
    parallel_for(0, window.batches * window.h.out, 1, [&](int64_t begin, int64_t end) {
      for (int64_t row = begin; row < end; ++row) add_row(window, groups, from, by, row, to);
    });
    if (const at::Tensor bias = bias_of(inputs, 2); bias.defined()) sums += bias;
    return activated(sums, activation);
  };
}

FloatFunction float_depthwise_convolution(const KernelContext& context) {
  const Window window = convolution_window(context, Type::kFloat32);
  const std::vector<int64_t>& weight = context.input(1).shape;
  if (weight[0] != 1 || weight[3] != window.out_channels || window.channels < 1 ||
      window.out_channels % window.channels != 0) {
    context.fail("channels", "a multiple of the input's, in weight and output",
                 octet::str(window.channels, ", ", weight[3], " and ", window.out_channels));
  }
  require_bias(context, 2, window.out_channels);
  require_reasonable(context, window);
  const auto activation = context.op.options.activation;
  return [=](const std::vector<at::Tensor>& inputs) {
    const int64_t multiplier = window.out_channels / window.channels;
    const at::Tensor image = padded(inputs[0].repeat_interleave(multiplier, 3), window, 0.0F);
    at::Tensor sums = at::zeros({window.batches, window.h.out, window.w.out, window.out_channels}, image.options());
    for (int64_t y = 0; y < window.h.filter; ++y) {
      for (int64_t x = 0; x < window.w.filter; ++x) sums += met(image, window, y, x) * inputs[1][0][y][x];
    }
    if (const at::Tensor bias = bias_of(inputs, 2); bias.defined()) sums += bias;
    return activated(sums, activation);
  };
}

FloatFunction float_transposed_convolution(const KernelContext& context) {
  const Window window = transposed_window(context, Type::kFloat32);
  require_bias(context, 3, window.out_channels);
  const auto activation = context.op.options.activation;
  return [=](const std::vector<at::Tensor>& inputs) {
    const auto& [h, w, batches, channels, out_channels] = window;
    at::Tensor sums = at::zeros({batches, h.out, w.out, out_channels}, inputs[2].options());
    const at::Tensor image = inputs[2].contiguous();
    const at::Tensor weight = inputs[1].permute({3, 1, 2, 0}).contiguous();  // channel, row, column, result
    const auto* from = image.const_data_ptr<float>();
    auto* to = sums.mutable_data_ptr<float>();
    const int64_t pixels = batches * h.in * w.in;
    for (int64_t pixel = 0; pixel < pixels; ++pixel) {
      const int64_t left = pixel % w.in * w.stride - w.before, top = pixel / w.in % h.in * h.stride - h.before;
      const int64_t sample = pixel / w.in / h.in;
      for (int64_t c = 0; c < channels; ++c) {
        const float value = from[pixel * channels + c];
        const auto* by = weight.const_data_ptr<float>() + c * h.filter * w.filter * out_channels;
        for (int64_t y = 0; y < h.filter; ++y) {
          for (int64_t x = 0; x < w.filter; ++x, by += out_channels) {
            if (top + y < 0 || top + y >= h.out || left + x < 0 || left + x >= w.out) continue;
            float* place = to + ((sample * h.out + top + y) * w.out + left + x) * out_channels;
            for (int64_t k = 0; k < out_channels; ++k) place[k] += value * by[k];
          }
        }
      }
    }
    if (const at::Tensor bias = bias_of(inputs, 3); bias.defined()) sums += bias;
    return activated(sums, activation);
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
    const at::Tensor& x = inputs[0];
    at::Tensor y;
    if (average) {
      const auto sums = [&](const at::Tensor& of) {
        return at::avg_pool2d(channels_first(padded(of, window, 0.0F)), filter, stride, 0, false, true, 1);
      };
      y = sums(x) / sums(at::ones({1, window.h.in, window.w.in, 1}, x.options()));  // padding does not count
    } else {
      y = at::max_pool2d(channels_first(padded(x, window, -std::numeric_limits<float>::infinity())), filter, stride);
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

at::Tensor weights(const Neighbours& points, at::IntArrayRef shape) {
  return at::tensor(points.weight, at::TensorOptions(at::kFloat)).reshape(shape);
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
  return [=](const std::vector<at::Tensor>& inputs) {
    const at::Tensor down = weights(rows, {-1, 1, 1}), across = weights(columns, {-1, 1});
    const at::Tensor top = taken(inputs[0], 1, rows.low), bottom = taken(inputs[0], 1, rows.high);
    const at::Tensor up = 1 - down, back = 1 - across;
    return taken(top, 2, columns.low) * up * back + taken(bottom, 2, columns.low) * down * back +
           taken(top, 2, columns.high) * up * across + taken(bottom, 2, columns.high) * down * across;
  };
}

}  // namespace octet::integer

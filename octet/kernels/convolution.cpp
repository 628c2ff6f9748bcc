#include "octet/kernels/convolution.h"

#include <ATen/ops/convolution.h>
#include <ATen/ops/convolution_backward.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <tuple>
#include <utility>

#include "octet/kernels/depthwise.h"
#include "octet/kernels/float_gemm.h"
#include "octet/kernels/parallel.h"
#include "octet/kernels/recycled_memory.h"
#include "octet/kernels/reference_path.h"
#include "octet/kernels/window_gradient.h"
#include "octet/kernels/windows.h"
#include "octet/support/error.h"

namespace octet {
namespace {

constexpr const char* kConvWhere = "octet::conv2d";
// The weight's gradient reads windows where they lie. Over few channels, whose registers would be half empty, windows
// copied side by side and multiplied as a matrix win where libtorch has no blocks to work with: forward for large
// filters, and for the weight's gradient of all but thin results.
constexpr int64_t kFewChannels = 8;
constexpr int64_t kLargeFilter = 25;
constexpr int64_t kThinResult = 32;
constexpr int64_t kCopyGrain = 1 << 14;  // floats of a thread

enum class Way { kLibtorch, kDepthwise, kPointwise, kWindows, kWindowSums };
enum class Pass { kForward, kInput, kWeight };

bool lies_in_channels_last(const at::Tensor& x) {
  return x.device().is_cpu() && x.layout() == at::kStrided && x.dim() == 4 &&
         x.is_contiguous(at::MemoryFormat::ChannelsLast) && x.suggest_memory_format() == at::MemoryFormat::ChannelsLast;
}

// `weight_sizes` [O, I / groups, kh, kw], `x` [N, I, H, W] or what has its sizes.
Way way_of(Pass pass, at::IntArrayRef input_sizes, at::IntArrayRef weight_sizes, const ConvGeometry& g) {
  if (reference_path() || input_sizes.size() != 4 || weight_sizes.size() != 4) return Way::kLibtorch;
  if (c10::multiply_integers(input_sizes) == 0 || c10::multiply_integers(weight_sizes) == 0) return Way::kLibtorch;
  const int64_t channels = input_sizes[1];
  if (g.groups > 1) {
    const bool one_filter_each = g.groups == channels && weight_sizes[0] == channels && weight_sizes[1] == 1;
    return one_filter_each ? Way::kDepthwise : Way::kLibtorch;
  }
  const bool is_pointwise = weight_sizes[2] == 1 && weight_sizes[3] == 1 && g.padding == std::array<int64_t, 2>{0, 0};
  if (is_pointwise) return Way::kPointwise;
  if (pass == Pass::kWeight && channels >= kFewChannels) return Way::kWindowSums;
  const bool forward = channels <= kFewChannels && weight_sizes[2] * weight_sizes[3] >= kLargeFilter;
  const bool windows = (pass == Pass::kForward && forward) || (pass == Pass::kWeight && weight_sizes[0] >= kThinResult);
  return windows ? Way::kWindows : Way::kLibtorch;
}

int64_t out_size(int64_t size, int64_t filter, const ConvGeometry& g, size_t axis) {
  return (size + 2 * g.padding[axis] - g.dilation[axis] * (filter - 1) - 1) / g.stride[axis] + 1;
}

void check(at::IntArrayRef input_sizes, at::IntArrayRef weight_sizes, const ConvGeometry& g) {
  if (g.groups < 1) throw expected(kConvWhere, "groups", "1 or more", octet::str(g.groups));
  for (size_t axis = 0; axis < 2; ++axis) {
    if (g.stride[axis] < 1) throw expected(kConvWhere, "stride", "1 or more", octet::str(g.stride[axis]));
    if (g.dilation[axis] < 1) throw expected(kConvWhere, "dilation", "1 or more", octet::str(g.dilation[axis]));
    if (g.padding[axis] < 0) throw expected(kConvWhere, "padding", "0 or more", octet::str(g.padding[axis]));
  }
  if (input_sizes[1] != weight_sizes[1] * g.groups) {
    throw expected(kConvWhere, "input channels", octet::str(weight_sizes[1] * g.groups), octet::str(input_sizes[1]));
  }
  for (size_t axis = 0; axis < 2; ++axis) {
    if (out_size(input_sizes[2 + axis], weight_sizes[2 + axis], g, axis) < 1) {
      throw expected(kConvWhere, "image size", octet::str("at least the filter's ", weight_sizes[2 + axis]),
                     octet::str(input_sizes[2 + axis]));
    }
  }
}

std::vector<int64_t> output_sizes(at::IntArrayRef in, at::IntArrayRef weight, const ConvGeometry& g) {
  return {in[0], weight[0], out_size(in[2], weight[2], g, 0), out_size(in[3], weight[3], g, 1)};
}

void check_gradient(const at::Tensor& gradient, at::IntArrayRef in, at::IntArrayRef weight, const ConvGeometry& g) {
  check(in, weight, g);
  const std::vector<int64_t> sizes = output_sizes(in, weight, g);
  if (gradient.sizes() == at::IntArrayRef(sizes)) return;
  throw expected(kConvWhere, "gradient's sizes", octet::str(at::IntArrayRef(sizes)), octet::str(gradient.sizes()));
}

at::Tensor empty_image(at::IntArrayRef sizes) {
  return at::empty(sizes, at::TensorOptions(at::kFloat).memory_format(at::MemoryFormat::ChannelsLast));
}
at::Tensor in_channels_last(const at::Tensor& x) { return x.contiguous(at::MemoryFormat::ChannelsLast); }
bool is_float(const at::Tensor& x) { return x.scalar_type() == at::kFloat; }

DepthwiseShape depthwise_shape(at::IntArrayRef in, at::IntArrayRef out, at::IntArrayRef weight, const ConvGeometry& g) {
  return {in[0],     in[1],       in[2],       in[3],        out[2],       out[3],        weight[2],
          weight[3], g.stride[0], g.stride[1], g.padding[0], g.padding[1], g.dilation[0], g.dilation[1]};
}

WindowShape window_shape(at::IntArrayRef in, at::IntArrayRef out, at::IntArrayRef weight, const ConvGeometry& g) {
  return {in[1],       in[2],       in[3],        out[2],       out[3],        weight[2],    weight[3],
          g.stride[0], g.stride[1], g.padding[0], g.padding[1], g.dilation[0], g.dilation[1]};
}

// Tap by tap, [kh * kw, channels], and back.
at::Tensor taps_of(const at::Tensor& weight) { return weight.flatten(1).t().contiguous(); }
at::Tensor weight_of_taps(const at::Tensor& taps, at::IntArrayRef sizes) {
  return taps.t().reshape(sizes).contiguous(at::MemoryFormat::ChannelsLast);
}

int64_t pixels_of(at::IntArrayRef sizes) { return sizes[0] * sizes[2] * sizes[3]; }

// Every stride-th pixel: what a 1x1 convolution with a stride reads. No copy where the stride is 1.
at::Tensor every(const at::Tensor& x, const ConvGeometry& g) {
  return in_channels_last(x.slice(2, 0, x.size(2), g.stride[0]).slice(3, 0, x.size(3), g.stride[1]));
}
bool has_stride(const ConvGeometry& g) { return g.stride[0] != 1 || g.stride[1] != 1; }

std::tuple<at::Tensor, at::Tensor, at::Tensor> libtorch_backward(const at::Tensor& gradient, const at::Tensor& x,
                                                                 const at::Tensor& weight, const ConvGeometry& g,
                                                                 std::array<bool, 3> wanted) {
  const std::vector<int64_t> bias_sizes{weight.size(0)};
  return at::convolution_backward(gradient, x, weight, bias_sizes, g.stride, g.padding, g.dilation, false, {0, 0},
                                  g.groups, wanted);
}

// An image of these sizes that nobody reads: libtorch asks for one where it wants sizes.
at::Tensor sizes_only(at::IntArrayRef sizes, const at::Tensor& like) {
  return at::empty(sizes, like.options().memory_format(like.suggest_memory_format()));
}

// Of the filters `chosen`, which no depthwise one has; undefined: of all.
template <typename MakeRows, typename Depthwise>
at::Tensor weight_gradient(Way way, const at::Tensor& gradient, const at::Tensor& chosen, at::IntArrayRef input_sizes,
                           at::IntArrayRef weight_sizes, const ConvGeometry& g, const MakeRows& rows,
                           const Depthwise& depthwise) {
  const at::Tensor dy = in_channels_last(gradient);
  if (way == Way::kDepthwise) {
    at::Tensor taps = at::empty({weight_sizes[2] * weight_sizes[3], weight_sizes[0]}, dy.options());
    depthwise(depthwise_shape(input_sizes, dy.sizes(), weight_sizes, g), dy.const_data_ptr<float>(),
              taps.mutable_data_ptr<float>());
    return weight_of_taps(taps, weight_sizes);
  }
  at::Tensor result = empty_image(weight_sizes);
  const auto multiply = [&](const RowSource& left) {
    rows([&](const RowSource& right) {
      multiply_transposed(left, right, pixels_of(dy.sizes()), result.mutable_data_ptr<float>());
    });
  };
  const PlainRows filters(dy.const_data_ptr<float>(), dy.size(1));
  if (chosen.defined()) {
    multiply(ChosenColumns(filters, chosen.const_data_ptr<int64_t>(), chosen.numel()));
  } else {
    multiply(filters);
  }
  return result;
}

// The channels `chosen` of an image.
at::Tensor channels_of(const at::Tensor& image, const at::Tensor& chosen) {
  if (!is_float(image) || !image.device().is_cpu()) return image.index_select(1, chosen);
  const at::Tensor from = in_channels_last(image);
  at::Tensor to = empty_image({from.size(0), chosen.numel(), from.size(2), from.size(3)});
  const PlainRows pixels(from.const_data_ptr<float>(), from.size(1));
  const ChosenColumns columns(pixels, chosen.const_data_ptr<int64_t>(), chosen.numel());
  float* data = to.mutable_data_ptr<float>();
  const int64_t count = chosen.numel();
  parallel_for(0, pixels_of(from.sizes()), std::max<int64_t>(1, kCopyGrain / count), [&](int64_t begin, int64_t end) {
    columns.copy(begin, end - begin, 0, count, data + begin * count, count);
  });
  return to;
}

}  // namespace

at::Tensor conv_forward(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias, const ConvGeometry& g) {
  if (x.dim() == 4 && weight.dim() == 4) check(x.sizes(), weight.sizes(), g);
  const Way way = way_of(Pass::kForward, x.sizes(), weight.sizes(), g);
  const bool plain = is_float(x) && is_float(weight) && (!bias.defined() || is_float(bias));
  if (way == Way::kLibtorch || !plain || !lies_in_channels_last(x)) {
    return at::convolution(x, weight, bias.defined() ? std::optional(bias) : std::nullopt, g.stride, g.padding,
                           g.dilation, false, {0, 0}, g.groups);
  }
  const at::Tensor added = bias.defined() ? bias.contiguous() : bias;
  const float* bias_data = bias.defined() ? added.const_data_ptr<float>() : nullptr;
  at::Tensor y = empty_image(output_sizes(x.sizes(), weight.sizes(), g));
  float* out = y.mutable_data_ptr<float>();
  if (way == Way::kDepthwise) {
    const at::Tensor taps = taps_of(weight);
    depthwise_forward(depthwise_shape(x.sizes(), y.sizes(), weight.sizes(), g), x.const_data_ptr<float>(),
                      taps.const_data_ptr<float>(), bias_data, out);
    return y;
  }
  const at::Tensor matrix = in_channels_last(weight);
  const int64_t depth = weight.numel() / weight.size(0);
  const PackedMatrix packed = pack_matrix(matrix.const_data_ptr<float>(), 1, depth, depth, weight.size(0));
  if (way == Way::kWindows) {
    const WindowRows windows(window_shape(x.sizes(), y.sizes(), weight.sizes(), g), x.const_data_ptr<float>());
    multiply_rows(windows, pixels_of(y.sizes()), packed, bias_data, out);
    return y;
  }
  const at::Tensor read = has_stride(g) ? every(x, g) : x;
  multiply_rows(PlainRows(read.const_data_ptr<float>(), x.size(1)), pixels_of(y.sizes()), packed, bias_data, out);
  return y;
}

namespace {

// What the gradient of a 1x1 convolution's result is multiplied by.
PackedMatrix packed_for_input(const at::Tensor& weight) {
  const at::Tensor matrix = weight.contiguous();
  return pack_matrix(matrix.const_data_ptr<float>(), weight.size(1), 1, weight.size(0), weight.size(1));
}

}  // namespace

at::Tensor conv_backward_input(const at::Tensor& gradient, at::IntArrayRef input_sizes, const at::Tensor& weight,
                               const ConvGeometry& g) {
  if (input_sizes.size() == 4 && weight.dim() == 4) check_gradient(gradient, input_sizes, weight.sizes(), g);
  const Way way = way_of(Pass::kInput, input_sizes, weight.sizes(), g);
  const bool plain = is_float(gradient) && is_float(weight) && gradient.device().is_cpu() && gradient.numel() > 0;
  if (way == Way::kLibtorch || !plain) {
    return std::get<0>(libtorch_backward(gradient, sizes_only(input_sizes, gradient), weight, g, {true, false, false}));
  }
  const at::Tensor dy = in_channels_last(gradient);
  at::Tensor dx = empty_image(input_sizes);
  if (way == Way::kDepthwise) {
    const at::Tensor taps = taps_of(weight);
    depthwise_backward_input(depthwise_shape(input_sizes, dy.sizes(), weight.sizes(), g), dy.const_data_ptr<float>(),
                             taps.const_data_ptr<float>(), dx.mutable_data_ptr<float>());
    return dx;
  }
  const PackedMatrix packed = packed_for_input(weight);
  at::Tensor read = has_stride(g) ? empty_image({dy.size(0), input_sizes[1], dy.size(2), dy.size(3)}) : dx;
  multiply_rows(PlainRows(dy.const_data_ptr<float>(), dy.size(1)), pixels_of(dy.sizes()), packed, nullptr,
                read.mutable_data_ptr<float>());
  if (has_stride(g)) {
    dx.zero_();
    dx.slice(2, 0, dx.size(2), g.stride[0]).slice(3, 0, dx.size(3), g.stride[1]).copy_(read);
  }
  return dx;
}

namespace {

// Of the filters `chosen`, which are what `weight_sizes` counts; undefined: of all.
at::Tensor backward_weight(const at::Tensor& gradient, const at::Tensor& x, const at::Tensor& chosen,
                           at::IntArrayRef weight_sizes, const ConvGeometry& g) {
  const Way way = way_of(Pass::kWeight, x.sizes(), weight_sizes, g);
  const bool own = way != Way::kLibtorch && is_float(x) && is_float(gradient) && lies_in_channels_last(x);
  const bool reads_chosen = own && (way == Way::kPointwise || way == Way::kWindows);
  if (chosen.defined() && !reads_chosen) return backward_weight(channels_of(gradient, chosen), x, {}, weight_sizes, g);
  if (!own) {
    const at::Tensor weight = sizes_only(weight_sizes, gradient);
    return std::get<1>(libtorch_backward(gradient, x, weight, g, {false, true, false}));
  }
  if (way == Way::kWindowSums) {
    const at::Tensor dy = in_channels_last(gradient);
    at::Tensor result = empty_image(weight_sizes);
    window_gradient(window_shape(x.sizes(), dy.sizes(), weight_sizes, g), x.size(0), weight_sizes[0],
                    x.const_data_ptr<float>(), dy.const_data_ptr<float>(), result.mutable_data_ptr<float>());
    return result;
  }
  const auto rows = [&](const auto& use) {
    if (way == Way::kWindows) {
      return use(WindowRows(window_shape(x.sizes(), gradient.sizes(), weight_sizes, g), x.const_data_ptr<float>()));
    }
    const at::Tensor read = has_stride(g) ? every(x, g) : x;
    use(PlainRows(read.const_data_ptr<float>(), x.size(1)));
  };
  const auto depthwise = [&](const DepthwiseShape& shape, const float* dy, float* taps) {
    depthwise_backward_weight(shape, x.const_data_ptr<float>(), dy, taps);
  };
  return weight_gradient(way, gradient, chosen, x.sizes(), weight_sizes, g, rows, depthwise);
}

}  // namespace

at::Tensor conv_backward_weight(const at::Tensor& gradient, const at::Tensor& x, at::IntArrayRef weight_sizes,
                                const ConvGeometry& g) {
  if (x.dim() == 4 && weight_sizes.size() == 4) check_gradient(gradient, x.sizes(), weight_sizes, g);
  return backward_weight(gradient, x, {}, weight_sizes, g);
}

at::Tensor conv_backward_chosen(const at::Tensor& gradient, const at::Tensor& x, at::IntArrayRef weight_sizes,
                                const ConvGeometry& g, const at::Tensor& chosen) {
  check_gradient(gradient, x.sizes(), weight_sizes, g);
  at::Tensor all = at::empty(weight_sizes, gradient.options().memory_format(at::MemoryFormat::ChannelsLast)).zero_();
  if (chosen.numel() == 0) return all;
  std::vector<int64_t> sizes = weight_sizes.vec();
  sizes[0] = chosen.numel();
  if (g.groups == 1) return all.index_copy_(0, chosen, backward_weight(gradient, x, chosen, sizes, g));
  const bool one_filter_each = g.groups == x.size(1) && weight_sizes[0] == x.size(1);
  if (!one_filter_each) {
    return all.index_copy_(0, chosen, backward_weight(gradient, x, {}, weight_sizes, g).index_select(0, chosen));
  }
  ConvGeometry of_chosen = g;
  of_chosen.groups = chosen.numel();
  return all.index_copy_(0, chosen,
                         backward_weight(channels_of(gradient, chosen), channels_of(x, chosen), {}, sizes, of_chosen));
}

at::Tensor conv_backward_weight(const at::Tensor& gradient, const Int8Image& x, at::IntArrayRef weight_sizes,
                                const ConvGeometry& g) {
  const Way way = way_of(Pass::kWeight, x.q.sizes(), weight_sizes, g);
  const bool takes_integers = way == Way::kDepthwise || way == Way::kPointwise;
  if (!takes_integers || !is_float(gradient) || !lies_in_channels_last(x.q)) {
    return conv_backward_weight(gradient, x.q.to(at::kFloat).sub_(x.zero_point).mul_(x.scale), weight_sizes, g);
  }
  check_gradient(gradient, x.q.sizes(), weight_sizes, g);
  const auto rows = [&](const auto& use) {
    const at::Tensor read = has_stride(g) ? every(x.q, g) : x.q;
    use(IntegerRows(read.const_data_ptr<int8_t>(), x.zero_point, x.q.size(1)));
  };
  const auto depthwise = [&](const DepthwiseShape& shape, const float* dy, float* taps) {
    depthwise_backward_weight(shape, x.q.const_data_ptr<int8_t>(), x.zero_point, dy, taps);
  };
  return weight_gradient(way, gradient, {}, x.q.sizes(), weight_sizes, g, rows, depthwise).mul_(x.scale);
}

namespace {

at::Tensor forward_of(const ComputeForward* forward, const at::Tensor& x, const at::Tensor& weight,
                      const at::Tensor& bias, const ConvGeometry& g) {
  if (forward != nullptr) {
    if (const std::optional<at::Tensor> y = (*forward)()) return *y;
  }
  return conv_forward(x, weight, bias, g);
}

bool takes_both(const at::Tensor& x, const at::Tensor& weight, const ConvGeometry& g) {
  const Way way = way_of(Pass::kWeight, x.sizes(), weight.sizes(), g);
  if (way != Way::kDepthwise && (way != Way::kPointwise || has_stride(g))) return false;
  if (!is_float(x) || !is_float(weight) || !lies_in_channels_last(x)) return false;
  const std::vector<int64_t> out = output_sizes(x.sizes(), weight.sizes(), g);
  return way == Way::kDepthwise ? is_walked_once(depthwise_shape(x.sizes(), out, weight.sizes(), g))
                                : is_walked_once(pixels_of(out), weight.size(0), weight.size(1));
}

// Those of x and weight, in one walk along that of the result.
std::pair<at::Tensor, at::Tensor> backward_both(const GradientPixels& gradient, const at::Tensor& x,
                                                const at::Tensor& weight, const ConvGeometry& g) {
  at::Tensor dx = empty_image(x.sizes());
  const float* values = x.const_data_ptr<float>();
  if (g.groups > 1) {
    const std::vector<int64_t> out = output_sizes(x.sizes(), weight.sizes(), g);
    const at::Tensor taps = taps_of(weight);
    at::Tensor sums = at::empty_like(taps);
    const auto line = [&](int64_t index, float* to) { gradient.make(index * out[3], out[3], to); };
    depthwise_backward(depthwise_shape(x.sizes(), out, weight.sizes(), g), values, taps.const_data_ptr<float>(), line,
                       dx.mutable_data_ptr<float>(), sums.mutable_data_ptr<float>());
    return {dx, weight_of_taps(sums, weight.sizes())};
  }
  at::Tensor dweight = empty_image(weight.sizes());
  const auto rows = [&](int64_t first, int64_t count, float* to) { gradient.make(first, count, to); };
  multiply_both(rows, weight.size(0), PlainRows(values, x.size(1)), pixels_of(x.sizes()), packed_for_input(weight),
                dweight.mutable_data_ptr<float>(), dx.mutable_data_ptr<float>());
  return {dx, dweight};
}

struct Conv2dFunction : torch::autograd::Function<Conv2dFunction> {
  static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor& x, const at::Tensor& weight,
                            const std::optional<at::Tensor>& bias, const std::optional<at::Tensor>& trained,
                            const std::vector<int64_t>& numbers, const ComputeForward* forward,
                            const c10::intrusive_ptr<PendingGradient>& pending) {
    const RecycledMemory recycled;
    if (pending) {
      pending->is_awaited = !bias && !trained && takes_both(x, weight, geometry(numbers));
      context->saved_data["pending"] = c10::IValue::make_capsule(pending);
    }
    context->save_for_backward({x, weight, trained.value_or(at::Tensor())});
    context->saved_data["numbers"] = numbers;
    context->saved_data["has_bias"] = bias.has_value();
    return forward_of(forward, x, weight, bias.value_or(at::Tensor()), geometry(numbers));
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 const torch::autograd::variable_list& gradients) {
    const RecycledMemory recycled;
    const torch::autograd::variable_list saved = context->get_saved_variables();
    const at::Tensor& x = saved[0];
    const at::Tensor& weight = saved[1];
    const at::Tensor& trained = saved[2];
    const ConvGeometry g = geometry(context->saved_data["numbers"].toIntVector());
    at::Tensor dx;
    at::Tensor dweight;
    at::Tensor dbias;
    at::Tensor dy = gradients[0];
    const std::array<bool, 3> wanted{context->needs_input_grad(0), context->needs_input_grad(1),
                                     context->saved_data["has_bias"].toBool() && context->needs_input_grad(2)};
    if (!dy.defined()) return {dx, dweight, dbias, at::Tensor(), at::Tensor(), at::Tensor(), at::Tensor()};
    if (const std::optional<PendingGradient::Formula> formula = pending_in(context)) {
      if (wanted[0] && wanted[1]) {
        std::tie(dx, dweight) = backward_both(formula->pixels(), x, weight, g);
        return {dx, dweight, dbias, at::Tensor(), at::Tensor(), at::Tensor(), at::Tensor()};
      }
      dy = formula->in_place();
    }
    if (torch::GradMode::is_enabled()) {  // a second derivative is asked for
      std::tie(dx, dweight, dbias) = libtorch_backward(dy, x, weight, g, wanted);
      if (wanted[1] && trained.defined()) {
        dweight = at::zeros_like(dweight).index_copy(0, trained, dweight.index_select(0, trained));
      }
    } else {
      if (wanted[0]) dx = conv_backward_input(dy, x.sizes(), weight, g);
      if (wanted[1]) {
        dweight = trained.defined() ? conv_backward_chosen(dy, x, weight.sizes(), g, trained)
                                    : conv_backward_weight(dy, x, weight.sizes(), g);
      }
      if (wanted[2]) dbias = dy.sum({0, 2, 3});
    }
    return {dx, dweight, dbias, at::Tensor(), at::Tensor(), at::Tensor(), at::Tensor()};
  }

  static std::optional<PendingGradient::Formula> pending_in(torch::autograd::AutogradContext* context) {
    const auto found = context->saved_data.find("pending");
    if (found == context->saved_data.end()) return std::nullopt;
    const auto pending = c10::static_intrusive_pointer_cast<PendingGradient>(found->second.toCapsule());
    return std::exchange(pending->formula, std::nullopt);
  }

  static std::vector<int64_t> numbers(const ConvGeometry& g) {
    return {g.stride[0], g.stride[1], g.padding[0], g.padding[1], g.dilation[0], g.dilation[1], g.groups};
  }
  static ConvGeometry geometry(const std::vector<int64_t>& n) {
    return {{n[0], n[1]}, {n[2], n[3]}, {n[4], n[5]}, n[6]};
  }
};

}  // namespace

at::Tensor conv2d(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias, const ConvGeometry& g,
                  const at::Tensor& trained, const ComputeForward& forward,
                  const c10::intrusive_ptr<PendingGradient>& pending) {
  const RecycledMemory recycled;
  const ComputeForward* other = forward ? &forward : nullptr;
  const auto ours = [&](Pass pass) { return way_of(pass, x.sizes(), weight.sizes(), g) != Way::kLibtorch; };
  const bool is_faster =
      (ours(Pass::kForward) || ours(Pass::kWeight)) && is_float(x) && is_float(weight) && lies_in_channels_last(x);
  const bool is_own = is_faster || trained.defined() || other != nullptr;
  if (!at::GradMode::is_enabled() || !is_own) return forward_of(other, x, weight, bias, g);
  // apply takes no undefined tensor
  const auto given = [](const at::Tensor& value) { return value.defined() ? std::optional(value) : std::nullopt; };
  return Conv2dFunction::apply(x, weight, given(bias), given(trained), Conv2dFunction::numbers(g), other, pending);
}

}  // namespace octet

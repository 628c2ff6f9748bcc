#include "octet/integer/kernels/window.h"

#include <algorithm>
#include <cstring>

#include "octet/formats/tflite_padding.h"
#include "octet/integer/gemm.h"
#include "octet/support/error.h"

namespace octet::integer {
namespace {

using tflite::Padding;
using tflite::Tensor;

// `before` and `after`: of the image's frame.
Axis sliding_axis(const KernelContext& context, int64_t in, int64_t out, int64_t filter, int64_t stride,
                  int64_t dilation, int64_t before = 0, int64_t after = 0) {
  if (stride < 1 || dilation < 1 || filter < 1) context.fail("stride, dilation and filter", "at least 1", "0 or less");
  const int64_t reach = tflite::window_reach(filter, dilation);
  const bool same = context.op.options.padding == Padding::kSame;
  const int64_t wanted =
      same ? tflite::same_places(in, stride) : tflite::valid_places(before + in + after, reach, stride);
  if (out != wanted) context.fail("output size", std::to_string(wanted), std::to_string(out));
  return {in, out, filter, stride, dilation, same ? tflite::same_padding(in, out, reach, stride).before : before};
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
  const auto axis = [&](size_t d, int64_t stride, int64_t dilation, int64_t before, int64_t after) {
    return sliding_axis(context, input.shape[d], output.shape[d], weight.shape[d], stride, dilation, before, after);
  };
  const Frame& frame = context.frame;
  return {axis(1, options.stride_h, options.dilation_h, frame.top, frame.bottom),
          axis(2, options.stride_w, options.dilation_w, frame.left, frame.right), input.shape[0], input.shape[3],
          output.shape[3]};
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
  context.require_named_shape(0);
  if (weight.shape[3] != input.shape[3] || output.shape[3] != weight.shape[0]) {
    context.fail("channels of the weight", octet::str(input.shape[3], " in, ", output.shape[3], " out"),
                 octet::str(weight.shape[3], ", ", weight.shape[0]));
  }
  const auto& options = context.op.options;
  const auto axis = [&](size_t d, int64_t stride) -> Axis {
    if (stride < 1) context.fail("stride", "at least 1", "0 or less");
    const int64_t in = input.shape[d], out = output.shape[d], filter = weight.shape[d];
    const bool same = options.padding == Padding::kSame;
    const int64_t pixels = same ? tflite::same_places(out, stride) : tflite::valid_places(out, filter, stride);
    if (in != pixels) context.fail("input size", octet::str(pixels, " for an output of ", out), std::to_string(in));
    return {in, out, filter, stride, 1, same ? tflite::same_padding(out, in, filter, stride).before : 0};
  };
  return {axis(1, options.stride_h), axis(2, options.stride_w), input.shape[0], input.shape[3], output.shape[3]};
}

PackedImage::PackedImage(const Window& window, const PathOps& ops, int8_t zero_point, int64_t repeats)
    : window_(window), ops_(&ops), zero_point_(zero_point), repeats_(repeats) {
  width_ = window.w.before + window.w.in + window.w.after();
  height_ = window.h.before + window.h.in + window.h.after();
  pixel_bytes_ = window.channels * repeats * ops.activation_bytes;
  bytes_ = window.is_reasonable() ? width_ * height_ * pixel_bytes_ + kReadAhead : 0;
}

void PackedImage::pack_line(const int8_t* line, uint8_t* to) const {
  if (repeats_ == 1) {
    ops_->pack(line, window_.w.in * window_.channels, to);
    return;
  }
  for (int64_t i = 0; i < window_.w.in * window_.channels; ++i) {
    fill_packed(*ops_, line[i], repeats_, to);
    to += repeats_ * ops_->activation_bytes;
  }
}

template <typename Pack>
void PackedImage::frame(int64_t first, int64_t last, uint8_t* to, const Pack& pack) const {
  const auto fill = [&](int64_t rows) {
    fill_packed(*ops_, zero_point_, rows * width_ * window_.channels * repeats_, to);
    to += rows * row_bytes();
  };
  const auto inside = [&](int64_t row) { return std::clamp<int64_t>(row - window_.h.before, 0, window_.h.in); };
  const int64_t begin = inside(first), end = inside(last);
  const int64_t before = std::clamp<int64_t>(window_.h.before - first, 0, last - first);
  fill(before);
  pack(begin, end, to);
  to += (end - begin) * row_bytes();
  fill(last - first - before - (end - begin));
  std::memset(to, 0, kReadAhead);
}

void PackedImage::pack_lines(const std::function<const int8_t*(int64_t y)>& line_of, int64_t first, int64_t last,
                             uint8_t* to) const {
  const int64_t elements = window_.channels * repeats_;
  frame(first, last, to, [&](int64_t begin, int64_t end, uint8_t* at) {
    for (int64_t y = begin; y < end; ++y) {
      fill_packed(*ops_, zero_point_, window_.w.before * elements, at);
      at += window_.w.before * pixel_bytes_;
      pack_line(line_of(y), at);
      at += window_.w.in * pixel_bytes_;
      fill_packed(*ops_, zero_point_, window_.w.after() * elements, at);
      at += window_.w.after() * pixel_bytes_;
    }
  });
}

void PackedImage::pack_rows(const int8_t* image, int64_t first, int64_t last, uint8_t* to) const {
  const int64_t line = window_.w.in * window_.channels;
  if (width_ != window_.w.in || repeats_ != 1) {
    pack_lines([=](int64_t y) { return image + y * line; }, first, last, to);
    return;
  }
  frame(first, last, to,
        [&](int64_t begin, int64_t end, uint8_t* at) { ops_->pack(image + begin * line, (end - begin) * line, at); });
}

Window window_of_rows(int64_t rows, int64_t depth, int64_t out_channels) {
  return {{rows, rows, 1, 1, 1, 0}, {1, 1, 1, 1, 1, 0}, 1, depth, out_channels};
}

Window pixels_as_rows(const Window& window) {
  const auto is_single = [](const Axis& axis) { return axis.filter == 1 && axis.stride == 1 && axis.in == axis.out; };
  if (!is_single(window.h) || !is_single(window.w)) return window;
  return window_of_rows(window.batches * window.h.in * window.w.in, window.channels, window.out_channels);
}

int64_t PackedImage::rows_in_band() const {
  constexpr int64_t kBandBytes = 96 << 10;
  return std::max<int64_t>((kBandBytes / row_bytes() - window_.h.reach()) / window_.h.stride + 1, 1);
}

std::vector<int64_t> segments_of(const Window& window, const PackedImage& image) {
  const int64_t parts = window.w.dilation == 1 ? 1 : window.w.filter;
  std::vector<int64_t> segments;
  for (int64_t fy = 0; fy < window.h.filter; ++fy) {
    for (int64_t fx = 0; fx < parts; ++fx) segments.push_back(image.tap(fy, fx));
  }
  return segments;
}

}  // namespace octet::integer

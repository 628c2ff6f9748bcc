#include <algorithm>
#include <cstring>

#include "octet/integer/kernel.h"
#include "octet/integer/kernels/checked.h"
#include "octet/integer/kernels/products.h"
#include "octet/integer/kernels/window.h"
#include "octet/integer/parts.h"
#include "octet/support/error.h"

namespace octet::integer {
namespace {

using tflite::Tensor;

// A window's pixels in the order in which DepthwiseRow takes them: of two rows, one above the other; of a last row
// without a partner, side by side.
std::vector<std::pair<int64_t, int64_t>> paired_taps(int64_t height, int64_t width) {
  std::vector<std::pair<int64_t, int64_t>> taps;
  for (int64_t y = 0; y + 1 < height; y += 2) {
    for (int64_t x = 0; x < width; ++x) {
      taps.emplace_back(y, x);
      taps.emplace_back(y + 1, x);
    }
  }
  for (int64_t x = 0; height % 2 != 0 && x < width; ++x) taps.emplace_back(height - 1, x);
  return taps;
}

// Rows of an image as the result's rows read them, framed and repeated, or where they stand.
class FramedRows {
 public:
  FramedRows(const Window& window, int8_t zero_point, int64_t repeats, int64_t block)
      : window_(window), zero_point_(zero_point), repeats_(repeats) {
    const Axis& w = window.w;
    width_ = w.before + w.in + w.after();
    // Whole blocks of channels are read: beyond the last pixel, where they are no whole number.
    as_they_stand_ = width_ == w.in && repeats == 1 && window.channels % block == 0;
  }

  int64_t row_bytes() const { return width_ * window_.channels * repeats_; }
  /// Of the memory that a part of the result's rows needs.
  int64_t bytes() const { return (reach() + 1) * row_bytes() + kReadAhead; }

  /// The rows that the window of result row oy covers, in the order of their taps; `held`: what lies in `memory`.
  void gather(const int8_t* image, int64_t oy, int8_t* memory, std::vector<int64_t>& held, const int8_t** rows) const {
    const auto& h = window_.h;
    for (int64_t fy = 0; fy < h.filter; ++fy) {
      const int64_t iy = oy * h.stride - h.before + fy * h.dilation;
      const bool inside = iy >= 0 && iy < h.in;
      const int8_t* from = image + iy * window_.w.in * window_.channels;
      if (inside && as_they_stand_) {
        rows[fy] = from;
        continue;
      }
      const int64_t place = inside ? iy % reach() : reach(), wanted = inside ? iy : -1;
      int8_t* to = memory + place * row_bytes();
      if (held[static_cast<size_t>(place)] != wanted) {
        frame(inside ? from : nullptr, to);
        held[static_cast<size_t>(place)] = wanted;
      }
      rows[fy] = to;
    }
  }
  /// Nothing is held.
  std::vector<int64_t> none() const { return std::vector<int64_t>(static_cast<size_t>(reach() + 1), -2); }

 private:
  int64_t reach() const { return (window_.h.filter - 1) * window_.h.dilation + 1; }

  void frame(const int8_t* from, int8_t* to) const {
    const int64_t channels = window_.channels * repeats_;
    const auto fill = [&](int64_t pixels) {
      std::memset(to, zero_point_, static_cast<size_t>(pixels * channels));
      to += pixels * channels;
    };
    if (from == nullptr) return fill(width_);
    fill(window_.w.before);
    const int64_t count = window_.w.in * window_.channels;
    if (repeats_ == 1) {
      std::memcpy(to, from, static_cast<size_t>(count));
    } else {
      for (int64_t i = 0; i < count; ++i) std::memset(to + i * repeats_, from[i], static_cast<size_t>(repeats_));
    }
    to += count * repeats_;
    fill(window_.w.after());
  }

  Window window_;
  int8_t zero_point_;
  int64_t repeats_, width_;
  bool as_they_stand_;
};

class Depthwise {
 public:
  Depthwise(const KernelContext& context, const Window& window, const Requantizer& requantize, int64_t multiplier)
      : window_(window),
        ops_(&path_ops(context.path)),
        zero_point_(context.zero_point(context.input(0))),
        rows_(window, static_cast<int8_t>(zero_point_), multiplier, ops_->depthwise_block),
        channels_(window.out_channels) {
    const std::vector<std::pair<int64_t, int64_t>> order = paired_taps(window.h.filter, window.w.filter);
    const auto count = static_cast<int64_t>(order.size());
    pairs_ = (count + 1) / 2;
    const int64_t block = ops_->depthwise_block;
    weights_.assign(static_cast<size_t>((channels_ + block - 1) / block * block * pairs_ * 2), 0);
    std::vector<int32_t> sums(static_cast<size_t>(channels_), 0);
    std::vector<int64_t> magnitudes(static_cast<size_t>(channels_), 0);
    const int8_t* levels = constant_weights(context);
    for (int64_t t = 0; t < count; ++t) {
      const auto [fy, fx] = order[static_cast<size_t>(t)];
      taps_.push_back({fy, fx * window.w.dilation * channels_});
      const int8_t* of_tap = levels + (fy * window.w.filter + fx) * channels_;
      for (int64_t c = 0; c < channels_; ++c) {
        const int64_t at = ((c / block * pairs_ + t / 2) * block + c % block) * 2 + t % 2;
        weights_[static_cast<size_t>(at)] = of_tap[c];
        sums[static_cast<size_t>(c)] += of_tap[c];
        magnitudes[static_cast<size_t>(c)] += std::abs(static_cast<int64_t>(of_tap[c]));
      }
    }
    if (count % 2 != 0) taps_.push_back(taps_.back());
    table_ = requantize.table(sums, zero_point_, count, magnitudes);
    prepare_columns(levels);
  }

  void run(const int8_t* x, int8_t* y) const {
    const Axis &h = window_.h, &w = window_.w;
    const bool plain = h.filter == 3 && w.filter == 3 && w.dilation == 1 && w.stride <= 2;
    const DepthwiseRow row = {taps_.data(),         pairs_,         w.stride * channels_, channels_, w.out,
                              plain ? w.stride : 0, weights_.data()};
    const int64_t rows = window_.batches * h.out;
    for_parts(rows, rows * w.out * channels_ * 2 * pairs_, [&](int64_t begin, int64_t end) {
      auto* memory = reinterpret_cast<int8_t*>(own_memory(rows_.bytes()));
      std::vector<const int8_t*> taken(static_cast<size_t>(h.filter));
      std::vector<int64_t> held = rows_.none();
      for (int64_t at = begin; at < end; ++at) {
        if (at % h.out == 0) held = rows_.none();
        rows_.gather(x + at / h.out * h.in * w.in * window_.channels, at % h.out, memory, held, taken.data());
        int8_t* const to = y + at * w.out * channels_;
        if (columns_ != nullptr) {
          columns_->row(of_columns_, taken.data(), table_, to);
        } else {
          ops_->depthwise(row, taken.data(), table_, to);
        }
      }
    });
  }

 private:
  void prepare_columns(const int8_t* weights) {
    const Axis &h = window_.h, &w = window_.w;
    const ColumnOps* columns = w.filter == 3 ? ops_->columns_of_3 : w.filter == 5 ? ops_->columns_of_5 : nullptr;
    const bool is_square = h.filter == w.filter && w.dilation == 1;
    if (columns == nullptr || !is_square || !table_.is_quick || !columns->suits(channels_, w.out, w.stride)) return;
    column_tables_.resize(static_cast<size_t>(columns->table_bytes(channels_) + kLine));
    const auto at = reinterpret_cast<uintptr_t>(column_tables_.data());
    uint8_t* const tables = column_tables_.data() + (kLine - at % kLine) % kLine;
    columns->prepare(weights, channels_, table_, tables);
    columns_ = columns;
    of_columns_ = {tables, channels_, w.out, w.stride};
  }

  static constexpr int64_t kLine = 64;

  Window window_;
  const PathOps* ops_;
  int32_t zero_point_;
  FramedRows rows_;
  int64_t channels_, pairs_;
  std::vector<DepthwiseRow::Tap> taps_;
  LineVector<int16_t> weights_;
  Requantization table_;
  const ColumnOps* columns_ = nullptr;  // where they suit
  std::vector<uint8_t> column_tables_;
  ColumnsRow of_columns_ = {};
};

}  // namespace

Kernel make_depthwise_convolution(const KernelContext& context) {
  const Window window = convolution_window(context);
  const Tensor& weight = context.input(1);
  const int64_t multiplier = context.op.options.depth_multiplier;
  const int64_t channels = window.out_channels;
  if (weight.shape[0] != 1 || weight.shape[3] != channels || multiplier < 1 ||
      window.channels * multiplier != channels) {
    context.fail("channels", "input times depth_multiplier, in weight and output",
                 octet::str(window.channels, " * ", multiplier, ", ", weight.shape[3], " and ", channels));
  }
  const Requantizer requantize(context, channels);
  constant_weights(context);
  if (context.check_overflow || !window.is_reasonable()) {
    return make_plain_convolution(context, window, requantize, multiplier);
  }
  const auto product = std::make_shared<Depthwise>(context, window, requantize, multiplier);
  return make_from_to<int8_t, int8_t>(context, [=](const int8_t* x, int8_t* y) { product->run(x, y); });
}

}  // namespace octet::integer

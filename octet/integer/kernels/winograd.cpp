#include "octet/integer/kernels/winograd.h"

#include <array>
#include <cstring>

#include "octet/integer/gemm.h"
#include "octet/integer/parts.h"
#include "octet/kernels/parallel.h"

namespace octet::integer {
namespace {

constexpr int64_t kPlaces = 16;
constexpr int64_t kTilesAtATime = 48;  // at least a row of them: what they spread to stays in the cache
constexpr int64_t kLine = 64;          // bytes: keeps places out of each other's way in the cache

// 2 G g 2 G^T of one channel's 3x3 weights, `step` apart.
std::array<int16_t, kPlaces> spread_weights(const int8_t* weights, int64_t step) {
  const auto line = [](int a, int b, int c) { return std::array<int, 4>{2 * a, a + b + c, a - b + c, 2 * c}; };
  std::array<std::array<int, 4>, 3> columns;
  for (int64_t x = 0; x < 3; ++x) {
    const auto at = [&](int64_t y) { return static_cast<int>(weights[(3 * y + x) * step]); };
    columns[static_cast<size_t>(x)] = line(at(0), at(1), at(2));
  }
  std::array<int16_t, kPlaces> spread;
  for (size_t y = 0; y < 4; ++y) {
    const auto row = line(columns[0][y], columns[1][y], columns[2][y]);
    for (size_t x = 0; x < 4; ++x) spread[4 * y + x] = static_cast<int16_t>(row[x]);
  }
  return spread;
}

// The axis of whole tiles.
Axis in_tiles(Axis axis) {
  axis.out = (axis.out + 1) / 2 * 2;
  return axis;
}

class WinogradProduct {
 public:
  WinogradProduct(const KernelContext& context, const Window& window, const Requantizer& requantize)
      : window_(window),
        ops_(&path_ops(context.path)),
        image_({in_tiles(window.h), in_tiles(window.w), window.batches, window.channels, window.out_channels}, *ops_,
               static_cast<int8_t>(context.zero_point(context.input(0)))),
        across_((window.w.out + 1) / 2),
        down_((window.h.out + 1) / 2),
        band_(std::clamp<int64_t>(kTilesAtATime / across_, 1, down_)),
        block_bytes_(window.channels * ops_->channel_block * static_cast<int64_t>(sizeof(int16_t))) {
    const int8_t* weights = constant_weights(context);
    const int64_t channels = window.channels, block = ops_->channel_block, group = ops_->depth_group;
    std::vector<int32_t> sums;
    std::vector<int64_t> magnitudes;
    weights_.resize(static_cast<size_t>(kPlaces * window.out_channels * channels));
    for (int64_t c = 0; c < window.out_channels; ++c) {
      int32_t sum = 0;
      int64_t magnitude = 0;
      const int64_t first = c / kStrip * kStrip, width = std::min(kStrip, window.out_channels - first);
      for (int64_t d = 0; d < channels; ++d) {
        const auto spread = spread_weights(weights + c * 9 * channels + d, channels);
        for (int64_t place = 0; place < kPlaces; ++place) {
          const int64_t in_block = (d / group * block + c % block) * group + d % group;
          const int64_t at = (first * kPlaces + place * width + (c - first) / block * block) * channels + in_block;
          weights_[static_cast<size_t>(at)] = spread[static_cast<size_t>(place)];
        }
      }
      for (int64_t i = 0; i < 9 * channels; ++i) {
        const int weight = weights[c * 9 * channels + i];
        sum += weight;
        magnitude += std::abs(weight);
      }
      sums.push_back(sum);
      magnitudes.push_back(magnitude);
    }
    table_ =
        requantize.table(sums, context.zero_point(context.input(0)) + ops_->activation_shift, 9 * channels, magnitudes);
  }

  void run(const int8_t* x, int8_t* y) const {
    const int64_t rows = window_.batches * down_, strips = (window_.out_channels + kStrip - 1) / kStrip;
    const int64_t operations = rows * across_ * kPlaces * window_.channels * window_.out_channels;
    // Weights are many where pixels are few: each thread reads its own.
    if (rows * across_ < kTilesAtATime * threads() && strips >= threads()) {
      for_parts(strips, operations, [&](int64_t begin, int64_t end) { run_part(x, y, 0, rows, begin, end); });
    } else {
      for_parts(rows, operations, [&](int64_t begin, int64_t end) { run_part(x, y, begin, end, 0, strips); });
    }
  }

 private:
  // Rows begin to end of all images' tiles.
  void run_part(const int8_t* x, int8_t* y, int64_t begin, int64_t end, int64_t first, int64_t last) const {
    const int64_t channels = window_.channels, out_channels = window_.out_channels;
    const int64_t row_of_result = window_.w.out * out_channels;
    const int64_t most = std::min(band_, end - begin) * across_;
    const int64_t spread_place = most * channels + kLine / 2, sums_place = most * kStrip + kLine / 4;
    const int64_t framed_bytes = ((2 * band_ + 2) * image_.row_bytes() + kReadAhead + kLine - 1) / kLine * kLine;
    uint8_t* memory = own_memory(framed_bytes + kPlaces * (2 * spread_place + 4 * sums_place) + kLine);
    memory += (kLine - reinterpret_cast<uintptr_t>(memory) % kLine) % kLine;
    auto* const sums = reinterpret_cast<int32_t*>(memory + framed_bytes);
    auto* const spread = reinterpret_cast<int16_t*>(sums + kPlaces * sums_place);
    for (int64_t row = begin; row < end;) {
      const int64_t in_image = row % down_, count = std::min({band_, end - row, down_ - in_image});
      const int64_t sample = row / down_;
      image_.pack_rows(x + sample * window_.h.in * window_.w.in * channels, 2 * in_image, 2 * (in_image + count) + 2,
                       memory);
      for (int64_t i = 0; i < count; ++i) {
        std::array<const int16_t*, 4> lines;
        for (int64_t r = 0; r < 4; ++r) {
          lines[static_cast<size_t>(r)] = reinterpret_cast<const int16_t*>(memory + (2 * i + r) * image_.row_bytes());
        }
        ops_->winograd->spread(lines.data(), across_, channels, spread + i * across_ * channels, spread_place);
      }
      int8_t* const to = y + (sample * window_.h.out + 2 * in_image) * row_of_result;
      for (int64_t strip = first; strip < last; ++strip) {
        const int64_t c = strip * kStrip, width = std::min(kStrip, out_channels - c);
        multiply(c, width, spread, spread_place, count * across_, sums, sums_place);
        for (int64_t i = 0; i < count; ++i) {
          int8_t* const upper = to + 2 * i * row_of_result + c;
          int8_t* const lower = 2 * (in_image + i) + 1 < window_.h.out ? upper + row_of_result : nullptr;
          ops_->winograd->gather(sums + i * across_ * kStrip, sums_place, table_, c, width, upper, lower, window_.w.out,
                                 out_channels);
        }
      }
      row += count;
    }
  }

  // Of `width` channels from c on, at every place of every tile.
  void multiply(int64_t c, int64_t width, const int16_t* spread, int64_t spread_place, int64_t tiles, int32_t* sums,
                int64_t sums_place) const {
    const int64_t channels = window_.channels, segment = 0;
    for (int64_t place = 0; place < kPlaces; ++place) {
      const auto* weights =
          reinterpret_cast<const uint8_t*>(weights_.data() + (c * kPlaces + place * width) * channels);
      const int16_t* from = spread + place * spread_place;
      for (int64_t tile = 0; tile < tiles; tile += ops_->row_block) {
        std::array<const uint8_t*, kMostRowBlock> rows;
        const int64_t count = std::min(ops_->row_block, tiles - tile);
        for (int64_t r = 0; r < count; ++r) {
          rows[static_cast<size_t>(r)] = reinterpret_cast<const uint8_t*>(from + (tile + r) * channels);
        }
        const TileRows those = {rows.data(), count, &segment, 1, channels / ops_->depth_group};
        ops_->winograd->tile(those, weights, block_bytes_, width / ops_->channel_block,
                             sums + place * sums_place + tile * kStrip);
      }
    }
  }

  Window window_;
  const PathOps* ops_;
  PackedImage image_;             // of whole tiles
  int64_t across_, down_, band_;  // tiles; rows of them at a time
  int64_t block_bytes_;
  LineVector<int16_t> weights_;  // [strip][place][block of channels][group][channel][2]
  Requantization table_;
};

}  // namespace

bool suits_winograd(const KernelContext& context, const Window& window) {
  constexpr int64_t kWhole = 16, kMostDepth = 2048;  // whose results stay below 2^29
  constexpr int64_t kFewTiles = 32;  // for so few, to read 16 bits of each of 16 weights takes longer than it saves
  if ((window.h.out + 1) / 2 * ((window.w.out + 1) / 2) * window.batches < kFewTiles) return false;
  const auto suits = [](const Axis& axis) { return axis.filter == 3 && axis.stride == 1 && axis.dilation == 1; };
  return path_ops(context.path).winograd != nullptr && suits(window.h) && suits(window.w) &&
         window.channels % kWhole == 0 && window.channels <= kMostDepth && window.out_channels % kWhole == 0;
}

Kernel make_winograd_product(const KernelContext& context, const Window& window, const Requantizer& requantize) {
  const auto product = std::make_shared<WinogradProduct>(context, window, requantize);
  return make_from_to<int8_t, int8_t>(context, [=](const int8_t* x, int8_t* y) { product->run(x, y); });
}

}  // namespace octet::integer

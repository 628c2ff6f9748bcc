#include "octet/integer/gemm.h"

#include <cstdlib>
#include <cstring>

#include "octet/kernels/parallel.h"

namespace octet::integer {
namespace {

int64_t rounded_up(int64_t value, int64_t step) { return (value + step - 1) / step * step; }

}  // namespace

// A tile of AMX takes as long for few products as for 64, and to load one pays off over many channels.
const PathOps& PackedWeights::ops_of(Path path, int64_t products, int64_t channels) {
  constexpr int64_t kShallow = 16;
  const bool is_shallow = products <= kShallow || (products <= 2 * kShallow && channels < kStrip);
  return path_ops(path == Path::kAmx && is_shallow ? Path::kVnni : path);
}

PackedWeights::PackedWeights(Path path, const int8_t* weights, int64_t channels, int64_t segments, int64_t depth)
    : ops_(&ops_of(path, segments * depth, channels)),
      channels_(channels),
      segments_(segments),
      depth_(depth),
      groups_(rounded_up(depth, ops_->depth_group * ops_->groups_at_once) / ops_->depth_group),
      block_bytes_(segments * groups_ * ops_->depth_group * ops_->channel_block * ops_->weight_bytes),
      data_(static_cast<size_t>(rounded_up(channels, ops_->channel_block) / ops_->channel_block * block_bytes_), 0),
      sums_(static_cast<size_t>(channels), 0),
      magnitudes_(static_cast<size_t>(channels), 0) {
  const int64_t group = ops_->depth_group, block = ops_->channel_block, bytes = ops_->weight_bytes;
  constexpr int64_t kGrain = 1 << 16;  // weights of a thread
  constexpr int64_t kWhole = 4;        // a group of products of 8 bits
  parallel_for(0, channels, std::max<int64_t>(kGrain / (segments * depth + 1), 1), [&](int64_t begin, int64_t end) {
    for (int64_t c = begin; c < end; ++c) {
      const int8_t* from = weights + c * segments * depth;
      int64_t sum = 0, magnitude = 0;
      for (int64_t i = 0; i < segments * depth; ++i) {
        sum += from[i];
        magnitude += std::abs(static_cast<int64_t>(from[i]));
      }
      sums_[static_cast<size_t>(c)] = static_cast<int32_t>(static_cast<uint32_t>(sum));
      magnitudes_[static_cast<size_t>(c)] = magnitude;
      for (int64_t s = 0; s < segments; ++s, from += depth) {
        // Groups of depth lie a block of channels apart.
        uint8_t* to = data_.data() + c / block * block_bytes_ + (s * groups_ * block + c % block) * group * bytes;
        for (int64_t d = 0; d < depth; d += group, to += block * group * bytes) {
          const int64_t count = std::min(group, depth - d);
          if (bytes == 1 && count == kWhole) {
            std::memcpy(to, from + d, kWhole);  // of a size that the compiler knows
            continue;
          }
          if (bytes == 1) {
            std::memcpy(to, from + d, static_cast<size_t>(count));
            continue;
          }
          for (int64_t i = 0; i < count; ++i) {
            const int16_t wide = from[d + i];
            std::memcpy(to + i * bytes, &wide, sizeof(wide));
          }
        }
      }
    }
  });
}

void PackedWeights::multiply(int64_t begin, int64_t end, const RowAt& row_at, const std::vector<int64_t>& segments,
                             const Sink& sink) const {
  alignas(64) std::array<int32_t, kMostRowBlock * kStrip> sums;
  std::array<const uint8_t*, kMostRowsAtATime> rows;
  const int64_t blocks_of_strip = kStrip / ops_->channel_block;
  for (int64_t chunk = begin; chunk < end; chunk += ops_->rows_at_a_time) {
    const int64_t count = std::min(ops_->rows_at_a_time, end - chunk);
    for (int64_t i = 0; i < count; ++i) rows[static_cast<size_t>(i)] = row_at(chunk + i);
    for (int64_t first = 0; first < channels_; first += kStrip) {
      const int64_t width = std::min(kStrip, channels_ - first);
      const uint8_t* strip = data_.data() + first / ops_->channel_block * block_bytes_;
      const int64_t blocks = std::min(blocks_of_strip, (width + ops_->channel_block - 1) / ops_->channel_block);
      for (int64_t i = 0; i < count; i += ops_->row_block) {
        const int64_t height = std::min(ops_->row_block, count - i);
        const TileRows tile = {rows.data() + i, height, segments.data(), segments_, groups_};
        ops_->tile(tile, strip, block_bytes_, blocks, sums.data());
        for (int64_t r = 0; r < height; ++r) sink(chunk + i + r, first, width, sums.data() + r * kStrip);
      }
    }
  }
}

void fill_packed(const PathOps& ops, int8_t value, int64_t count, uint8_t* to) {
  if (ops.activation_bytes == 1) {
    std::memset(to, value + ops.activation_shift, static_cast<size_t>(count));
    return;
  }
  std::fill_n(reinterpret_cast<int16_t*>(to), count, static_cast<int16_t>(value + ops.activation_shift));
}

}  // namespace octet::integer

#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <functional>
#include <vector>

#include "octet/integer/line_vector.h"
#include "octet/integer/parts.h"
#include "octet/integer/path.h"

namespace octet::integer {

/// int8 weights [channels, segments, depth], laid out for a path: [block of channels][segment][group of depth][channel]
/// [depth within the group], filled up with zeros. A segment is a run of activations that lie side by side: the row of
/// a window, or all that a matrix row has.
class PackedWeights {
 public:
  PackedWeights(Path path, const int8_t* weights, int64_t channels, int64_t segments, int64_t depth);

  /// Those of a path, or of one beside it, that sum so many products for so many channels best.
  static const PathOps& ops_of(Path path, int64_t products, int64_t channels);
  const PathOps& ops() const { return *ops_; }
  int64_t channels() const { return channels_; }
  /// Of a row's packed activations, filled up.
  int64_t row_bytes() const { return segments_ * groups_ * ops_->depth_group * ops_->activation_bytes; }
  /// Of each channel's weights.
  const std::vector<int32_t>& sums() const { return sums_; }
  /// Of their absolute values.
  const std::vector<int64_t>& magnitudes() const { return magnitudes_; }

  /// Activations of a row: where its first element lies, packed. What stands behind a segment's last element is read
  /// too, up to kReadAhead bytes, and does not count; so is what lies between two rows, which are of one memory.
  using RowAt = std::function<const uint8_t*(int64_t row)>;
  /// Takes the sums of channels first to first + count of a row, to be changed at will.
  using Sink = std::function<void(int64_t row, int64_t first, int64_t count, int32_t* sums)>;

  /// sum over s, d of weight[c, s, d] * (packed activation of row r at segments[s], d), exact modulo 2^32, of the rows
  /// begin to end. `segments`: bytes from a row's first element.
  void multiply(int64_t begin, int64_t end, const RowAt& row_at, const std::vector<int64_t>& segments,
                const Sink& sink) const;

  /// The same, requantized: of row r and channel c to[r * stride + c]. Channels first to last, `first` a multiple of
  /// kStrip. row_at(row) -> const uint8_t* is asked for one row after the other.
  template <typename RowOf>
  void levels(int64_t begin, int64_t end, int64_t first, int64_t last, RowOf row_at,
              const std::vector<int64_t>& segments, const Requantization& how, int8_t* to, int64_t stride) const {
    std::array<const uint8_t*, kMostRowsAtATime> rows;
    for (int64_t chunk = begin; chunk < end; chunk += ops_->rows_at_a_time) {
      const int64_t count = std::min(ops_->rows_at_a_time, end - chunk);
      for (int64_t i = 0; i < count; ++i) rows[static_cast<size_t>(i)] = row_at(chunk + i);
      const TileRows those = {rows.data(), count, segments.data(), segments_, groups_};
      ops_->levels(those, data_.data(), block_bytes_, how, first, last, to + chunk * stride, stride);
    }
  }

 private:
  const PathOps* ops_;
  int64_t channels_, segments_, depth_;
  int64_t groups_;       // of a segment
  int64_t block_bytes_;  // of a block of channels
  LineVector<uint8_t> data_;
  std::vector<int32_t> sums_;
  std::vector<int64_t> magnitudes_;
};

/// `count` packed activations of one value.
void fill_packed(const PathOps& ops, int8_t value, int64_t count, uint8_t* to);

}  // namespace octet::integer

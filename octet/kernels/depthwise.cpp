#include "octet/kernels/depthwise.h"

#include <algorithm>
#include <memory>
#include <vector>

#include "octet/kernels/float_path.h"
#include "octet/kernels/parallel.h"
#include "octet/kernels/read_ahead.h"

namespace octet {
namespace {

constexpr int64_t kDepthwiseGrain = 1 << 14;  // products of a thread
constexpr int64_t kChunk = 32;                // pixels of a call

// One direction of what a tap reads: position t of the phase that is written reads t * read_step + offset.
struct TapReach {
  int64_t tap;
  int64_t offset;
};
// Positions [first, last) of a phase, and the taps that read inside of the image there.
struct Segment {
  int64_t first, last;
  std::vector<TapReach> taps;
};
// Positions first, first + step, ... of what is written.
struct Phase {
  int64_t first, step;
  int64_t read_step;
  std::vector<Segment> segments;
};

struct Direction {
  int64_t in, out, filter, stride, padding, dilation;
};

int64_t ceil_of(int64_t a, int64_t b) { return a >= 0 ? (a + b - 1) / b : -(-a / b); }

// Where taps read in [0, read_size), cut into pieces with the same taps each.
std::vector<Segment> cut(const std::vector<TapReach>& taps, int64_t positions, int64_t read_size, int64_t read_step) {
  const auto first_of = [&](const TapReach& tap) {
    return std::clamp<int64_t>(ceil_of(-tap.offset, read_step), 0, positions);
  };
  const auto last_of = [&](const TapReach& tap) {
    return std::clamp<int64_t>(ceil_of(read_size - tap.offset, read_step), 0, positions);
  };
  std::vector<int64_t> cuts{0, positions};
  for (const TapReach& tap : taps) {
    cuts.push_back(first_of(tap));
    cuts.push_back(last_of(tap));
  }
  std::sort(cuts.begin(), cuts.end());
  std::vector<Segment> segments;
  for (size_t i = 0; i + 1 < cuts.size(); ++i) {
    if (cuts[i] == cuts[i + 1]) continue;
    Segment segment{cuts[i], cuts[i + 1], {}};
    for (const TapReach& tap : taps) {
      if (first_of(tap) <= segment.first && segment.last <= last_of(tap)) segment.taps.push_back(tap);
    }
    segments.push_back(std::move(segment));
  }
  return segments;
}

// y[t] reads x[t * stride + tap * dilation - padding].
std::vector<Phase> forward_phases(const Direction& d) {
  std::vector<TapReach> taps;
  for (int64_t tap = 0; tap < d.filter; ++tap) taps.push_back({tap, tap * d.dilation - d.padding});
  return {{0, 1, d.stride, cut(taps, d.out, d.in, d.stride)}};
}

// x[phase + t * stride] reads y[t + (phase + padding - tap * dilation) / stride], for the taps that divide.
std::vector<Phase> backward_phases(const Direction& d) {
  std::vector<Phase> phases;
  for (int64_t phase = 0; phase < std::min(d.stride, d.in); ++phase) {
    std::vector<TapReach> taps;
    for (int64_t tap = 0; tap < d.filter; ++tap) {
      const int64_t from = phase + d.padding - tap * d.dilation;
      if (from % d.stride == 0) taps.push_back({tap, from / d.stride});
    }
    phases.push_back({phase, d.stride, 1, cut(taps, (d.in - phase + d.stride - 1) / d.stride, d.out, 1)});
  }
  return phases;
}

Direction rows_of(const DepthwiseShape& s) {
  return {s.in_height, s.out_height, s.filter_height, s.stride_height, s.padding_height, s.dilation_height};
}
Direction columns_of(const DepthwiseShape& s) {
  return {s.in_width, s.out_width, s.filter_width, s.stride_width, s.padding_width, s.dilation_width};
}

// What a row that is written reads.
struct RowReach {
  int64_t tap;
  int64_t row;
};
std::vector<std::vector<RowReach>> rows_read(const std::vector<Phase>& phases, int64_t rows) {
  std::vector<std::vector<RowReach>> read(rows);
  for (const Phase& phase : phases) {
    for (const Segment& segment : phase.segments) {
      for (int64_t t = segment.first; t < segment.last; ++t) {
        for (const TapReach& tap : segment.taps) {
          read[phase.first + t * phase.step].push_back({tap.tap, t * phase.read_step + tap.offset});
        }
      }
    }
  }
  return read;
}

struct Plane {
  int64_t height, width;
};

// Writes every pixel of `to` from the taps that reach it.
void map_taps(const DepthwiseShape& shape, const std::vector<Phase>& row_phases,
              const std::vector<Phase>& column_phases, const Plane& read, const Plane& written, const float* from,
              const float* weight, const float* bias, float* to) {
  const FloatPath& path = float_path();
  const int64_t channels = shape.channels;
  const std::vector<std::vector<RowReach>> rows = rows_read(row_phases, written.height);
  int64_t pieces = 0;
  for (const Phase& phase : column_phases) {
    for (const Segment& segment : phase.segments) pieces += (segment.last - segment.first + kChunk - 1) / kChunk;
  }
  const int64_t row_work = std::max<int64_t>(1, written.width * channels * shape.taps());
  const int64_t line = read.width * channels;
  const auto last_read = [&](int64_t index) {  // first row behind those that this one and all before read
    int64_t last = 0;
    for (const RowReach& row : rows[index % written.height]) last = std::max(last, row.row + 1);
    return index / written.height * read.height + last;
  };
  const auto work = [&](int64_t begin, int64_t end) {
    std::vector<DepthwiseTap> taps;
    int64_t asked = 0;  // rows that were asked for
    for (int64_t index = begin; index < end; ++index) {
      asked = std::max(asked, last_read(index));
      const int64_t ask = index + 1 < end ? std::max(asked, last_read(index + 1)) : asked;
      ReadAhead ahead(from + asked * line, (ask - asked) * line * static_cast<int64_t>(sizeof(float)), pieces);
      asked = ask;
      const int64_t written_line = written.width * channels;
      ReadAhead ahead_written(to + (index + 1) * written_line,
                              index + 1 < end ? written_line * static_cast<int64_t>(sizeof(float)) : 0, pieces);
      const int64_t image = index / written.height;
      const float* source = from + image * read.height * read.width * channels;
      float* target = to + index * written.width * channels;
      for (const Phase& phase : column_phases) {
        for (const Segment& segment : phase.segments) {
          for (int64_t at = segment.first; at < segment.last; at += kChunk) {
            ahead.step();
            ahead_written.step();
            taps.clear();
            for (const RowReach& row : rows[index % written.height]) {
              for (const TapReach& column : segment.taps) {
                taps.push_back({source + row.row * line + (at * phase.read_step + column.offset) * channels,
                                weight + (row.tap * shape.filter_width + column.tap) * channels});
              }
            }
            path.depthwise_pixels(taps.data(), static_cast<int64_t>(taps.size()), bias, phase.read_step * channels,
                                  target + (phase.first + at * phase.step) * channels, phase.step * channels,
                                  std::min(kChunk, segment.last - at), channels);
          }
        }
      }
    }
  };
  parallel_for(0, shape.images * written.height, std::max<int64_t>(1, kDepthwiseGrain / row_work), work);
}

// Rows of x as floats: those of memory, or integers unpacked into a ring of as many rows as a filter spans.
class FloatRows {
 public:
  FloatRows(const float* x, int64_t row_floats) : x_(x), row_floats_(row_floats) {}
  FloatRows(const int8_t* q, int32_t zero_point, int64_t row_floats, int64_t span)
      : q_(q),
        zero_point_(zero_point),
        row_floats_(row_floats),
        ring_(std::make_unique_for_overwrite<float[]>(span * row_floats)),
        held_(span, -1) {}

  const float* row(int64_t index) {
    if (x_ != nullptr) return x_ + index * row_floats_;
    const int64_t place = index % static_cast<int64_t>(held_.size());
    float* to = ring_.get() + place * row_floats_;
    if (held_[place] != index) {
      float_path().unpack(q_ + index * row_floats_, row_floats_, zero_point_, 1, row_floats_, to, row_floats_);
      held_[place] = index;
    }
    return to;
  }

 private:
  const float* x_ = nullptr;
  const int8_t* q_ = nullptr;
  int32_t zero_point_ = 0;
  int64_t row_floats_;
  std::unique_ptr<float[]> ring_;
  std::vector<int64_t> held_;
};

// `make_rows` gives each thread its rows of x.
template <typename MakeRows>
void sum_taps(const DepthwiseShape& shape, const MakeRows& make_rows, const float* y, float* weight) {
  const FloatPath& path = float_path();
  const int64_t channels = shape.channels;
  const int64_t floats = shape.taps() * channels;
  const int64_t lines = shape.images * shape.out_height;
  const std::vector<std::vector<RowReach>> rows = rows_read(forward_phases(rows_of(shape)), shape.out_height);
  const std::vector<Phase> columns = forward_phases(columns_of(shape));
  const int64_t parts = std::min(parts_of_sum(lines * shape.out_width, floats), lines);
  std::vector<std::vector<float>> sums(parts);
  parallel_for(0, parts, 1, [&](int64_t begin, int64_t end) {
    for (int64_t part = begin; part < end; ++part) {
      std::vector<float>& sum = sums[part];
      sum.assign(floats, 0.0F);
      FloatRows x = make_rows();
      std::vector<DepthwiseGradientTap> taps;
      for (int64_t index = lines * part / parts; index < lines * (part + 1) / parts; ++index) {
        const int64_t first_row = index / shape.out_height * shape.in_height;
        const float* line = y + index * shape.out_width * channels;
        for (const Segment& segment : columns.front().segments) {
          for (int64_t at = segment.first; at < segment.last; at += kChunk) {
            const int64_t pixels = std::min(kChunk, segment.last - at);
            taps.clear();
            for (const RowReach& row : rows[index % shape.out_height]) {
              const float* source = x.row(first_row + row.row);
              for (const TapReach& column : segment.taps) {
                taps.push_back({source + (at * shape.stride_width + column.offset) * channels,
                                sum.data() + (row.tap * shape.filter_width + column.tap) * channels});
              }
            }
            for (size_t i = 0; i < taps.size(); i += kMostGradientTaps) {
              const int count = static_cast<int>(std::min<size_t>(kMostGradientTaps, taps.size() - i));
              path.depthwise_gradient(taps.data() + i, count, shape.stride_width * channels, line + at * channels,
                                      channels, pixels, channels);
            }
          }
        }
      }
    }
  });
  std::copy(sums[0].begin(), sums[0].end(), weight);
  for (int64_t part = 1; part < parts; ++part) {
    for (int64_t i = 0; i < floats; ++i) weight[i] += sums[part][i];
  }
}

}  // namespace

void depthwise_forward(const DepthwiseShape& shape, const float* x, const float* weight, const float* bias, float* y) {
  map_taps(shape, forward_phases(rows_of(shape)), forward_phases(columns_of(shape)), {shape.in_height, shape.in_width},
           {shape.out_height, shape.out_width}, x, weight, bias, y);
}

void depthwise_backward_input(const DepthwiseShape& shape, const float* y, const float* weight, float* x) {
  map_taps(shape, backward_phases(rows_of(shape)), backward_phases(columns_of(shape)),
           {shape.out_height, shape.out_width}, {shape.in_height, shape.in_width}, y, weight, nullptr, x);
}

void depthwise_backward_weight(const DepthwiseShape& shape, const float* x, const float* y, float* weight) {
  sum_taps(
      shape, [&] { return FloatRows(x, shape.in_width * shape.channels); }, y, weight);
}

void depthwise_backward_weight(const DepthwiseShape& shape, const int8_t* x, int32_t zero_point, const float* y,
                               float* weight) {
  const int64_t span = (shape.filter_height - 1) * shape.dilation_height + 1;
  sum_taps(
      shape, [&] { return FloatRows(x, zero_point, shape.in_width * shape.channels, span); }, y, weight);
}

}  // namespace octet

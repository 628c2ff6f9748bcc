#include "octet/kernels/depthwise.h"

#include <algorithm>
#include <functional>
#include <memory>
#include <utility>
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

// Writes rows of an image in channels last from the taps that reach them.
class TapMap {
 public:
  TapMap(const DepthwiseShape& shape, const std::vector<Phase>& row_phases, const std::vector<Phase>& column_phases,
         const Plane& read, const Plane& written, const float* weight, const float* bias)
      : read_(read),
        written_(written),
        rows_(rows_read(row_phases, written.height)),
        column_phases_(column_phases),
        channels_(shape.channels),
        filter_width_(shape.filter_width),
        row_work_(std::max<int64_t>(1, written.width * shape.channels * shape.taps())),
        weight_(weight),
        bias_(bias) {
    for (const Phase& phase : column_phases) {
      for (const Segment& segment : phase.segments) pieces_ += (segment.last - segment.first + kChunk - 1) / kChunk;
    }
  }

  // Row 0 of image 1 comes behind the last of image 0, of what is read and of what is written.
  int64_t rows(int64_t images) const { return images * written_.height; }
  int64_t row_work() const { return row_work_; }
  int64_t floats_read() const { return read_.width * channels_; }  // of a row
  int64_t floats_written() const { return written_.width * channels_; }
  int64_t pieces() const { return pieces_; }
  // First row behind those that this one and all before read.
  int64_t last_read(int64_t index) const {
    int64_t last = 0;
    for (const RowReach& row : rows_[index % written_.height]) last = std::max(last, row.row + 1);
    return index / written_.height * read_.height + last;
  }
  // Rows of one image from the first to the last that a row reads, at most.
  int64_t span() const {
    int64_t most = 1;
    for (const std::vector<RowReach>& read : rows_) {
      for (const RowReach& a : read) {
        for (const RowReach& b : read) most = std::max(most, a.row - b.row + 1);
      }
    }
    return most;
  }

  // `row_of` gives the rows that are read, which stay for as many as span(); `taps` is memory to work in.
  template <typename RowOf, typename Step>
  void write(int64_t index, const RowOf& row_of, std::vector<DepthwiseTap>& taps, float* to, const Step& step) const {
    const FloatPath& path = float_path();
    const int64_t first_row = index / written_.height * read_.height;
    const std::vector<RowReach>& reaches = rows_[index % written_.height];
    std::vector<const float*> sources;
    for (const RowReach& row : reaches) sources.push_back(row_of(first_row + row.row));
    for (const Phase& phase : column_phases_) {
      for (const Segment& segment : phase.segments) {
        for (int64_t at = segment.first; at < segment.last; at += kChunk) {
          step();
          taps.clear();
          for (size_t i = 0; i < reaches.size(); ++i) {
            for (const TapReach& column : segment.taps) {
              taps.push_back({sources[i] + (at * phase.read_step + column.offset) * channels_,
                              weight_ + (reaches[i].tap * filter_width_ + column.tap) * channels_});
            }
          }
          path.depthwise_pixels(taps.data(), static_cast<int64_t>(taps.size()), bias_, phase.read_step * channels_,
                                to + (phase.first + at * phase.step) * channels_, phase.step * channels_,
                                std::min(kChunk, segment.last - at), channels_);
        }
      }
    }
  }

 private:
  Plane read_, written_;
  std::vector<std::vector<RowReach>> rows_;
  std::vector<Phase> column_phases_;
  int64_t channels_, filter_width_, row_work_;
  int64_t pieces_ = 0;
  const float* weight_;
  const float* bias_;
};

TapMap forward_map(const DepthwiseShape& shape, const float* weight, const float* bias) {
  return {shape,
          forward_phases(rows_of(shape)),
          forward_phases(columns_of(shape)),
          {shape.in_height, shape.in_width},
          {shape.out_height, shape.out_width},
          weight,
          bias};
}
TapMap backward_map(const DepthwiseShape& shape, const float* weight) {
  return {shape,
          backward_phases(rows_of(shape)),
          backward_phases(columns_of(shape)),
          {shape.out_height, shape.out_width},
          {shape.in_height, shape.in_width},
          weight,
          nullptr};
}

// Writes every row of `to`.
void map_taps(const TapMap& map, int64_t images, const float* from, float* to) {
  constexpr auto kBytes = static_cast<int64_t>(sizeof(float));
  const int64_t line = map.floats_read(), written_line = map.floats_written();
  const auto row_of = [&](int64_t row) { return from + row * line; };
  const auto work = [&](int64_t begin, int64_t end) {
    std::vector<DepthwiseTap> taps;
    int64_t asked = 0;  // rows that were asked for
    for (int64_t index = begin; index < end; ++index) {
      asked = std::max(asked, map.last_read(index));
      const int64_t ask = index + 1 < end ? std::max(asked, map.last_read(index + 1)) : asked;
      ReadAhead ahead(row_of(asked), (ask - asked) * line * kBytes, map.pieces());
      asked = ask;
      ReadAhead ahead_written(to + (index + 1) * written_line, index + 1 < end ? written_line * kBytes : 0,
                              map.pieces());
      map.write(index, row_of, taps, to + index * written_line, [&] {
        ahead.step();
        ahead_written.step();
      });
    }
  };
  parallel_for(0, map.rows(images), std::max<int64_t>(1, kDepthwiseGrain / map.row_work()), work);
}

// Rows of floats: those of memory, or made in a ring of as many as are read together.
class FloatRows {
 public:
  using Make = std::function<void(int64_t index, float* to)>;
  FloatRows(const float* x, int64_t row_floats) : x_(x), row_floats_(row_floats) {}
  FloatRows(Make make, int64_t row_floats, int64_t span)
      : make_(std::move(make)),
        row_floats_(row_floats),
        ring_(std::make_unique_for_overwrite<float[]>(span * row_floats)),
        held_(span, -1) {}

  const float* row(int64_t index) {
    if (x_ != nullptr) return x_ + index * row_floats_;
    const int64_t place = index % static_cast<int64_t>(held_.size());
    float* to = ring_.get() + place * row_floats_;
    if (held_[place] != index) {
      make_(index, to);
      held_[place] = index;
    }
    return to;
  }

 private:
  const float* x_ = nullptr;
  Make make_;
  int64_t row_floats_;
  std::unique_ptr<float[]> ring_;
  std::vector<int64_t> held_;
};

// Adds to the weight's gradient, tap by tap, what a line of the result's gradient gives.
class TapSums {
 public:
  explicit TapSums(const DepthwiseShape& shape)
      : shape_(shape),
        rows_(rows_read(forward_phases(rows_of(shape)), shape.out_height)),
        columns_(forward_phases(columns_of(shape))) {}

  int64_t lines() const { return shape_.images * shape_.out_height; }
  int64_t floats() const { return shape_.taps() * shape_.channels; }
  int64_t parts() const { return std::min(parts_of_sum(lines() * shape_.out_width, floats()), lines()); }

  void add(int64_t index, FloatRows& x, const float* line, std::vector<DepthwiseGradientTap>& taps, float* sum) const {
    const FloatPath& path = float_path();
    const int64_t channels = shape_.channels;
    const int64_t first_row = index / shape_.out_height * shape_.in_height;
    for (const Segment& segment : columns_.front().segments) {
      for (int64_t at = segment.first; at < segment.last; at += kChunk) {
        const int64_t pixels = std::min(kChunk, segment.last - at);
        taps.clear();
        for (const RowReach& row : rows_[index % shape_.out_height]) {
          const float* source = x.row(first_row + row.row);
          for (const TapReach& column : segment.taps) {
            taps.push_back({source + (at * shape_.stride_width + column.offset) * channels,
                            sum + (row.tap * shape_.filter_width + column.tap) * channels});
          }
        }
        for (size_t i = 0; i < taps.size(); i += kMostGradientTaps) {
          const int count = static_cast<int>(std::min<size_t>(kMostGradientTaps, taps.size() - i));
          path.depthwise_gradient(taps.data() + i, count, shape_.stride_width * channels, line + at * channels,
                                  channels, pixels, channels);
        }
      }
    }
  }

  // add_part(part, parts, sum) for each part of the lines, all added to `weight`.
  template <typename AddPart>
  void sum_parts(const AddPart& add_part, float* weight) const {
    const int64_t count = parts();
    std::vector<std::vector<float>> sums(count);
    parallel_for(0, count, 1, [&](int64_t begin, int64_t end) {
      for (int64_t part = begin; part < end; ++part) {
        sums[part].assign(floats(), 0.0F);
        add_part(part, count, sums[part].data());
      }
    });
    std::copy(sums[0].begin(), sums[0].end(), weight);
    for (int64_t part = 1; part < count; ++part) {
      for (int64_t i = 0; i < floats(); ++i) weight[i] += sums[part][i];
    }
  }

 private:
  DepthwiseShape shape_;
  std::vector<std::vector<RowReach>> rows_;
  std::vector<Phase> columns_;
};

// `make_rows` gives each part its rows of x.
template <typename MakeRows>
void sum_taps(const DepthwiseShape& shape, const MakeRows& make_rows, const float* y, float* weight) {
  const TapSums sums(shape);
  const auto add_part = [&](int64_t part, int64_t parts, float* sum) {
    FloatRows x = make_rows();
    std::vector<DepthwiseGradientTap> taps;
    for (int64_t index = sums.lines() * part / parts; index < sums.lines() * (part + 1) / parts; ++index) {
      sums.add(index, x, y + index * shape.out_width * shape.channels, taps, sum);
    }
  };
  sums.sum_parts(add_part, weight);
}

}  // namespace

void depthwise_forward(const DepthwiseShape& shape, const float* x, const float* weight, const float* bias, float* y) {
  map_taps(forward_map(shape, weight, bias), shape.images, x, y);
}

void depthwise_backward_input(const DepthwiseShape& shape, const float* y, const float* weight, float* x) {
  map_taps(backward_map(shape, weight), shape.images, y, x);
}

void depthwise_backward_weight(const DepthwiseShape& shape, const float* x, const float* y, float* weight) {
  sum_taps(
      shape, [&] { return FloatRows(x, shape.in_width * shape.channels); }, y, weight);
}

void depthwise_backward_weight(const DepthwiseShape& shape, const int8_t* x, int32_t zero_point, const float* y,
                               float* weight) {
  const int64_t span = (shape.filter_height - 1) * shape.dilation_height + 1;
  const int64_t floats = shape.in_width * shape.channels;
  const auto unpack = [=](int64_t index, float* to) {
    float_path().unpack(x + index * floats, floats, zero_point, 1, floats, to, floats);
  };
  sum_taps(
      shape, [&] { return FloatRows(unpack, floats, span); }, y, weight);
}

bool is_walked_once(const DepthwiseShape& shape) {
  constexpr int64_t kLeastParts = 8;  // they are what threads share
  return TapSums(shape).parts() >= kLeastParts;
}

void depthwise_backward(const DepthwiseShape& shape, const float* x, const float* weight, const MakeLines& lines,
                        float* x_gradient, float* weight_gradient) {
  const TapSums sums(shape);
  const TapMap map = backward_map(shape, weight);
  const int64_t rows = map.rows(shape.images);
  const auto add_part = [&](int64_t part, int64_t parts, float* sum) {
    FloatRows y([&](int64_t line, float* to) { lines(line, to); }, map.floats_read(), map.span() + 1);
    FloatRows x_rows(x, shape.in_width * shape.channels);
    std::vector<DepthwiseTap> taps;
    std::vector<DepthwiseGradientTap> sum_taps;
    int64_t line = sums.lines() * part / parts;  // the next one to sum
    const int64_t last_line = sums.lines() * (part + 1) / parts;
    const auto sum_until = [&](int64_t end) {
      for (; line < std::min(end, last_line); ++line) sums.add(line, x_rows, y.row(line), sum_taps, sum);
    };
    const int64_t end = rows * (part + 1) / parts;
    for (int64_t index = rows * part / parts; index < end; ++index) {
      float* to = x_gradient + index * map.floats_written();
      ReadAhead ahead_written(to + map.floats_written(),
                              index + 1 < end ? map.floats_written() * static_cast<int64_t>(sizeof(float)) : 0,
                              map.pieces());
      map.write(
          index, [&](int64_t row) { return y.row(row); }, taps, to, [&] { ahead_written.step(); });
      sum_until(map.last_read(index));
    }
    sum_until(last_line);
  };
  sums.sum_parts(add_part, weight_gradient);
}

}  // namespace octet

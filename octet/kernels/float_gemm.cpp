#include "octet/kernels/float_gemm.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "octet/kernels/float_path.h"
#include "octet/kernels/parallel.h"
#include "octet/kernels/read_ahead.h"

namespace octet {
namespace {

constexpr int64_t kDepthBlock = 384;        // a packed strip of it lies in the first cache
constexpr int64_t kBlockFloats = 1 << 15;   // of both sides: half of the second cache
constexpr int64_t kSumDepth = 256;          // rows whose products are summed in registers,
constexpr int64_t kSumRows = 192;           // and columns of the left side that are packed at once
constexpr int64_t kProductGrain = 1 << 16;  // products of a thread
constexpr int64_t kSharedSums = 1 << 14;    // floats that each thread sums for itself, at most

int64_t tiles_of(int64_t count, int64_t size) { return (count + size - 1) / size; }
int64_t padded(int64_t count, int64_t to) { return tiles_of(count, to) * to; }

template <int kColumns>
void copy_columns(const float* from, int64_t step, int64_t rows, float* to, int64_t to_step) {
  for (int64_t r = 0; r < rows; ++r) std::memcpy(to + r * to_step, from + r * step, kColumns * sizeof(float));
}

ReadAhead ahead_of(const RowSource& source, int64_t row, int64_t rows, int64_t steps) {
  const RowSource::Memory memory = source.memory(row, rows);
  return {memory.from, memory.bytes, steps};
}

// How the left side is read: from memory, copied as rows, or copied tile by tile, which pays where many tiles read it.
enum class Left { kInPlace, kRows, kTiles };

// Adds A' * B, block by block of rows, to rows [top, bottom) of sums that are as wide as B.
class TransposedProduct {
 public:
  TransposedProduct(int64_t top, int64_t bottom)
      : top_(top),
        bottom_(bottom),
        packed_left_(line_floats(kSumDepth * padded(std::min(bottom - top, kSumRows), float_path().rows))),
        packed_right_(line_floats(kSumDepth * 2 * float_path().lanes)) {}

  // Of how many tiles a block is: so often it asks for memory.
  int64_t tiles(int64_t width) const {
    return tiles_of(width, 2 * float_path().lanes) * tiles_of(bottom_ - top_, float_path().rows);
  }

  // Of rows [at, at + depth), at most kSumDepth.
  void add(const RowSource& a, const RowSource& b, int64_t at, int64_t depth, float* sums, ReadAhead next_a,
           ReadAhead next_b) const {
    const FloatPath& path = float_path();
    const int64_t strip = 2 * path.lanes;
    const int64_t width = b.width();
    const Left left = a.floats() == nullptr ? Left::kRows : width >= 4 * strip ? Left::kTiles : Left::kInPlace;
    const bool packs_right = b.floats() == nullptr || width % path.lanes != 0 || bottom_ - top_ > 4 * path.rows;
    for (int64_t from = top_; from < bottom_; from += kSumRows) {
      const int64_t rows = std::min(bottom_ - from, kSumRows);
      if (left == Left::kRows) a.copy(at, depth, from, rows, packed_left_.get(), rows);
      for (int64_t i = 0; left == Left::kTiles && i < rows; i += path.rows) {
        const int64_t count = std::min<int64_t>(path.rows, rows - i);
        a.copy(at, depth, from + i, count, packed_left_.get() + i * kSumDepth, path.rows);
      }
      for (int64_t j = 0; j < width; j += strip) {
        GemmTile tile{.a = nullptr,
                      .a_row = 1,
                      .a_step = left == Left::kInPlace ? a.width()
                                : left == Left::kRows  ? rows
                                                       : path.rows,
                      .b = packs_right ? packed_right_.get() : b.floats() + at * width + j,
                      .b_step = packs_right ? strip : width,
                      .c = nullptr,
                      .c_row = width,
                      .depth = depth,
                      .rows = 0,
                      .columns = std::min(strip, width - j),
                      .adds = true};
        if (packs_right) b.copy(at, depth, j, tile.columns, packed_right_.get(), strip);
        for (int64_t i = 0; i < rows; i += path.rows) {
          next_a.step();
          next_b.step();
          tile.a = left == Left::kInPlace ? a.floats() + at * a.width() + from + i
                                          : packed_left_.get() + (left == Left::kRows ? i : i * kSumDepth);
          tile.c = sums + (from + i) * width + j;
          tile.rows = static_cast<int>(std::min<int64_t>(path.rows, rows - i));
          path.gemm_tile(tile);
        }
      }
    }
  }

 private:
  int64_t top_, bottom_;
  LineFloats packed_left_, packed_right_;
};

// Adds rows [first, last) of A' * B to rows [top, bottom) of the sums.
void add_transposed(const RowSource& a, const RowSource& b, int64_t first, int64_t last, int64_t top, int64_t bottom,
                    float* sums) {
  const TransposedProduct product(top, bottom);
  const int64_t tiles = product.tiles(b.width());
  for (int64_t at = first; at < last; at += kSumDepth) {
    const int64_t depth = std::min(kSumDepth, last - at);
    const int64_t next = std::min(kSumDepth, last - at - depth);
    product.add(a, b, at, depth, sums, ahead_of(a, at + depth, next, tiles), ahead_of(b, at + depth, next, tiles));
  }
}

// Cycles of a step of all tiles: two products a cycle, of which eight are under way, and two loads.
double tile_cycles(int64_t rows, int64_t columns) {
  const FloatPath& path = float_path();
  const auto cycles = [](int64_t r, int64_t v) { return r * v == 0 ? 0 : std::max({r * v / 2.0, (r + v) / 2.0, 4.0}); };
  const auto row_of_tiles = [&](int64_t r) {
    const int64_t vectors = tiles_of(columns, path.lanes);
    return static_cast<double>(vectors / 2) * cycles(r, 2) + cycles(r, vectors % 2);
  };
  return static_cast<double>(rows / path.rows) * row_of_tiles(path.rows) + row_of_tiles(rows % path.rows);
}

// Parts of the sum, each with sums of its own; 1 where there are too many of these.
int64_t parts_of(int64_t rows, int64_t sums) { return sums > kSharedSums ? 1 : parts_of_sum(rows, sums); }

// add(first, last, sums) for each part of the rows, to c in the end.
template <typename Add>
void sum_parts(int64_t rows, int64_t count, int64_t parts, const Add& add, float* c) {
  std::fill(c, c + count, 0.0F);
  std::vector<std::vector<float>> sums(parts - 1);
  parallel_for(0, parts, 1, [&](int64_t begin, int64_t end) {
    for (int64_t part = begin; part < end; ++part) {
      float* own = c;
      if (part > 0) {
        sums[part - 1].assign(count, 0.0F);
        own = sums[part - 1].data();
      }
      add(rows * part / parts, rows * (part + 1) / parts, own);
    }
  });
  for (const std::vector<float>& each : sums) {
    for (int64_t i = 0; i < count; ++i) c[i] += each[i];
  }
}

void sum_transposed(const RowSource& a, const RowSource& b, int64_t rows, float* c) {
  const int64_t height = a.width();
  const int64_t count = height * b.width();
  const int64_t parts = parts_of(rows, count);
  if (parts == 1) {  // each thread has its own rows of C
    std::fill(c, c + count, 0.0F);
    const int64_t tiles = tiles_of(height, float_path().rows);
    const int64_t shares = std::clamp<int64_t>(rows * count / kProductGrain, 1, std::min<int64_t>(threads(), tiles));
    const auto top = [&](int64_t share) { return std::min(height, tiles * share / shares * float_path().rows); };
    parallel_for(0, shares, 1, [&](int64_t begin, int64_t end) {
      for (int64_t share = begin; share < end; ++share) add_transposed(a, b, 0, rows, top(share), top(share + 1), c);
    });
    return;
  }
  const auto add = [&](int64_t first, int64_t last, float* sums) {
    add_transposed(a, b, first, last, 0, height, sums);
  };
  sum_parts(rows, count, parts, add, c);
}

// Whether A' * B takes longer than B' * A, which is turned then.
bool is_turned(int64_t a_width, int64_t b_width) {
  return tile_cycles(a_width, b_width) > tile_cycles(b_width, a_width);
}

// to[j * rows + i] = from[i * columns + j], in squares that the first cache holds.
void turn(const float* from, int64_t rows, int64_t columns, float* to) {
  constexpr int64_t kSquare = 16;
  parallel_for(0, tiles_of(columns, kSquare), std::max<int64_t>(1, kProductGrain / (kSquare * rows)),
               [&](int64_t begin, int64_t end) {
                 for (int64_t first = begin * kSquare; first < std::min(columns, end * kSquare); first += kSquare) {
                   const int64_t last = std::min(columns, first + kSquare);
                   for (int64_t top = 0; top < rows; top += kSquare) {
                     for (int64_t j = first; j < last; ++j) {
                       for (int64_t i = top; i < std::min(rows, top + kSquare); ++i) {
                         to[j * rows + i] = from[i * columns + j];
                       }
                     }
                   }
                 }
               });
}

}  // namespace

PackedMatrix pack_matrix(const float* b, int64_t k_step, int64_t j_step, int64_t depth, int64_t columns) {
  const int64_t strip = 2 * float_path().lanes;
  PackedMatrix packed{depth, columns, line_floats(padded(columns, strip) * depth)};
  float* to = packed.data.get();
  for (int64_t first = 0; first < columns; first += strip) {
    const int64_t count = std::min(strip, columns - first);
    for (int64_t k = 0; k < depth; ++k, to += strip) {
      const float* from = b + k * k_step + first * j_step;
      for (int64_t j = 0; j < count; ++j) to[j] = from[j * j_step];
      std::fill(to + count, to + strip, 0.0F);
    }
  }
  return packed;
}

void PlainRows::copy(int64_t row, int64_t rows, int64_t column, int64_t columns, float* to, int64_t to_step) const {
  const float* from = rows_ + row * width_ + column;
  switch (columns) {  // whole tiles
    case 6:
      return copy_columns<6>(from, width_, rows, to, to_step);
    case 8:
      return copy_columns<8>(from, width_, rows, to, to_step);
    case 16:
      return copy_columns<16>(from, width_, rows, to, to_step);
    case 32:
      return copy_columns<32>(from, width_, rows, to, to_step);
    default:
      for (int64_t r = 0; r < rows; ++r) {
        std::memcpy(to + r * to_step, from + r * width_, static_cast<size_t>(columns) * sizeof(float));
      }
  }
}

void ChosenColumns::copy(int64_t row, int64_t rows, int64_t column, int64_t columns, float* to, int64_t to_step) const {
  const float* from = rows_.floats() + row * rows_.width();
  for (int64_t r = 0; r < rows; ++r, from += rows_.width(), to += to_step) {
    for (int64_t c = 0; c < columns; ++c) to[c] = from[chosen_[column + c]];
  }
}

void IntegerRows::copy(int64_t row, int64_t rows, int64_t column, int64_t columns, float* to, int64_t to_step) const {
  float_path().unpack(rows_ + row * width_ + column, width_, zero_point_, rows, columns, to, to_step);
}

void multiply_rows(const RowSource& a, int64_t rows, const PackedMatrix& b, const float* bias, float* c) {
  const FloatPath& path = float_path();
  const int64_t strip = 2 * path.lanes;
  const int64_t block = std::clamp<int64_t>(kBlockFloats / b.depth / path.rows, 1, 32) * path.rows;
  const int64_t tile_products = std::max<int64_t>(1, b.depth * b.columns * path.rows);
  parallel_for(0, tiles_of(rows, path.rows), std::max<int64_t>(1, kProductGrain / tile_products),
               [&](int64_t first, int64_t last) {
                 const int64_t begin = first * path.rows, end = std::min(rows, last * path.rows);
                 const auto copied = a.floats() == nullptr ? line_floats(block * b.depth) : nullptr;
                 for (int64_t at = begin; at < end; at += block) {
                   const int64_t count = std::min(block, end - at);
                   const int64_t next = std::min(block, end - at - count);
                   const int64_t tiles =
                       tiles_of(count, path.rows) * tiles_of(b.columns, strip) * tiles_of(b.depth, kDepthBlock);
                   ReadAhead next_a = ahead_of(a, at + count, next, tiles);
                   ReadAhead next_c(c + (at + count) * b.columns,
                                    next * b.columns * static_cast<int64_t>(sizeof(float)), tiles);
                   if (copied) a.copy(at, count, 0, b.depth, copied.get(), b.depth);
                   const float* side = copied ? copied.get() : a.floats() + at * b.depth;
                   for (int64_t k = 0; k < b.depth; k += kDepthBlock) {
                     const int64_t depth = std::min(kDepthBlock, b.depth - k);
                     for (int64_t j = 0; j < b.columns; j += strip) {
                       for (int64_t r = 0; r < count; r += path.rows) {
                         next_a.step();
                         next_c.step();
                         path.gemm_tile({.a = side + r * b.depth + k,
                                         .a_row = b.depth,
                                         .a_step = 1,
                                         .b = b.data.get() + j * b.depth + k * strip,
                                         .b_step = strip,
                                         .c = c + (at + r) * b.columns + j,
                                         .c_row = b.columns,
                                         .depth = depth,
                                         .rows = static_cast<int>(std::min<int64_t>(path.rows, count - r)),
                                         .columns = std::min(strip, b.columns - j),
                                         .bias = k == 0 && bias != nullptr ? bias + j : nullptr,
                                         .adds = k > 0});
                       }
                     }
                   }
                 }
               });
}

void multiply_transposed(const RowSource& a, const RowSource& b, int64_t rows, float* c) {
  if (!is_turned(a.width(), b.width())) return sum_transposed(a, b, rows, c);
  const auto turned = line_floats(a.width() * b.width());
  sum_transposed(b, a, rows, turned.get());
  turn(turned.get(), b.width(), a.width(), c);
}

bool is_walked_once(int64_t rows, int64_t width, int64_t x_width) {
  constexpr int64_t kLeastParts = 8;  // they are what threads share
  return parts_of(rows, width * x_width) >= kLeastParts;
}

void multiply_both(const MakeRows& a, int64_t width, const PlainRows& x, int64_t rows, const PackedMatrix& b, float* c,
                   float* d) {
  const bool turns = is_turned(width, x.width());
  const int64_t count = width * x.width();
  const auto turned = turns ? line_floats(count) : nullptr;
  const auto add = [&](int64_t first, int64_t last, float* sums) {
    const TransposedProduct product(0, turns ? x.width() : width);
    const auto made = line_floats(kSumDepth * width);
    const PlainRows left(made.get(), width);
    for (int64_t at = first; at < last; at += kSumDepth) {
      const int64_t depth = std::min(kSumDepth, last - at);
      const int64_t next = std::min(kSumDepth, last - at - depth);
      a(at, depth, made.get());
      const PlainRows right(x.floats() + at * x.width(), x.width());
      const ReadAhead next_x = ahead_of(right, depth, next, product.tiles(turns ? width : x.width()));
      if (turns) {
        product.add(right, left, 0, depth, sums, next_x, {});
      } else {
        product.add(left, right, 0, depth, sums, {}, next_x);
      }
      multiply_rows(left, depth, b, nullptr, d + at * b.columns);  // within a part: on this thread
    }
  };
  sum_parts(rows, count, parts_of(rows, count), add, turns ? turned.get() : c);
  if (turns) turn(turned.get(), x.width(), width, c);
}

}  // namespace octet

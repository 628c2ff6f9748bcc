#pragma once

#include <cstdint>
#include <functional>

#include "octet/kernels/line_floats.h"

namespace octet {

/// A right side B [depth, columns], packed in strips of two registers.
struct PackedMatrix {
  int64_t depth, columns;
  LineFloats data;
};
/// B(k, j) lies at b[k * k_step + j * j_step].
PackedMatrix pack_matrix(const float* b, int64_t k_step, int64_t j_step, int64_t depth, int64_t columns);

/// Rows of a matrix [rows, width]: floats in memory, integers of a grid, windows of an image.
class RowSource {
 public:
  virtual ~RowSource() = default;
  virtual int64_t width() const = 0;
  /// Where rows are floats in memory, width() apart; else null.
  virtual const float* floats() const { return nullptr; }
  /// to[r * to_step + c] of rows [row, row + rows) and columns [column, column + columns).
  virtual void copy(int64_t row, int64_t rows, int64_t column, int64_t columns, float* to, int64_t to_step) const = 0;
  /// The memory that rows [row, row + rows) are read from, to ask for it ahead.
  struct Memory {
    const void* from;
    int64_t bytes;
  };
  virtual Memory memory(int64_t row, int64_t rows) const = 0;
};

class PlainRows : public RowSource {
 public:
  PlainRows(const float* rows, int64_t width) : rows_(rows), width_(width) {}
  int64_t width() const override { return width_; }
  const float* floats() const override { return rows_; }
  void copy(int64_t row, int64_t rows, int64_t column, int64_t columns, float* to, int64_t to_step) const override;
  Memory memory(int64_t row, int64_t rows) const override {
    return {rows_ + row * width_, rows * width_ * static_cast<int64_t>(sizeof(float))};
  }

 private:
  const float* rows_;
  int64_t width_;
};

/// Columns `chosen` of such rows, `count` of them.
class ChosenColumns : public RowSource {
 public:
  ChosenColumns(const PlainRows& rows, const int64_t* chosen, int64_t count)
      : rows_(rows), chosen_(chosen), count_(count) {}
  int64_t width() const override { return count_; }
  void copy(int64_t row, int64_t rows, int64_t column, int64_t columns, float* to, int64_t to_step) const override;
  Memory memory(int64_t row, int64_t rows) const override { return rows_.memory(row, rows); }

 private:
  PlainRows rows_;
  const int64_t* chosen_;
  int64_t count_;
};

/// In units of the grid's step.
class IntegerRows : public RowSource {
 public:
  IntegerRows(const int8_t* rows, int32_t zero_point, int64_t width)
      : rows_(rows), zero_point_(zero_point), width_(width) {}
  int64_t width() const override { return width_; }
  void copy(int64_t row, int64_t rows, int64_t column, int64_t columns, float* to, int64_t to_step) const override;
  Memory memory(int64_t row, int64_t rows) const override { return {rows_ + row * width_, rows * width_}; }

 private:
  const int8_t* rows_;
  int32_t zero_point_;
  int64_t width_;
};

/// C [rows, columns] = A * B + bias; `bias` may be null.
void multiply_rows(const RowSource& a, int64_t rows, const PackedMatrix& b, const float* bias, float* c);

/// C [a.width, b.width] = A' * B over the rows that both have.
void multiply_transposed(const RowSource& a, const RowSource& b, int64_t rows, float* c);

/// Writes rows [first, first + count) of a matrix.
using MakeRows = std::function<void(int64_t first, int64_t count, float* to)>;

/// C [width, x.width] = A' * X and D [rows, b.columns] = A * B in one walk along A [rows, width], which exists a few
/// rows at a time alone: to the bit what the two functions above give. For sums of many rows (is_walked_once).
void multiply_both(const MakeRows& a, int64_t width, const PlainRows& x, int64_t rows, const PackedMatrix& b, float* c,
                   float* d);
bool is_walked_once(int64_t rows, int64_t width, int64_t x_width);

}  // namespace octet

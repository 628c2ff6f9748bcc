#pragma once

#include <cstdint>
#include <vector>

#include "octet/integer/kernel.h"

namespace octet::integer {

/// Elements from one step to the next, for every dimension of a dense tensor.
std::vector<int64_t> dense_steps(const std::vector<int64_t>& shape);

/// `count` places, `step` elements apart.
std::vector<int64_t> places_in_a_row(int64_t count, int64_t step, int64_t first = 0);

/// Dimension `axis` of `rank`, counted from the end where it is negative; throws octet::Error for none of them.
size_t dimension(const KernelContext& context, int64_t axis, size_t rank);

/// Throws octet::Error where types differ, or grids: int8 always has one, other levels may.
void require_same_values(const KernelContext& context, const tflite::Tensor& a, const tflite::Tensor& b);

/// A result whose element [i, j, ...] is the source's element places[0][i] + places[1][j] + ..., or the filler where
/// one of them is -1: transposed, sliced, padded, repeated.
class Places {
 public:
  /// One element has `size` bytes.
  Places(std::vector<std::vector<int64_t>> places, int64_t size, std::vector<uint8_t> filler = {});

  /// On several threads where it's worth it.
  void copy(const uint8_t* from, uint8_t* to) const;

 private:
  struct Run {
    int64_t place;  // in bytes; -1 for the filler
    int64_t bytes;
  };

  // Rows of the result that a step apart in the source, in elements a step apart: a matrix that lies turned.
  struct Turned {
    int64_t row_step, column_step;  // in bytes; 0 where there is none
  };

  void find_turned();
  void copy_turned(const uint8_t* from, int64_t rows, uint8_t* to) const;
  void copy_part(const uint8_t* from, int64_t begin, int64_t end, uint8_t* to) const;
  void copy_runs(const uint8_t* from, uint8_t*& to) const;
  void fill(uint8_t*& to, int64_t bytes) const;

  std::vector<std::vector<int64_t>> outer_;  // in bytes
  std::vector<Run> runs_;                    // of the innermost dimension
  int64_t run_bytes_ = 0;                    // of all of them
  int64_t one_size_ = 0;                     // of every run, where they have one
  Turned turned_ = {};
  std::vector<uint8_t> filler_;
};

/// Kernel of an operator that moves its first input so.
Kernel make_move(const KernelContext& context, std::vector<std::vector<int64_t>> places,
                 std::vector<uint8_t> filler = {});

}  // namespace octet::integer

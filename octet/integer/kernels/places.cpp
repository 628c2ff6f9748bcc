#include "octet/integer/kernels/places.h"

#include <algorithm>
#include <cstring>

#include "octet/integer/grid.h"
#include "octet/integer/parts.h"
#include "octet/support/error.h"

namespace octet::integer {

std::vector<int64_t> dense_steps(const std::vector<int64_t>& shape) {
  std::vector<int64_t> result(shape.size(), 1);
  for (size_t d = shape.size(); d-- > 1;) result[d - 1] = result[d] * shape[d];
  return result;
}

std::vector<int64_t> places_in_a_row(int64_t count, int64_t step, int64_t first) {
  std::vector<int64_t> result(static_cast<size_t>(count));
  for (size_t i = 0; i < result.size(); ++i) result[i] = first + static_cast<int64_t>(i) * step;
  return result;
}

size_t dimension(const KernelContext& context, int64_t axis, size_t rank) {
  const auto count = static_cast<int64_t>(rank);
  if (axis < -count || axis >= count) {
    context.fail("axis", octet::str("within ", count, " dimensions"), std::to_string(axis));
  }
  return static_cast<size_t>(axis < 0 ? axis + count : axis);
}

void require_same_values(const KernelContext& context, const tflite::Tensor& a, const tflite::Tensor& b) {
  context.require_type(b, a.type);
  const bool has_grid = !a.quantization.scale.empty() || !b.quantization.scale.empty();
  if (a.type == tflite::Type::kInt8 || (is_level_type(a.type) && has_grid)) context.require_same_grid(a, b);
}

Places::Places(std::vector<std::vector<int64_t>> places, int64_t size, std::vector<uint8_t> filler)
    : outer_(std::move(places)), filler_(std::move(filler)) {
  for (std::vector<int64_t>& each : outer_) {
    for (int64_t& place : each) place = place < 0 ? -1 : place * size;
  }
  // Innermost dimensions that are taken whole and in order move as one block.
  int64_t block = size;
  while (!outer_.empty() && outer_.back() == places_in_a_row(static_cast<int64_t>(outer_.back().size()), block)) {
    block *= static_cast<int64_t>(outer_.back().size());
    outer_.pop_back();
  }
  const std::vector<int64_t> inner = outer_.empty() ? std::vector<int64_t>{0} : outer_.back();
  if (!outer_.empty()) outer_.pop_back();
  for (const int64_t place : inner) {
    Run* last = runs_.empty() ? nullptr : &runs_.back();
    const bool follows =
        last != nullptr && (place < 0 ? last->place < 0 : last->place >= 0 && last->place + last->bytes == place);
    if (follows) {
      last->bytes += block;
    } else {
      runs_.push_back({place, block});
    }
    run_bytes_ += block;
  }
  bool alike = !runs_.empty();
  for (const Run& run : runs_) alike = alike && run.place >= 0 && run.bytes == runs_[0].bytes;
  if (alike) one_size_ = runs_[0].bytes;
  find_turned();
}

void Places::find_turned() {
  const bool is_element = one_size_ == 1 || one_size_ == 2 || one_size_ == 4 || one_size_ == 8;
  if (!is_element || runs_.size() < 2 || outer_.empty() || outer_.back().size() < 2) return;
  const std::vector<int64_t>& rows = outer_.back();
  const Turned found = {rows[1] - rows[0], runs_[1].place - runs_[0].place};
  for (size_t i = 0; i < rows.size(); ++i) {
    if (rows[i] < 0 || rows[i] != rows[0] + static_cast<int64_t>(i) * found.row_step) return;
  }
  for (size_t i = 0; i < runs_.size(); ++i) {
    if (runs_[i].place != runs_[0].place + static_cast<int64_t>(i) * found.column_step) return;
  }
  turned_ = found;
}

namespace {

template <int64_t kBytes>
void turn(const uint8_t* from, int64_t row_step, int64_t column_step, int64_t rows, int64_t columns, uint8_t* to) {
  constexpr int64_t kFew = 8, kRowsAtATime = 64;  // whose cache lines of the result stay near
  const auto copy = [&](int64_t r, int64_t c) {
    std::memcpy(to + (r * columns + c) * kBytes, from + r * row_step + c * column_step, kBytes);
  };
  if (columns <= kFew) {
    for (int64_t r = 0; r < rows; ++r) {
      for (int64_t c = 0; c < columns; ++c) copy(r, c);
    }
    return;
  }
  for (int64_t first = 0; first < rows; first += kRowsAtATime) {
    const int64_t last = std::min(first + kRowsAtATime, rows);
    for (int64_t c = 0; c < columns; ++c) {
      for (int64_t r = first; r < last; ++r) copy(r, c);
    }
  }
}

}  // namespace

void Places::copy_turned(const uint8_t* from, int64_t rows, uint8_t* to) const {
  const auto columns = static_cast<int64_t>(runs_.size());
  const auto turn_elements = one_size_ == 1 ? turn<1> : one_size_ == 2 ? turn<2> : one_size_ == 4 ? turn<4> : turn<8>;
  turn_elements(from + runs_[0].place, turned_.row_step, turned_.column_step, rows, columns, to);
}

void Places::fill(uint8_t*& to, int64_t bytes) const {
  const auto size = filler_.size();
  if (size == 1) {
    std::memset(to, filler_[0], static_cast<size_t>(bytes));
    to += bytes;
    return;
  }
  for (int64_t done = 0; done < bytes; done += static_cast<int64_t>(size), to += size) {
    std::memcpy(to, filler_.data(), size);
  }
}

void Places::copy_runs(const uint8_t* from, uint8_t*& to) const {
  if (one_size_ == 1) {
    for (const Run& run : runs_) *to++ = from[run.place];
    return;
  }
  if (one_size_ == 4) {
    for (const Run& run : runs_) {
      std::memcpy(to, from + run.place, 4);
      to += 4;
    }
    return;
  }
  for (const Run& run : runs_) {
    if (run.place < 0) {
      fill(to, run.bytes);
      continue;
    }
    std::memcpy(to, from + run.place, static_cast<size_t>(run.bytes));
    to += run.bytes;
  }
}

void Places::copy(const uint8_t* from, uint8_t* to) const {
  constexpr int64_t kOperations = 4;  // that a byte takes as long as
  int64_t rows = 1;
  for (const std::vector<int64_t>& each : outer_) rows *= static_cast<int64_t>(each.size());
  if (rows == 0 || run_bytes_ == 0) return;
  for_parts(rows, rows * run_bytes_ * kOperations,
            [&](int64_t begin, int64_t end) { copy_part(from, begin, end, to + begin * run_bytes_); });
}

// Rows begin to end of the result: innermost dimensions.
void Places::copy_part(const uint8_t* from, int64_t begin, int64_t end, uint8_t* to) const {
  std::vector<size_t> at(outer_.size(), 0);
  int64_t rest = begin;
  for (size_t d = at.size(); d-- > 0; rest /= static_cast<int64_t>(outer_[d].size())) {
    at[d] = static_cast<size_t>(rest % static_cast<int64_t>(outer_[d].size()));
  }
  for (int64_t row = begin, count = 1; row < end; row += count) {
    int64_t base = 0;
    bool is_filler = false;
    for (size_t d = 0; d < at.size(); ++d) {
      const int64_t place = outer_[d][at[d]];
      is_filler = is_filler || place < 0;
      base += place;
    }
    count = 1;
    if (is_filler) {
      fill(to, run_bytes_);
    } else if (turned_.row_step != 0) {
      count = std::min(end - row, static_cast<int64_t>(outer_.back().size() - at.back()));
      copy_turned(from + base, count, to);
      to += count * run_bytes_;
      at.back() += static_cast<size_t>(count) - 1;
    } else {
      copy_runs(from + base, to);
    }
    size_t d = at.size();
    while (d > 0 && ++at[d - 1] == outer_[d - 1].size()) at[--d] = 0;
  }
}

Kernel make_move(const KernelContext& context, std::vector<std::vector<int64_t>> places, std::vector<uint8_t> filler) {
  const Places moved(std::move(places), tflite::type_size(context.output().type), std::move(filler));
  return make_from_to<uint8_t, uint8_t>(context, [=](const uint8_t* x, uint8_t* y) { moved.copy(x, y); });
}

}  // namespace octet::integer

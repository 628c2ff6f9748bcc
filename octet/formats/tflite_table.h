#pragma once

#include <string>
#include <utility>
#include <vector>

#include "octet/formats/tflite.h"
#include "octet/support/error.h"

namespace octet::tflite {

/// The operators that octet knows, one each, in the order of their codes' table.
const std::vector<OpCode>& op_codes();

/// What a room knows of each operator of `.tflite`: a row for every one of op_codes(), each found at once. A Row has a
/// member `code`. Throws octet::Error, naming the operator, where one has no row or two.
template <typename Row>
class OpTable {
 public:
  OpTable(const std::string& what, std::vector<Row> rows) : rows_(std::move(rows)) {
    for (const Row& row : rows_) {
      const auto place = static_cast<size_t>(row.code);
      if (place >= by_code_.size()) by_code_.resize(place + 1, nullptr);
      if (by_code_[place] != nullptr) throw Error(what, op_name(row.code) + " has two rows");
      by_code_[place] = &row;
    }
    for (const OpCode code : op_codes()) {
      if (find(code) == nullptr) throw Error(what, op_name(code) + " has no row");
    }
  }
  OpTable(const OpTable&) = delete;
  OpTable& operator=(const OpTable&) = delete;

  /// nullptr for a code that octet does not know.
  const Row* find(OpCode code) const {
    const auto place = static_cast<size_t>(code);
    return place < by_code_.size() ? by_code_[place] : nullptr;
  }
  const std::vector<Row>& rows() const { return rows_; }

 private:
  std::vector<Row> rows_;
  std::vector<const Row*> by_code_;
};

}  // namespace octet::tflite

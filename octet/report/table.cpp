#include "octet/report/table.h"

#include <algorithm>
#include <sstream>

namespace octet::report {
namespace {

// Terminal columns of UTF-8 text: continuation bytes take none.
size_t width_of(const std::string& text) {
  return static_cast<size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }));
}

// With a unit or more behind a space, too; not names that begin with one (8a8w).
bool is_number(const std::string& cell) {
  const bool begins =
      !cell.empty() && (std::isdigit(static_cast<unsigned char>(cell[0])) || cell[0] == '-' || cell[0] == '+');
  const size_t end = cell.find_first_not_of("0123456789.,:+-");
  return begins && (end == std::string::npos || cell[end] == ' ' || cell[end] == '%' || cell[end] == 'e');
}

}  // namespace

std::string Table::text() const {
  std::vector<size_t> widths;
  for (const auto& row : rows_) {
    widths.resize(std::max(widths.size(), row.size()), 0);
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], width_of(row[i]));
  }
  std::ostringstream out;
  for (size_t r = 0; r < rows_.size(); ++r) {
    std::string line;
    for (size_t i = 0; i < rows_[r].size(); ++i) {
      const std::string& cell = rows_[r][i];
      const std::string space(widths[i] - width_of(cell), ' ');
      line += (i > 0 ? "  " : "") + (r > 0 && is_number(cell) ? space + cell : cell + space);
    }
    out << line.substr(0, line.find_last_not_of(' ') + 1) << '\n';
    if (r > 0) continue;
    for (size_t i = 0; i < widths.size(); ++i) out << (i > 0 ? "  " : "") << std::string(widths[i], '-');
    out << '\n';
  }
  return out.str();
}

}  // namespace octet::report

#include "octet/report/numbers.h"

#include <cmath>
#include <sstream>

#include "octet/support/error.h"

namespace octet::report {

std::string fixed(double value, int digits) {
  std::ostringstream out;
  out.setf(std::ios::fixed);
  out.precision(digits);
  out << value;
  return out.str();
}

std::string decibel_text(double sqnr, int digits) { return std::isfinite(sqnr) ? fixed(sqnr, digits) : "equal"; }

std::string count_text(int64_t number, const std::string& noun) {
  return octet::str(number, ' ', noun, number == 1 ? "" : "s");
}

std::string share_text(int64_t part, int64_t whole) {
  return whole == 0 ? "-" : fixed(100.0 * static_cast<double>(part) / static_cast<double>(whole), 1) + " %";
}

std::string macs_text(int64_t macs) {
  constexpr int64_t kShort = 100'000;  // 0.10 million
  return macs < kShort ? octet::str(macs, " MACs") : fixed(static_cast<double>(macs) / 1e6, 2) + " M MACs";
}

std::string shape_text(const std::vector<int64_t>& shape) {
  std::string text;
  for (const int64_t size : shape) text += octet::str(text.empty() ? "" : ", ", size);
  return "[" + text + "]";
}

}  // namespace octet::report

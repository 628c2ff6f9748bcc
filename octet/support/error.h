#pragma once

#include <c10/util/StringUtil.h>

#include <stdexcept>
#include <string>

namespace octet {

/// Joins anything streamable: `str("expected ", n, " inputs")`.
template <typename... Parts>
std::string str(const Parts&... parts) {
  return c10::str(parts...);
}

/// Every failure that octet reports. The message is one line that a user can act on:
///
///     [conv2d 'features.0.0'] weight channels: expected 32, got 16; export the model again
///      where                  what             expected  got       way out
///
/// The program prints it on stderr and exits with status 1. Control characters are replaced and the middle of an
/// endless message is left out, since names from files stand in it.
class Error : public std::runtime_error {
 public:
  /// `where` names the file, node or argument ("model.pt2", "conv2d 'features.0.0'"); empty leaves the brackets out.
  Error(const std::string& where, const std::string& message);

  /// The same error with a way out appended.
  Error hint(const std::string& way_out) const;

  const std::string& where() const { return where_; }

 private:
  std::string where_;
};

/// An `Error` of the common form "what: expected ..., got ...".
Error expected(const std::string& where, const std::string& what, const std::string& expected, const std::string& got);

}  // namespace octet

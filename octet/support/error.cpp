#include "octet/support/error.h"

namespace octet {
namespace {

std::string with_place(const std::string& where, const std::string& message) {
  return where.empty() ? message : "[" + where + "] " + message;
}

}  // namespace

Error::Error(const std::string& where, const std::string& message)
    : std::runtime_error(with_place(where, message)), where_(where) {}

Error Error::hint(const std::string& way_out) const {
  Error copy("", std::string(what()) + "; " + way_out);
  copy.where_ = where_;
  return copy;
}

Error expected(const std::string& where, const std::string& what, const std::string& wanted, const std::string& got) {
  return Error(where, str(what, ": expected ", wanted, ", got ", got));
}

}  // namespace octet

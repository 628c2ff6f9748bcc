#include "octet/graph/libtorch_error.h"

#include <c10/util/Exception.h>

namespace octet {

std::string plain_message(const std::exception& error) {
  const auto* of_libtorch = dynamic_cast<const c10::Error*>(&error);
  return of_libtorch != nullptr ? of_libtorch->what_without_backtrace() : error.what();
}

}  // namespace octet

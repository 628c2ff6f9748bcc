#pragma once

#include <string>

namespace octet {

/// Inside a catch block: throws what was caught as an octet::Error of a file, naming it. What is no std::exception goes
/// on as it is.
[[noreturn]] void rethrow_for_file(const std::string& file);

/// Runs a reader of a file so that whatever it throws is an octet::Error naming the file: what libtorch refuses
/// that the reader's checks let through (a number beyond its type is a plain std::runtime_error), and memory that there
/// isn't.
template <typename Read>
auto guard_loading(const std::string& file, const Read& read) {
  try {
    return read();
  } catch (...) {
    rethrow_for_file(file);
  }
}

}  // namespace octet

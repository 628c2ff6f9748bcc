#pragma once

#include <c10/util/Exception.h>

#include <new>
#include <stdexcept>
#include <string>

#include "octet/support/error.h"

namespace octet {

/// Runs a reader of a file so that whatever it throws is an octet::Error naming the file: what libtorch refuses that
/// the reader's checks let through, and memory that there isn't.
template <typename Read>
auto guard_loading(const std::string& file, const Read& read) {
  try {
    return read();
  } catch (const c10::Error& error) {
    throw Error(file, error.what_without_backtrace());
  } catch (const std::bad_alloc&) {
    throw Error(file, "needs more memory than there is");
  } catch (const std::length_error&) {
    throw Error(file, "needs more memory than there can be");
  }
}

}  // namespace octet

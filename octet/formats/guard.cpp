#include "octet/formats/guard.h"

#include <c10/util/Exception.h>

#include <new>
#include <stdexcept>

#include "octet/support/error.h"

namespace octet {

void rethrow_for_file(const std::string& file) {
  try {
    throw;
  } catch (const Error& error) {
    throw error.as(ErrorCategory::kFile);
  } catch (const c10::Error& error) {
    throw Error(file, error.what_without_backtrace(), ErrorCategory::kFile);
  } catch (const std::bad_alloc&) {
    throw Error(file, "needs more memory than there is", ErrorCategory::kFile);
  } catch (const std::length_error&) {
    throw Error(file, "needs more memory than there can be", ErrorCategory::kFile);
  }
}

}  // namespace octet

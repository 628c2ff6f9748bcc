#include "octet/formats/guard.h"

#include <new>
#include <stdexcept>

#include "octet/graph/libtorch_error.h"
#include "octet/support/error.h"

namespace octet {

void rethrow_for_file(const std::string& file) {
  try {
    throw;
  } catch (const Error& error) {
    throw error.as(ErrorCategory::kFile);
  } catch (const std::bad_alloc&) {
    throw Error(file, "needs more memory than there is", ErrorCategory::kFile);
  } catch (const std::length_error&) {
    throw Error(file, "needs more memory than there can be", ErrorCategory::kFile);
  } catch (const std::exception& error) {
    throw Error(file, plain_message(error), ErrorCategory::kFile);
  }
}

}  // namespace octet

#include "octet/formats/container.h"

#include "fuzz/fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  return octet::fuzz::only_errors([&] { octet::load_octet(octet::fuzz::archive_of(octet::fuzz::view(data, size))); });
}

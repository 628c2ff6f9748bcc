#include "octet/formats/npy.h"

#include "fuzz/fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  return octet::fuzz::only_errors([&] { octet::parse_npy(octet::fuzz::view(data, size), "input"); });
}

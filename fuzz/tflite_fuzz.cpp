#include "fuzz/fuzz.h"
#include "fuzz/program.h"

// The file byte by byte; what the reader lets through is run too.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  return octet::fuzz::only_errors([&] {
    const std::string_view bytes = octet::fuzz::view(data, size);
    octet::fuzz::run(octet::tflite::read(octet::fuzz::source(bytes)), bytes);
  });
}

#include "fuzz/fuzz.h"
#include "fuzz/small_memory.h"
#include "octet/formats/onnx.h"

// The reader runs what it reads, once and on zeros: in little memory.
extern "C" int LLVMFuzzerInitialize(int* /*argc*/, char*** /*argv*/) {
  octet::fuzz::SmallMemory::install();
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  return octet::fuzz::only_errors([&] {
    const auto source = octet::fuzz::source(octet::fuzz::view(data, size));
    octet::is_onnx(*source);
    octet::load_onnx(source)->graph().text();
  });
}

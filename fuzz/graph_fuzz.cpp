#include <ATen/core/grad_mode.h>

#include "fuzz/fuzz.h"
#include "fuzz/programs.h"
#include "fuzz/small_memory.h"

// Programs, run on what they declare.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  return octet::fuzz::only_errors([&] {
    const at::NoGradGuard no_grad;
    octet::fuzz::run(*octet::fuzz::program_of(octet::fuzz::view(data, size)));
  });
}

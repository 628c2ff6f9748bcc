#include "octet/formats/pt2.h"

#include "fuzz/fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  return octet::fuzz::only_errors([&] {
    octet::Pt2Options options;
    options.batch = size % 2 == 0 ? 0 : 3;
    const auto module = octet::load_pt2(octet::fuzz::archive_of(octet::fuzz::view(data, size)), options);
    module->graph().text();
  });
}

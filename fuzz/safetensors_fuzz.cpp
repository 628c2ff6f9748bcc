#include "octet/formats/safetensors.h"

#include "fuzz/fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  return octet::fuzz::only_errors([&] {
    std::map<std::string, std::string> metadata;
    octet::read_safetensors(octet::fuzz::source(octet::fuzz::view(data, size)), &metadata);
  });
}

#include "fuzz/fuzz.h"
#include "octet/formats/zip.h"

// The archive byte by byte: directory, headers, compressed members.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using octet::fuzz::only_errors;
  return only_errors([&] {
    const auto budget = std::make_shared<octet::Budget>("input", size, /*free=*/1 << 16);
    const octet::ZipReader zip(octet::fuzz::source(octet::fuzz::view(data, size)), budget);
    for (const octet::ZipEntry& entry : zip.entries()) only_errors([&] { zip.read(entry); });
  });
}

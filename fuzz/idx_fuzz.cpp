#include <sys/mman.h>
#include <unistd.h>

#include "fuzz/fuzz.h"
#include "octet/train/data_readers.h"

// Labels, or images where the header says that there are three dimensions; the reader takes a path.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const int kFile = memfd_create("input", MFD_CLOEXEC);
  static const std::string kPath = "/proc/self/fd/" + std::to_string(kFile);
  if (ftruncate(kFile, 0) != 0 || pwrite(kFile, data, size, 0) != static_cast<ssize_t>(size)) return -1;
  const int rank = size > 3 && data[3] == 3 ? 3 : 1;
  return octet::fuzz::only_errors([&] { octet::readers::read_idx(kPath, rank); });
}

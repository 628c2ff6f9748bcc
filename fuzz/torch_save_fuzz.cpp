#include "octet/formats/torch_save.h"

#include "fuzz/fuzz.h"

// Files of torch.save: the zip from members, or the format before PyTorch 1.6 as it is.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  return octet::fuzz::only_errors([&] {
    const std::string_view input = octet::fuzz::view(data, size);
    const bool is_legacy = input.substr(0, 2) == "\x80\x02";
    octet::load_torch_save(is_legacy ? octet::fuzz::source(input) : octet::fuzz::archive_of(input));
  });
}

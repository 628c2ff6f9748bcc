#include "octet/images/image_file.h"

#include "fuzz/fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  return octet::fuzz::only_errors([&] {
    const std::string_view bytes = octet::fuzz::view(data, size);
    const octet::images::ImageSize sizes = octet::images::image_size(bytes, "input");
    // The decoders' own time grows with the size that a file declares.
    if (sizes.height * sizes.width <= (1 << 20)) octet::images::decode_image(bytes, "input");
  });
}

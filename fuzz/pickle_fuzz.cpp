#include "octet/formats/pickle.h"

#include "fuzz/fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using octet::fuzz::only_errors;
  return only_errors([&] {
    const octet::Pickle pickle = octet::read_pickle(octet::fuzz::view(data, size), "input");
    const octet::Pickle::Ref root = pickle.root();
    only_errors([&] { pickle.to_int(root, "value"); });
    only_errors([&] { pickle.to_bool(root, "value"); });
    only_errors([&] { pickle.to_string(root, "value"); });
    only_errors([&] { pickle.to_ints(root, "value"); });
  });
}

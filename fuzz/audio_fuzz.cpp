#include "fuzz/fuzz.h"
#include "octet/audio/sound_file.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  return octet::fuzz::only_errors([&] {
    octet::audio::SoundFile sound(octet::fuzz::source(octet::fuzz::view(data, size)));
    sound.read(-3, 100);
    sound.read(0, sound.size());
  });
}

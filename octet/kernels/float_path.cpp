#include "octet/kernels/float_path.h"

#include <cstring>

namespace octet {
namespace portable_path {
namespace {

#define OCTET_PATH_NAME "portable"
#define OCTET_LANES 4
#define OCTET_ROWS 6
#define OCTET_TARGET
#include "octet/kernels/float_tiles.inc"
#undef OCTET_PATH_NAME
#undef OCTET_LANES
#undef OCTET_ROWS
#undef OCTET_TARGET

}  // namespace
}  // namespace portable_path

const FloatPath* portable_float_path() { return &portable_path::kPath; }

const FloatPath& float_path() {
  static const FloatPath* const best = [] {
    if (const FloatPath* path = avx512_float_path()) return path;
    if (const FloatPath* path = avx2_float_path()) return path;
    return portable_float_path();
  }();
  return *best;
}

}  // namespace octet

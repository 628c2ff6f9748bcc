#include "octet/kernels/float_path.h"

#include <cstring>

#if defined(__x86_64__) && defined(__GNUC__)

namespace octet {
namespace avx2_path {
namespace {

#define OCTET_PATH_NAME "avx2"
#define OCTET_LANES 8
#define OCTET_ROWS 6
#define OCTET_TARGET __attribute__((target("avx2,fma")))
#include "octet/kernels/float_tiles.inc"
#undef OCTET_PATH_NAME
#undef OCTET_LANES
#undef OCTET_ROWS
#undef OCTET_TARGET

}  // namespace
}  // namespace avx2_path

const FloatPath* avx2_float_path() {
  static const bool has = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  return has ? &avx2_path::kPath : nullptr;
}

}  // namespace octet

#else

namespace octet {
const FloatPath* avx2_float_path() { return nullptr; }
}  // namespace octet

#endif

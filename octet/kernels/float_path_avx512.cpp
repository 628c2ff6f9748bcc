#include "octet/kernels/float_path.h"

#include <cstring>

#if defined(__x86_64__) && defined(__GNUC__)

namespace octet {
namespace avx512_path {
namespace {

#define OCTET_PATH_NAME "avx512"
#define OCTET_LANES 16
#define OCTET_ROWS 8
#define OCTET_TARGET __attribute__((target("avx512f")))
#include "octet/kernels/float_tiles.inc"
#undef OCTET_PATH_NAME
#undef OCTET_LANES
#undef OCTET_ROWS
#undef OCTET_TARGET

}  // namespace
}  // namespace avx512_path

const FloatPath* avx512_float_path() {
  static const bool has = __builtin_cpu_supports("avx512f");
  return has ? &avx512_path::kPath : nullptr;
}

}  // namespace octet

#else

namespace octet {
const FloatPath* avx512_float_path() { return nullptr; }
}  // namespace octet

#endif

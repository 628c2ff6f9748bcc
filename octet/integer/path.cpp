#include "octet/integer/path.h"

#include "octet/kernels/reference_path.h"

#if defined(__x86_64__) && defined(__GNUC__)
#include <cpuid.h>
#if defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif
#endif

namespace octet::integer {

#if defined(__x86_64__) && defined(__GNUC__)
namespace {

// The system must be asked for the tiles' registers, once a process.
bool has_amx() {
#if defined(__linux__)
  unsigned a = 0, b = 0, c = 0, d = 0;
  if (__get_cpuid_count(7, 0, &a, &b, &c, &d) == 0) return false;
  const bool has_tiles = (d >> 24 & 1) != 0, has_products_of_bytes = (d >> 25 & 1) != 0;
  constexpr long kRequestPermission = 0x1023, kTileData = 18;  // ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA
  return has_tiles && has_products_of_bytes && syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
#else
  return false;
#endif
}

// Not every compiler has a name for it. The system keeps these registers where AVX2 may be used.
bool has_avx_vnni() {
  unsigned a = 0, b = 0, c = 0, d = 0;
  return __get_cpuid_count(7, 1, &a, &b, &c, &d) != 0 && (a >> 4 & 1) != 0;
}

}  // namespace
#endif

std::vector<Path> available_paths() {
  std::vector<Path> paths = {Path::kPortable};
#if defined(__x86_64__) && defined(__GNUC__)
  if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma")) return paths;
  paths.push_back(Path::kAvx2);
  if (has_avx_vnni()) paths.push_back(Path::kAvxVnni);
  if (__builtin_cpu_supports("avx512vnni") && __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl")) {
    paths.push_back(Path::kVnni);
    static const bool amx = has_amx();
    if (amx) paths.push_back(Path::kAmx);
  }
#endif
  return paths;
}

Path best_path() {
  static const Path fastest = available_paths().back();
  return reference_path() ? Path::kPortable : fastest;
}

const char* path_name(Path path) {
  switch (path) {
    case Path::kPortable:
      return "portable";
    case Path::kAvx2:
      return "avx2";
    case Path::kAvxVnni:
      return "avxvnni";
    case Path::kVnni:
      return "vnni";
    case Path::kAmx:
      return "amx";
  }
  return "unknown";
}

const PathOps& path_ops(Path path) {
#if defined(__x86_64__) && defined(__GNUC__)
  if (path == Path::kAvx2) return avx2_ops();
  if (path == Path::kAvxVnni) return avx_vnni_ops();
  if (path == Path::kVnni) return vnni_ops();
  if (path == Path::kAmx) return amx_ops();
#endif
  return portable_ops();
}

}  // namespace octet::integer

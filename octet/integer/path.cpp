#include "octet/integer/path.h"

#include "octet/kernels/reference_path.h"

namespace octet::integer {

std::vector<Path> available_paths() {
  std::vector<Path> paths = {Path::kPortable};
#if defined(__x86_64__) && defined(__GNUC__)
  if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma")) return paths;
  paths.push_back(Path::kAvx2);
  if (__builtin_cpu_supports("avx512vnni") && __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl")) {
    paths.push_back(Path::kVnni);
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
    case Path::kVnni:
      return "vnni";
  }
  return "unknown";
}

const PathOps& path_ops(Path path) {
#if defined(__x86_64__) && defined(__GNUC__)
  if (path == Path::kAvx2) return avx2_ops();
  if (path == Path::kVnni) return vnni_ops();
#endif
  return portable_ops();
}

}  // namespace octet::integer

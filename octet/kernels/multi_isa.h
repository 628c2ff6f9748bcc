#pragma once

// One loop body, compiled for the instruction sets that matter and picked at run time:
//
//     OCTET_MULTI_ISA(scale_row, (const float* x, float* y, int64_t n), (x, y, n), {
//       for (int64_t i = 0; i < n; ++i) y[i] = x[i] * 2;
//     })
//
// defines `void scale_row(const float*, float*, int64_t)`. Results do not differ between sets as long as the file is
// built with -ffp-contract=off.
#if defined(__x86_64__) && defined(__GNUC__)
namespace octet::detail {
/// 2: AVX-512 as servers have it, 1: AVX2, 0: neither.
inline int widest_instructions() {
  const bool avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
  return avx512 ? 2 : __builtin_cpu_supports("avx2") ? 1 : 0;
}
}  // namespace octet::detail

#define OCTET_MULTI_ISA(name, parameters, arguments, ...)                                           \
  [[gnu::always_inline]] inline void name##_body parameters __VA_ARGS__                             \
      __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl"))) void name##_avx512 parameters { \
    name##_body arguments;                                                                          \
  }                                                                                                 \
  __attribute__((target("avx2"))) void name##_avx2 parameters { name##_body arguments; }            \
  void name##_base parameters { name##_body arguments; }                                            \
  void name parameters {                                                                            \
    static const int set = ::octet::detail::widest_instructions();                                  \
    if (set == 2) {                                                                                 \
      name##_avx512 arguments;                                                                      \
    } else if (set == 1) {                                                                          \
      name##_avx2 arguments;                                                                        \
    } else {                                                                                        \
      name##_base arguments;                                                                        \
    }                                                                                               \
  }
#else
#define OCTET_MULTI_ISA(name, parameters, arguments, ...) void name parameters __VA_ARGS__
#endif

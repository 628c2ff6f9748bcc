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
#define OCTET_MULTI_ISA(name, parameters, arguments, ...)               \
  [[gnu::always_inline]] inline void name##_body parameters __VA_ARGS__ \
      __attribute__((target("avx2"))) void name##_avx2 parameters {     \
    name##_body arguments;                                              \
  }                                                                     \
  void name##_base parameters { name##_body arguments; }                \
  void name parameters {                                                \
    static const bool has_avx2 = __builtin_cpu_supports("avx2");        \
    has_avx2 ? name##_avx2 arguments : name##_base arguments;           \
  }
#else
#define OCTET_MULTI_ISA(name, parameters, arguments, ...) void name parameters __VA_ARGS__
#endif

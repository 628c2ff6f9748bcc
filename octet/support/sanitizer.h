#pragma once

namespace octet {

/// True under the address sanitizer: its shadow counts as memory, and what was freed is kept for a while, so that
/// memory can be neither limited nor measured. GCC defines a macro, clang answers a question.
#if defined(__SANITIZE_ADDRESS__)
inline constexpr bool kAddressSanitizer = true;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
inline constexpr bool kAddressSanitizer = true;
#else
inline constexpr bool kAddressSanitizer = false;
#endif
#else
inline constexpr bool kAddressSanitizer = false;
#endif

}  // namespace octet

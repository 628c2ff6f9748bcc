#pragma once

#include "octet/support/api.h"

namespace octet {

/// Operators of a namespace that others may bring too, `quantized_decomposed`: Python's torch defines them when its
/// module is imported, and refuses to where they are there. So they are defined when the first of them is asked for,
/// not when octet is loaded, and only those that nobody has defined by then.
///
/// A static object of the file that holds them: `const LateOperators late("quantized_decomposed", define_missing);`
struct OCTET_API LateOperators {
  LateOperators(const char* name_space, void (*define)());
};

/// Defines those of the namespace that are still missing; true where this call did so.
OCTET_API bool define_late_operators(const char* name_space);
/// Those of every namespace: before something looks operators up without Op::find().
OCTET_API void define_all_late_operators();

}  // namespace octet

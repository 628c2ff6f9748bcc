#pragma once

#include <ATen/core/ivalue.h>

#include <string>
#include <vector>

#include "octet/graph/op.h"

namespace octet {

/// Looks at the arguments of one call before it runs; throws octet::Error for those that the kernel would take at their
/// word, and reach past its tensors with.
using CallCheck = void (*)(const Op& op, c10::ArrayRef<c10::IValue> values);

/// The check of an operator whose kernel in libtorch lacks one; nullptr for all others. Each was seen to crash.
CallCheck call_check(const Op& op);

/// What is wrong with a code (of a type of elements, a layout, a memory format) or a device that an operator is given;
/// empty where it is well, or where the argument is none of these. ATen indexes tables with such codes, and a tensor on
/// a device other than the CPU has no memory here.
std::string wrong_code(const c10::Argument& argument, const c10::IValue& value);
/// True for an argument that `wrong_code` looks at.
bool is_code(const c10::Argument& argument);

/// What is wrong with the whole numbers of a list; empty where all are well, or where the value is no such list. ATen
/// keeps symbols in the numbers near the smallest one, and takes none of these for a size, a stride or a shift.
std::string wrong_integers(const c10::IValue& value);

/// All of it for values about to be given to `op`: throws octet::Error naming `where`.
void check_call(const Op& op, c10::ArrayRef<c10::IValue> values, const std::string& where);

}  // namespace octet

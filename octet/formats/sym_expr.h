#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <variant>

namespace octet {

/// The value of a symbolic size or condition.
using SymNumber = std::variant<int64_t, double>;

/// Evaluates the text that torch.export writes for a symbolic size, sympy's representation or plain infix:
/// `Mul(Integer(2), Symbol('s77', positive=True, integer=True))`, `2*s77`, `FloorDiv(s0, 4) + 1`. Relations give 1 or
/// 0. Throws octet::Error naming `where` for a symbol without a value, an unknown function, division by zero or
/// overflow.
SymNumber evaluate_symbolic(std::string_view text, const std::map<std::string, int64_t>& symbols,
                            const std::string& where);

/// The same for a size: the value must be an integer.
int64_t evaluate_symbolic_int(std::string_view text, const std::map<std::string, int64_t>& symbols,
                              const std::string& where);

/// The symbol's name where the text is one symbol and nothing else, or empty.
std::string single_symbol(std::string_view text);

}  // namespace octet

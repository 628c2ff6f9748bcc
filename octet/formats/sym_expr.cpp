#include "octet/formats/sym_expr.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <unordered_map>
#include <vector>

#include "octet/support/budget.h"
#include "octet/support/error.h"

namespace octet {
namespace {

double to_double(const SymNumber& value) {
  return std::holds_alternative<int64_t>(value) ? static_cast<double>(std::get<int64_t>(value))
                                                : std::get<double>(value);
}
bool both_ints(const SymNumber& a, const SymNumber& b) {
  return std::holds_alternative<int64_t>(a) && std::holds_alternative<int64_t>(b);
}

class Evaluator {
 public:
  Evaluator(std::string_view text, const std::map<std::string, int64_t>& symbols, const std::string& where)
      : text_(text), symbols_(symbols), where_(where) {}

  SymNumber run() {
    if (text_.size() > limits::kExpression) fail(str("is ", text_.size(), " characters long"));
    const SymNumber value = comparison();
    skip_space();
    if (at_ != text_.size()) fail(str("cannot be read from position ", at_));
    return value;
  }

 private:
  [[noreturn]] void fail(const std::string& what) const {
    const std::string shown(text_.substr(0, 80));
    throw Error(where_, "the symbolic expression \"" + shown + "\" " + what);
  }
  void skip_space() {
    while (at_ < text_.size() && text_[at_] == ' ') ++at_;
  }
  bool take(std::string_view token) {
    skip_space();
    if (text_.substr(at_, token.size()) != token) return false;
    at_ += token.size();
    return true;
  }

  SymNumber comparison() {
    if (++depth_ > limits::kDepth) fail("is nested too deeply");
    SymNumber left = sum();
    for (const char* relation : {"<=", ">=", "==", "!=", "<", ">"}) {
      if (!take(relation)) continue;
      const SymNumber right = sum();
      left = compare(relation, left, right);
      break;
    }
    --depth_;
    return left;
  }

  SymNumber sum() {
    SymNumber left = product();
    while (true) {
      if (take("+")) {
        left = add(left, product());
      } else if (take("-")) {
        left = add(left, multiply(int64_t{-1}, product()));
      } else {
        return left;
      }
    }
  }

  SymNumber product() {
    SymNumber left = unary();
    while (true) {
      if (take("//")) {
        left = floor_divide(left, unary());
      } else if (take("/")) {
        left = divide(left, unary());
      } else if (take("%")) {
        left = modulo(left, unary());
      } else if (text_.substr(at_, 2) != "**" && take("*")) {
        left = multiply(left, unary());
      } else {
        return left;
      }
    }
  }

  SymNumber unary() {
    if (++depth_ > limits::kDepth) fail("is nested too deeply");
    SymNumber value = take("-") ? multiply(int64_t{-1}, unary()) : power();
    --depth_;
    return value;
  }

  SymNumber power() {
    const SymNumber base = primary();
    return take("**") ? raise(base, unary()) : base;
  }

  SymNumber primary() {
    skip_space();
    if (take("(")) {
      const SymNumber value = comparison();
      if (!take(")")) fail("lacks a ')'");
      return value;
    }
    if (at_ < text_.size() && (std::isdigit(static_cast<unsigned char>(text_[at_])) || text_[at_] == '.'))
      return number();
    const std::string name = identifier();
    if (name == "true" || name == "True") return int64_t{1};
    if (name == "false" || name == "False") return int64_t{0};
    if (!take("(")) return symbol(name);
    if (name == "Symbol") return named_symbol();
    if (name == "Integer" || name == "Float") return literal();
    std::vector<SymNumber> args;
    while (!take(")")) {
      if (!args.empty() && !take(",")) fail("lacks a ','");
      args.push_back(comparison());
    }
    return call(name, args);
  }

  SymNumber number() {
    const size_t begin = at_;
    bool whole = true;
    while (at_ < text_.size() && (std::isalnum(static_cast<unsigned char>(text_[at_])) || text_[at_] == '.')) {
      whole = whole && std::isdigit(static_cast<unsigned char>(text_[at_]));
      ++at_;
    }
    return parse(std::string(text_.substr(begin, at_ - begin)), whole);
  }

  SymNumber parse(const std::string& digits, bool whole) const {
    char* end = nullptr;
    errno = 0;
    const SymNumber value = whole ? SymNumber{int64_t{std::strtoll(digits.c_str(), &end, 10)}}
                                  : SymNumber{std::strtod(digits.c_str(), &end)};
    if (digits.empty() || *end != '\0' || errno == ERANGE)
      fail("holds the number '" + digits + "', which cannot be read");
    return value;
  }

  std::string identifier() {
    const size_t begin = at_;
    while (at_ < text_.size() &&
           (std::isalnum(static_cast<unsigned char>(text_[at_])) || text_[at_] == '_' || text_[at_] == '.'))
      ++at_;
    if (at_ == begin) fail(str("cannot be read from position ", at_));
    std::string name(text_.substr(begin, at_ - begin));
    return name.substr(name.rfind('.') + 1);  // "torch.utils._sympy.functions.FloorDiv"
  }

  // Up to the ')' that closes a call without nested calls.
  std::string rest_of_call() {
    const size_t end = text_.find(')', at_);
    if (end == std::string_view::npos) fail("lacks a ')'");
    std::string inside(text_.substr(at_, end - at_));
    at_ = end + 1;
    return inside;
  }
  static std::string unquoted(std::string text) {
    text = text.substr(0, text.find(','));
    std::erase_if(text, [](char c) { return c == '\'' || c == '"' || c == ' '; });
    return text;
  }
  SymNumber named_symbol() { return symbol(unquoted(rest_of_call())); }
  SymNumber literal() {
    std::string digits = unquoted(rest_of_call());
    const bool whole = digits.find_first_not_of("-0123456789") == std::string::npos;
    return parse(digits, whole);
  }
  SymNumber symbol(const std::string& name) const {
    const auto found = symbols_.find(name);
    if (found == symbols_.end()) fail("needs the size '" + name + "', which has no value here (it may depend on data)");
    return found->second;
  }

  SymNumber add(const SymNumber& a, const SymNumber& b) const {
    if (!both_ints(a, b)) return to_double(a) + to_double(b);
    int64_t result = 0;
    if (__builtin_add_overflow(std::get<int64_t>(a), std::get<int64_t>(b), &result)) fail("overflows");
    return result;
  }
  SymNumber multiply(const SymNumber& a, const SymNumber& b) const {
    if (!both_ints(a, b)) return to_double(a) * to_double(b);
    int64_t result = 0;
    if (__builtin_mul_overflow(std::get<int64_t>(a), std::get<int64_t>(b), &result)) fail("overflows");
    return result;
  }
  SymNumber divide(const SymNumber& a, const SymNumber& b) const {
    if (to_double(b) == 0) fail("divides by zero");
    if (both_ints(a, b) && modulo(a, b) == SymNumber{int64_t{0}}) return floor_divide(a, b);
    return to_double(a) / to_double(b);
  }
  SymNumber floor_divide(const SymNumber& a, const SymNumber& b) const {
    if (to_double(b) == 0) fail("divides by zero");
    if (!both_ints(a, b)) return whole(std::floor(to_double(a) / to_double(b)));
    const int64_t x = std::get<int64_t>(a);
    const int64_t y = std::get<int64_t>(b);
    if (y == -1) return multiply(a, int64_t{-1});
    return x / y - (x % y != 0 && (x < 0) != (y < 0) ? 1 : 0);
  }
  SymNumber modulo(const SymNumber& a, const SymNumber& b) const {
    if (to_double(b) == 0) fail("divides by zero");
    return add(a, multiply(int64_t{-1}, multiply(floor_divide(a, b), b)));
  }
  SymNumber raise(const SymNumber& base, const SymNumber& exponent) const {
    if (!both_ints(base, exponent) || std::get<int64_t>(exponent) < 0)
      return std::pow(to_double(base), to_double(exponent));
    if (std::get<int64_t>(exponent) > 64) fail("has an absurd power");
    SymNumber result = int64_t{1};
    for (int64_t i = 0; i < std::get<int64_t>(exponent); ++i) result = multiply(result, base);
    return result;
  }
  SymNumber whole(double value) const {
    if (!(std::abs(value) < 9.0e18)) fail("overflows");
    return static_cast<int64_t>(value);
  }
  SymNumber compare(std::string_view relation, const SymNumber& a, const SymNumber& b) const {
    const double x = to_double(a);
    const double y = to_double(b);
    const bool holds = relation == "<="   ? x <= y
                       : relation == ">=" ? x >= y
                       : relation == "==" ? x == y
                       : relation == "!=" ? x != y
                       : relation == "<"  ? x < y
                                          : x > y;
    return int64_t{holds};
  }

  SymNumber call(const std::string& name, const std::vector<SymNumber>& args) const {
    using Two = SymNumber (*)(const Evaluator&, const SymNumber&, const SymNumber&);
    using One = SymNumber (*)(const Evaluator&, double);
    using E = const Evaluator&;
    using N = const SymNumber&;
    constexpr Two kDivides = [](E e, N a, N b) { return e.divide(a, b); };
    constexpr Two kFloors = [](E e, N a, N b) { return e.floor_divide(a, b); };
    constexpr Two kRests = [](E e, N a, N b) { return e.modulo(a, b); };
    constexpr Two kPowers = [](E e, N a, N b) { return e.raise(a, b); };
    constexpr Two kEqual = [](E e, N a, N b) { return e.compare("==", a, b); };
    constexpr Two kUnequal = [](E e, N a, N b) { return e.compare("!=", a, b); };
    constexpr Two kAtLeast = [](E e, N a, N b) { return e.compare(">=", a, b); };
    constexpr Two kAtMost = [](E e, N a, N b) { return e.compare("<=", a, b); };
    constexpr Two kMore = [](E e, N a, N b) { return e.compare(">", a, b); };
    constexpr Two kLess = [](E e, N a, N b) { return e.compare("<", a, b); };
    constexpr One kFloor = [](E e, double x) { return e.whole(std::floor(x)); };
    constexpr One kCeil = [](E e, double x) { return e.whole(std::ceil(x)); };
    static const std::unordered_map<std::string_view, Two> pairs = {
        {"FloorDiv", kFloors},
        {"CleanDiv", kFloors},
        {"Mod", kRests},
        {"PythonMod", kRests},
        {"Pow", kPowers},
        {"PowByNatural", kPowers},
        {"Rational", kDivides},
        {"IntTrueDiv", kDivides},
        {"FloatTrueDiv", kDivides},
        {"CeilDiv",
         [](E e, N a, N b) { return e.multiply(int64_t{-1}, e.floor_divide(e.multiply(int64_t{-1}, a), b)); }},
        {"Equality", kEqual},
        {"Eq", kEqual},
        {"Unequality", kUnequal},
        {"Ne", kUnequal},
        {"GreaterThan", kAtLeast},
        {"Ge", kAtLeast},
        {"LessThan", kAtMost},
        {"Le", kAtMost},
        {"StrictGreaterThan", kMore},
        {"Gt", kMore},
        {"StrictLessThan", kLess},
        {"Lt", kLess},
    };
    static const std::unordered_map<std::string_view, One> singles = {
        {"floor", kFloor},
        {"FloorToInt", kFloor},
        {"ceiling", kCeil},
        {"CeilToInt", kCeil},
        {"TruncToInt", [](E e, double x) { return e.whole(std::trunc(x)); }},
        {"RoundToInt", [](E e, double x) { return e.whole(std::nearbyint(x)); }},
        {"TruncToFloat", [](E, double x) { return SymNumber{std::trunc(x)}; }},
        {"ToFloat", [](E, double x) { return SymNumber{x}; }},
        {"Not", [](E, double x) { return SymNumber{int64_t{x == 0}}; }},
    };
    static const std::unordered_map<std::string_view, Two> folds = {
        {"Add", [](E e, N a, N b) { return e.add(a, b); }},
        {"Mul", [](E e, N a, N b) { return e.multiply(a, b); }},
        {"Max", [](E, N a, N b) { return to_double(a) < to_double(b) ? b : a; }},
        {"Min", [](E, N a, N b) { return to_double(b) < to_double(a) ? b : a; }},
        {"And", [](E, N a, N b) { return SymNumber{int64_t{to_double(a) != 0 && to_double(b) != 0}}; }},
        {"Or", [](E, N a, N b) { return SymNumber{int64_t{to_double(a) != 0 || to_double(b) != 0}}; }},
    };
    if (const auto found = pairs.find(name); found != pairs.end() && args.size() == 2)
      return found->second(*this, args[0], args[1]);
    if (args.size() == 1) {
      if (name == "Abs") return to_double(args[0]) < 0 ? multiply(int64_t{-1}, args[0]) : args[0];
      if (name == "Identity") return args[0];
      if (const auto found = singles.find(name); found != singles.end()) {
        const bool stays = std::holds_alternative<int64_t>(args[0]) && name != "ToFloat" && name != "Not";
        return stays ? args[0] : found->second(*this, to_double(args[0]));
      }
    }
    if (const auto found = folds.find(name); found != folds.end() && !args.empty()) {
      SymNumber value = args[0];
      for (size_t i = 1; i < args.size(); ++i) value = found->second(*this, value, args[i]);
      return value;
    }
    fail(str("uses '", name, "' of ", args.size(), " arguments, which octet cannot evaluate"));
  }

  std::string_view text_;
  const std::map<std::string, int64_t>& symbols_;
  const std::string& where_;
  size_t at_ = 0;
  size_t depth_ = 0;
};

}  // namespace

SymNumber evaluate_symbolic(std::string_view text, const std::map<std::string, int64_t>& symbols,
                            const std::string& where) {
  return Evaluator(text, symbols, where).run();
}

int64_t evaluate_symbolic_int(std::string_view text, const std::map<std::string, int64_t>& symbols,
                              const std::string& where) {
  const SymNumber value = evaluate_symbolic(text, symbols, where);
  if (std::holds_alternative<int64_t>(value)) return std::get<int64_t>(value);
  const double real = std::get<double>(value);
  if (real != std::floor(real) || !(std::abs(real) < 9.0e18)) {
    throw Error(where, str("the symbolic expression \"", std::string(text.substr(0, 80)), "\" gives ", real,
                           ", not an integer"));
  }
  return static_cast<int64_t>(real);
}

std::string single_symbol(std::string_view text) {
  const auto is_name = [](std::string_view name) {
    return !name.empty() && !std::isdigit(static_cast<unsigned char>(name[0])) &&
           std::all_of(name.begin(), name.end(), [](unsigned char c) { return std::isalnum(c) || c == '_'; });
  };
  if (is_name(text)) return std::string(text);
  constexpr std::string_view kFront = "Symbol('";
  if (text.substr(0, kFront.size()) != kFront || text.find(')') != text.size() - 1) return "";
  text.remove_prefix(kFront.size());
  const std::string_view name = text.substr(0, text.find('\''));
  return is_name(name) ? std::string(name) : "";
}

}  // namespace octet

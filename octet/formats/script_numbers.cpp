#include "octet/formats/script_numbers.h"

#include <ATen/core/symbol.h>
#include <torch/csrc/jit/runtime/operator.h>

#include <algorithm>
#include <limits>
#include <memory>
#include <mutex>
#include <vector>

#include "octet/support/error.h"

namespace octet {
namespace {

namespace jit = torch::jit;

void check_quotient_of(const jit::Stack& stack) {
  const c10::IValue& number = stack.at(stack.size() - 2);
  const c10::IValue& by = stack.back();
  if (!number.isInt() || !by.isInt() || by.toInt() != -1) return;
  if (number.toInt() == std::numeric_limits<int64_t>::min())
    throw Error("", str("divides ", number.toInt(), " by -1, which has no quotient among whole numbers"));
}

void check_factorial_of(const jit::Stack& stack) {
  constexpr int64_t kMost = 20;  // what an int64 holds
  const c10::IValue& number = stack.back();
  if (number.isInt() && number.toInt() > kMost)
    throw Error("", str("asks for the factorial of ", number.toInt(), ", which is beyond whole numbers"));
}

struct NumberRow {
  const char* name;
  size_t arguments;
  void (*check)(const jit::Stack& stack);
};

constexpr NumberRow kNumberRows[] = {
    {"aten::floordiv", 2, check_quotient_of},   {"aten::remainder", 2, check_quotient_of},
    {"aten::divmod", 2, check_quotient_of},     {"aten::gcd", 2, check_quotient_of},
    {"aten::factorial", 1, check_factorial_of},
};

bool may_be_whole(const c10::Argument& argument) {
  const c10::TypeKind kind = argument.type()->kind();
  return kind == c10::TypeKind::IntType || kind == c10::TypeKind::NumberType;
}

bool is_of_whole_numbers(const jit::Operator& op, size_t count) {
  const std::vector<c10::Argument>& arguments = op.schema().arguments();
  return !op.isC10Op() && op.hasOperation() && arguments.size() == count &&
         std::all_of(arguments.begin(), arguments.end(), may_be_whole);
}

// What was compiled before holds the operator that it found by its address: the new one keeps it.
void replace_operator(const std::shared_ptr<jit::Operator>& known, void (*check)(const jit::Stack& stack)) {
  const c10::FunctionSchema& schema = known->schema();
  jit::Operator checked(
      schema.name(), schema.overload_name(), schema.arguments(), schema.returns(),
      [known, check](jit::Stack& stack) {
        check(stack);
        known->getOperation()(stack);
      },
      known->aliasAnalysisKind());
  jit::deregisterOperator(schema);
  jit::registerOperator(std::move(checked));
}

}  // namespace

void check_script_numbers() {
  static std::once_flag once;
  std::call_once(once, [] {
    for (const NumberRow& row : kNumberRows) {
      const std::vector<std::shared_ptr<jit::Operator>> all =
          jit::getAllOperatorsFor(c10::Symbol::fromQualString(row.name));
      for (const std::shared_ptr<jit::Operator>& known : all) {
        if (is_of_whole_numbers(*known, row.arguments)) replace_operator(known, row.check);
      }
    }
  });
}

}  // namespace octet

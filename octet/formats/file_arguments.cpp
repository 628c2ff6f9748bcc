// What a file gives to operators besides tensors.
#include "octet/formats/allowed_operators.h"
#include "octet/formats/dtype.h"
#include "octet/graph/call_check.h"
#include "octet/support/error.h"

namespace octet {
namespace {

constexpr uint64_t kMaxInputBytes = uint64_t{16} << 30;

}  // namespace

void check_file_arguments(const Node& call, const std::string& where) {
  const auto& arguments = call.op().schema().arguments();
  for (size_t i = 0; i < arguments.size(); ++i) {
    const Arg& arg = call.arg(i);
    std::string wrong;
    if (arg.is_constant()) {
      wrong = is_code(arguments[i]) ? wrong_code(arguments[i], arg.constant()) : wrong_integers(arg.constant());
    } else if (is_code(arguments[i])) {
      wrong = "computed by the program, where only a constant can stand";
    }
    if (!wrong.empty()) {
      throw Error(where, str("argument '", arguments[i].name(), "' of ", call.op().text(), " is ", wrong));
    }
  }
}

void check_input_size(const Node& input, const std::string& where) {
  if (!input.meta()) return;
  const uint64_t bytes = checked_bytes(input.meta()->sizes, input.meta()->dtype, where);
  if (bytes > kMaxInputBytes) throw Error(where, "the input has absurd sizes: " + input.meta()->text());
}

}  // namespace octet

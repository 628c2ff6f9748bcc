#include "octet/graph/op.h"

#include "octet/support/error.h"

namespace octet {
namespace {

// "aten.conv2d.default" -> {"aten::conv2d", ""}; the default overload has an empty name in the dispatcher.
std::optional<c10::OperatorName> split_text(std::string_view text) {
  const size_t first = text.find('.');
  if (first == std::string_view::npos || first == 0) return std::nullopt;
  const size_t second = text.find('.', first + 1);
  std::string overload;
  std::string_view name = text.substr(first + 1);
  if (second != std::string_view::npos) {
    name = text.substr(first + 1, second - first - 1);
    overload = std::string(text.substr(second + 1));
    if (overload == "default") overload.clear();
  }
  if (name.empty()) return std::nullopt;
  return c10::OperatorName(std::string(text.substr(0, first)) + "::" + std::string(name), overload);
}

std::string join_text(const c10::OperatorName& name) {
  std::string text = name.name;
  const size_t colons = text.find("::");
  if (colons != std::string::npos) text.replace(colons, 2, ".");
  return text + "." + (name.overload_name.empty() ? "default" : name.overload_name);
}

}  // namespace

Op::Op(c10::OperatorHandle handle) : handle_(std::move(handle)), text_(join_text(handle_.operator_name())) {}

std::optional<Op> Op::try_find(std::string_view text) {
  const auto name = split_text(text);
  if (!name) return std::nullopt;
  auto handle = c10::Dispatcher::singleton().findSchema(*name);
  if (!handle) return std::nullopt;
  return Op(*handle);
}

Op Op::find(std::string_view text) {
  auto op = try_find(text);
  if (!op) {
    throw Error(std::string(text), "no such operator in this libtorch")
        .hint("operators are written namespace.name.overload, as in aten.conv2d.default");
  }
  return *op;
}

std::string_view Op::packet() const { return std::string_view(text_).substr(0, text_.rfind('.')); }

std::string_view Op::short_name() const {
  const std::string_view whole = packet();
  return whole.substr(whole.find('.') + 1);
}

int Op::argument_index(std::string_view name) const {
  const auto& arguments = schema().arguments();
  for (size_t i = 0; i < arguments.size(); ++i) {
    if (arguments[i].name() == name) return static_cast<int>(i);
  }
  return -1;
}

bool Op::writes_argument(size_t i) const {
  const auto& arguments = schema().arguments();
  return i < arguments.size() && arguments[i].alias_info() != nullptr && arguments[i].alias_info()->isWrite();
}

bool Op::mutates() const {
  for (size_t i = 0; i < schema().arguments().size(); ++i) {
    if (writes_argument(i)) return true;
  }
  return false;
}

}  // namespace octet

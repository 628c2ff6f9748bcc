#pragma once

#include <ATen/core/dispatch/Dispatcher.h>

#include <optional>
#include <string>
#include <string_view>

namespace octet {

/// A dispatcher operator, known by the text torch.export uses without its "torch.ops." : "aten.conv2d.default".
class Op {
 public:
  /// Finds "ns.name.overload"; "ns.name" means the default overload. Throws octet::Error where there is none.
  static Op find(std::string_view text);
  /// The same, without an error.
  static std::optional<Op> try_find(std::string_view text);
  explicit Op(c10::OperatorHandle handle);

  /// "aten.conv2d.default"
  const std::string& text() const { return text_; }
  /// "aten.conv2d": without the overload.
  std::string_view packet() const;
  /// "conv2d": without namespace and overload, for messages and names.
  std::string_view short_name() const;

  const c10::FunctionSchema& schema() const { return handle_.schema(); }
  const c10::OperatorHandle& handle() const { return handle_; }
  /// Position of the named argument in the schema, or -1.
  int argument_index(std::string_view name) const;
  /// True when the schema says that argument `i` is written in place.
  bool writes_argument(size_t i) const;
  /// True when it writes any argument: such a node is never dead.
  bool mutates() const;

  bool operator==(const Op& other) const { return text_ == other.text_; }

 private:
  c10::OperatorHandle handle_;
  std::string text_;
};

}  // namespace octet

#pragma once

#include <ATen/core/dispatch/Dispatcher.h>

#include <concepts>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>

#include "octet/graph/trait.h"
#include "octet/support/api.h"

namespace octet {

/// The name of an operator, "aten.relu.default", or of a packet, "aten.relu", as a number: what code compares in place
/// of strings. A literal becomes it when octet is compiled: `node.is_call("aten.relu.default")` compares two integers.
class OCTET_API OpName {
 public:
  template <size_t N>
  consteval OpName(const char (&text)[N]) : id_(hash(std::string_view(text, N - 1))) {}
  template <std::convertible_to<std::string_view> T>
  requires(!std::is_array_v<T>) constexpr OpName(const T& text) : id_(hash(text)) {}

  constexpr uint64_t id() const { return id_; }
  constexpr bool operator==(const OpName&) const = default;

 private:
  // FNV-1a. Op's table sees to it that no two operators have the same.
  static constexpr uint64_t hash(std::string_view text) {
    uint64_t value = 14695981039346656037U;
    for (const char c : text) value = (value ^ static_cast<unsigned char>(c)) * 1099511628211U;
    return value;
  }

  uint64_t id_;
};

/// A dispatcher operator, known by the text torch.export uses without its "torch.ops." : "aten.conv2d.default".
///
/// A handle of one pointer to facts that are worked out once an operator: copied, compared and asked at no cost.
class OCTET_API Op {
 public:
  /// Finds "ns.name.overload"; "ns.name" means the default overload. Throws octet::Error where there is none.
  static Op find(std::string_view text);
  /// The same, without an error.
  static std::optional<Op> try_find(std::string_view text);
  explicit Op(const c10::OperatorHandle& handle);

  /// "aten.conv2d.default"
  const std::string& text() const;
  /// "aten.conv2d": without the overload.
  std::string_view packet() const;
  /// "conv2d": without namespace and overload, for messages and names.
  std::string_view short_name() const;
  /// Of text() and of packet().
  OpName name() const;
  OpName packet_name() const;

  const c10::FunctionSchema& schema() const { return handle().schema(); }
  const c10::OperatorHandle& handle() const;
  /// Position of the named argument in the schema, or -1.
  int argument_index(std::string_view name) const;
  /// True when the schema says that argument `i` is written in place.
  bool writes_argument(size_t i) const;
  /// True when it writes any argument: such a node is never dead.
  bool mutates() const;
  /// What it is to octet beyond its schema.
  bool is(Trait trait) const;
  /// "aten.relu_.default" of "aten.relu.default"; nullopt where there is none.
  std::optional<Op> in_place() const;

  bool operator==(const Op& other) const = default;

 private:
  struct Facts;
  class Table;
  explicit Op(const Facts* facts) : facts_(facts) {}

  const Facts* facts_;
};

}  // namespace octet

#pragma once

#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "octet/graph/node.h"
#include "octet/graph/op.h"
#include "octet/support/api.h"

namespace octet {

/// Which operators a file may hold: those of octet's list (what exports of networks consist of), and what the user
/// adds.
///
/// An operator is on the list by name and overload, for what it can reach: it computes its results from its arguments,
/// and checks what it is given. None opens or maps a file, prints, talks to a device or a process, takes storage,
/// streams or generators, calls back, or trusts an index, a size or a stride. docs/security.md says more.
class OCTET_API AllowedOperators {
 public:
  /// The list alone.
  AllowedOperators() = default;
  /// The list, and these: "my.op.default", or "my.op" for its default overload. Throws octet::Error for one that this
  /// process lacks, and for those that reach out of the model, which nothing lets in.
  explicit AllowedOperators(const std::vector<std::string>& more);

  /// The operator that a file names. Throws octet::Error naming `where` for one that this process lacks, and for one
  /// that no file may hold, with the way to let it in.
  Op find(const std::string& text, const std::string& where) const;
  /// The same for an operator that was found already.
  void check(const Op& op, const std::string& where) const;
  bool has(const std::string& text) const;
  /// True where the user added an overload of this operator, "my.op".
  bool adds_packet(const std::string& packet) const;

 private:
  std::unordered_set<std::string> more_;
};

/// One row of the list.
struct OperatorClass {
  std::string_view name_space;  ///< "aten"
  std::string_view reason;      ///< why a file may hold them
  std::string_view operators;   ///< "add.Tensor relu.default", parted by white space
};
/// The list, in allowed_operators.cpp.
OCTET_API const std::vector<OperatorClass>& allowed_operator_classes();
/// All names on the list, "aten.add.Tensor"; some may be lacking in this libtorch.
OCTET_API const std::unordered_set<std::string>& allowed_operator_names();
/// What the operator reaches that no model needs ("opens and maps files"), or nothing where nothing is known of it.
OCTET_API std::string_view reaches_out(const std::string& text);

/// Refuses arguments that ATen takes at their word: codes of types, layouts and memory formats that there are none of,
/// devices other than the CPU, and each of these as a number that the program computes. Throws octet::Error naming
/// `where`.
OCTET_API void check_file_arguments(const Node& call, const std::string& where);

/// Refuses an input whose recorded shape, which example inputs are made of, asks for more than 16 GiB.
OCTET_API void check_input_size(const Node& input, const std::string& where);

}  // namespace octet

#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "octet/support/budget.h"

namespace octet {

/// What a pickle describes, as plain data. Nothing is executed: classes and functions are names, and a call is kept as
/// the name and its arguments. Only the names that PyTorch's state dicts need are accepted.
///
/// Values live in an arena and refer to one another by index, so that deep or circular pickles cost no stack.
class Pickle {
 public:
  using Ref = uint32_t;
  struct None {};
  struct Global {
    std::string name;  ///< "torch._utils._rebuild_tensor_v2"
  };
  /// A call that a pickle asks for, or its persistent id (`function` is "persistent_id", the id is the argument).
  struct Call {
    std::string function;
    std::vector<Ref> args;
  };
  struct Tuple {
    std::vector<Ref> items;
  };
  struct List {
    std::vector<Ref> items;
  };
  struct Dict {
    std::vector<std::pair<Ref, Ref>> items;  ///< in order of insertion; a key may stand twice
  };
  /// An object of a class of TorchScript's and what it is built of, a dict of its attributes.
  struct Object {
    std::string type;
    std::optional<Ref> state;
  };
  using Value = std::variant<None, bool, int64_t, double, std::string, Global, Call, Tuple, List, Dict, Object>;

  const Value& operator[](Ref ref) const { return arena_[ref]; }
  /// How many values there are; references run from 0 to this.
  Ref count() const { return static_cast<Ref>(arena_.size()); }
  Ref root() const { return root_; }
  /// Bytes that the pickle took, STOP included.
  uint64_t size() const { return size_; }
  const std::string& where() const { return where_; }

  // Typed reads; octet::Error naming `what` where the value is of another type.
  int64_t to_int(Ref ref, const char* what) const;
  bool to_bool(Ref ref, const char* what) const;
  const std::string& to_string(Ref ref, const char* what) const;
  /// A tuple or a list.
  const std::vector<Ref>& to_items(Ref ref, const char* what) const;
  std::vector<int64_t> to_ints(Ref ref, const char* what) const;
  /// nullptr where the value is of another type.
  template <typename T>
  const T* get(Ref ref) const {
    return std::get_if<T>(&arena_[ref]);
  }

 private:
  friend class Unpickler;
  std::deque<Value> arena_;  // grows without a second copy of all
  Ref root_ = 0;
  uint64_t size_ = 0;
  std::string where_;
};

/// Reads one pickle of protocol 2 (the opcodes that torch.save writes, and protocol 4's framing) from the front of
/// `bytes`. Throws octet::Error naming `where` for anything else: other opcodes, names that are not on the list, data
/// that end early; and what `budget` throws where the values would take more than is left of it.
Pickle read_pickle(std::string_view bytes, const std::string& where, Budget& budget);
/// For a pickle that is a file by itself.
Pickle read_pickle(std::string_view bytes, const std::string& where);
/// The same for the pickles of a TorchScript file: objects of its classes (`__torch__.Net`) and typed lists too.
Pickle read_script_pickle(std::string_view bytes, const std::string& where, Budget& budget);

}  // namespace octet

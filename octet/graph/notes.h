#pragma once

#include <any>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <type_traits>
#include <typeinfo>
#include <unordered_map>
#include <variant>

#include "octet/support/api.h"

namespace octet {

class Node;

/// Nodes of a graph and what stands for each in its copy.
using NodeMap = std::unordered_map<const Node*, Node*>;

/// A node as a note names it: a pointer that knows its node's id, so that a graph can tell whether it still stands
/// (Graph::holds), and that turns to the copy when the graph is copied. Null by default.
class OCTET_API NodeRef {
 public:
  NodeRef() = default;
  NodeRef(Node* node);  // reads as a pointer does
  operator Node*() const { return node_; }
  Node* operator->() const { return node_; }
  /// The id of the node; -1 for null. Safe to ask after the node was erased.
  int64_t id() const { return id_; }
  /// The copy's node; null where the node is in no map: it had been erased.
  void remap(const NodeMap& copies);

 private:
  Node* node_ = nullptr;
  int64_t id_ = -1;
};

/// Name and type of a note. Declared once, at namespace scope, where its meaning lives:
///
///     inline const NoteKey<bool> kHeldModeNote("held_mode");
///     node->notes()[kHeldModeNote] = true;
///
/// Texts, bools and integers are saved with a graph. A type that names nodes holds them as NodeRef and has a
/// `void remap(const NodeMap&)`, which is called on the copies of a graph's notes.
template <typename T>
class NoteKey {
 public:
  explicit NoteKey(const char* name);
  const std::string& name() const { return name_; }

 private:
  std::string name_;
};

/// What files keep of notes.
using SavedNote = std::variant<std::string, bool, int64_t>;

/// Notes on a node, for the rooms above. Each name has one type.
class OCTET_API Notes {
 public:
  /// The note, made where missing.
  template <typename T>
  T& operator[](const NoteKey<T>& key);
  /// The note, or nullptr.
  template <typename T>
  T* find(const NoteKey<T>& key);
  template <typename T>
  const T* find(const NoteKey<T>& key) const;
  template <typename T>
  bool contains(const NoteKey<T>& key) const {
    return find(key) != nullptr;
  }
  /// True where there was one.
  template <typename T>
  bool erase(const NoteKey<T>& key) {
    return entries_.erase(key.name()) > 0;
  }

  /// A note as a file names it. Throws octet::Error, naming `where`, for a name that is declared with another type.
  void set_saved(const std::string& name, SavedNote value, const std::string& where = "");
  /// Calls `visit` for each text, bool and integer, in the order of their names.
  void for_each_saved(const std::function<void(const std::string& name, const SavedNote& value)>& visit) const;

  /// Every node that a note names turns to its copy.
  void remap(const NodeMap& copies);

 private:
  struct Entry {
    std::any value;
    void (*remap)(std::any& value, const NodeMap& copies) = nullptr;
  };

  template <typename T>
  static Entry entry(T value);

  std::map<std::string, Entry> entries_;
};

namespace detail {
/// Remembers the type of a name; throws octet::Error where it has another.
OCTET_API void declare_note(const std::string& name, const std::type_info& type);
/// What is thrown where a note has another type than its key.
[[noreturn]] OCTET_API void wrong_note_type(const std::string& name);
}  // namespace detail

template <typename T>
NoteKey<T>::NoteKey(const char* name) : name_(name) {
  detail::declare_note(name_, typeid(T));
}

template <typename T>
Notes::Entry Notes::entry(T value) {
  Entry made{std::move(value)};
  if constexpr (requires(T & note, const NodeMap& copies) { note.remap(copies); }) {
    made.remap = [](std::any& held, const NodeMap& copies) { std::any_cast<T&>(held).remap(copies); };
  }
  return made;
}

template <typename T>
T* Notes::find(const NoteKey<T>& key) {
  const auto found = entries_.find(key.name());
  if (found == entries_.end()) return nullptr;
  T* value = std::any_cast<T>(&found->second.value);
  if (value == nullptr) detail::wrong_note_type(key.name());
  return value;
}

template <typename T>
const T* Notes::find(const NoteKey<T>& key) const {
  return const_cast<Notes&>(*this).find(key);
}

template <typename T>
T& Notes::operator[](const NoteKey<T>& key) {
  if (T* present = find(key)) return *present;
  return std::any_cast<T&>(entries_.insert_or_assign(key.name(), entry(T{})).first->second.value);
}

}  // namespace octet

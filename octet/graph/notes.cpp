#include "octet/graph/notes.h"

#include <typeindex>

#include "octet/graph/node.h"
#include "octet/support/error.h"

namespace octet {
namespace {

std::map<std::string, std::type_index>& declared_notes() {
  static std::map<std::string, std::type_index> types;
  return types;
}

const char* type_text(std::type_index type) {
  if (type == typeid(std::string)) return "a text";
  if (type == typeid(bool)) return "a bool";
  if (type == typeid(int64_t)) return "an integer";
  return "what no file holds";
}

}  // namespace

void detail::declare_note(const std::string& name, const std::type_info& type) {
  const auto [entry, fresh] = declared_notes().emplace(name, type);
  if (!fresh && entry->second != type) throw Error("note '" + name + "'", "is declared with two types");
}

void detail::wrong_note_type(const std::string& name) {
  throw Error("note '" + name + "'", "has another type than it is declared with");
}

NodeRef::NodeRef(Node* node) : node_(node), id_(node == nullptr ? -1 : node->id()) {}

void NodeRef::remap(const NodeMap& copies) {
  if (node_ == nullptr) return;
  // The address of an erased node may be another's by now; ids come once.
  const auto found = copies.find(node_);
  *this = found != copies.end() && found->first->id() == id_ ? NodeRef(found->second) : NodeRef();
}

void Notes::set_saved(const std::string& name, SavedNote value, const std::string& where) {
  std::visit(
      [&](auto& held) {
        const auto declared = declared_notes().find(name);
        if (declared != declared_notes().end() && declared->second != typeid(held)) {
          throw expected(where, "note '" + name + "'", type_text(declared->second), type_text(typeid(held)));
        }
        entries_.insert_or_assign(name, entry(std::move(held)));
      },
      value);
}

void Notes::for_each_saved(const std::function<void(const std::string& name, const SavedNote& value)>& visit) const {
  for (const auto& [name, entry] : entries_) {
    if (const auto* text = std::any_cast<std::string>(&entry.value)) visit(name, *text);
    if (const auto* flag = std::any_cast<bool>(&entry.value)) visit(name, *flag);
    if (const auto* number = std::any_cast<int64_t>(&entry.value)) visit(name, *number);
  }
}

void Notes::remap(const NodeMap& copies) {
  for (auto& [name, entry] : entries_) {
    if (entry.remap != nullptr) entry.remap(entry.value, copies);
  }
}

}  // namespace octet

#include "octet/targets/engine/scope_choice.h"

#include <algorithm>
#include <sstream>

#include "octet/formats/pt2.h"
#include "octet/support/error.h"

namespace octet::targets {

// torch.export writes "key,name,type;key,name,type".
std::vector<std::string> module_types(const Node& node) {
  std::string text;
  node.notes().for_each_saved([&](const std::string& note, const SavedNote& value) {
    const auto* saved = std::get_if<std::string>(&value);
    if (saved != nullptr && note == octet::str(kTorchNotePrefix, "nn_module_stack")) text = *saved;
  });
  std::vector<std::string> types;
  std::stringstream stack(text);
  for (std::string frame; std::getline(stack, frame, ';');) {
    const size_t last = frame.rfind(',');
    if (last != std::string::npos && frame.find(',') != last) types.push_back(frame.substr(last + 1));
  }
  return types;
}

namespace {

bool lies_in(const std::string& name, const std::string& outer) {
  return name == outer || name.rfind(outer + '.', 0) == 0;
}

}  // namespace

bool ScopeChoice::selects(const Node& node) const {
  switch (kind) {
    case ScopeKind::kGlobal:
      return true;
    case ScopeKind::kOperatorType:
      return lies_in(node.target(), pattern);
    case ScopeKind::kName: {
      const std::string* path = node.notes().find(kModulePathNote);
      if (path != nullptr && lies_in(*path, pattern)) return true;
      const std::vector<Node*> inputs = node.inputs();
      return std::any_of(inputs.begin(), inputs.end(),
                         [&](const Node* input) { return input->is_get_attr() && lies_in(input->target(), pattern); });
    }
    case ScopeKind::kModuleType: {
      const std::vector<std::string> types = module_types(node);
      return std::any_of(types.begin(), types.end(), [&](const std::string& type) {
        const size_t dot = type.rfind('.');
        return type == pattern || type.substr(dot == std::string::npos ? 0 : dot + 1) == pattern;
      });
    }
  }
  return false;
}

bool falls_to(const std::vector<ScopeChoice>& choices, size_t i, const Node& node) {
  const auto own = choices.begin() + static_cast<std::ptrdiff_t>(i);
  return own->selects(node) &&
         std::none_of(choices.begin(), own, [&](const ScopeChoice& earlier) { return earlier.selects(node); });
}

}  // namespace octet::targets

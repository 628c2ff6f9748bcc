#include "octet/targets/engine/module_stack.h"

#include <sstream>
#include <variant>

#include "octet/formats/pt2.h"
#include "octet/support/error.h"

namespace octet::targets {

// torch.export writes "key,name,type;key,name,type".
std::vector<ModuleFrame> module_stack(const Node& node) {
  std::string text;
  node.notes().for_each_saved([&](const std::string& note, const SavedNote& value) {
    const auto* saved = std::get_if<std::string>(&value);
    if (saved != nullptr && note == octet::str(kTorchNotePrefix, "nn_module_stack")) text = *saved;
  });
  std::vector<ModuleFrame> frames;
  std::stringstream stack(text);
  for (std::string frame; std::getline(stack, frame, ';');) {
    const size_t first = frame.find(',');
    const size_t last = frame.rfind(',');
    if (first == std::string::npos || first == last) continue;
    std::string name = frame.substr(first + 1, last - first - 1);
    constexpr std::string_view kSelf = "L['self'].";
    if (name.rfind(kSelf, 0) == 0) name = name.substr(kSelf.size());
    frames.push_back({std::move(name), frame.substr(last + 1)});
  }
  return frames;
}

}  // namespace octet::targets

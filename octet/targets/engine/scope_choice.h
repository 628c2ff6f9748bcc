#pragma once

#include <string>
#include <vector>

#include "octet/graph/node.h"
#include "octet/support/api.h"

namespace octet::targets {

/// The types of the Python modules around a node, outermost first, as torch.export wrote them; none where the file does
/// not say.
std::vector<std::string> module_types(const Node& node);

/// What a setting of a quantizer is for. In this order the settings are worked off: names win over types of modules,
/// both over types of operators, these over the one for all.
enum class ScopeKind { kName, kModuleType, kOperatorType, kGlobal };

/// One such setting, without what it says.
struct OCTET_API ScopeChoice {
  ScopeKind kind = ScopeKind::kGlobal;
  /// A dotted name of a module, "features.0"; a type, "torch.nn.modules.conv.Conv2d", "Conv2d" or a class's own path;
  /// an operator, "aten.conv2d.default", or "aten.conv2d" for all of its overloads. Names and types are those of the
  /// node's own module or of one around it.
  std::string pattern;

  bool selects(const Node& node) const;
};

/// True where `choices[i]` selects the node and none before it does.
OCTET_API bool falls_to(const std::vector<ScopeChoice>& choices, size_t i, const Node& node);

}  // namespace octet::targets

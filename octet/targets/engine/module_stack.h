#pragma once

#include <string>
#include <vector>

#include "octet/graph/node.h"

namespace octet::targets {

/// A Python module that a node was written in.
struct ModuleFrame {
  std::string name;  ///< dotted, "features.0"; empty: the model itself
  std::string type;  ///< "torch.nn.modules.conv.Conv2d"
};

/// The modules around a node, outermost first, as torch.export wrote them; none where the file does not say.
std::vector<ModuleFrame> module_stack(const Node& node);

}  // namespace octet::targets

#pragma once
// What targets share that work on programs: the mutator of programs.cpp is linked with them, and tensors' memory is
// small.

#include <memory>
#include <string_view>

#include "octet/graph/graph_module.h"

namespace octet::fuzz {

/// The program of the archive that the input stands for: octet's own container, or a .pt2.
std::shared_ptr<GraphModule> program_of(std::string_view input);

}  // namespace octet::fuzz

#pragma once

#include <memory>

#include "octet/formats/allowed_operators.h"
#include "octet/formats/pt2_archive.h"
#include "octet/formats/pt2_bodies.h"
#include "octet/formats/pt2_schema.h"
#include "octet/formats/pt2_symbols.h"
#include "octet/graph/graph_module.h"

namespace octet::pt2 {

/// The program, whose blocks were entered, as a graph of allowed operators, its tensors attached. Parameters that only
/// blocks without gradients read do not learn. Throws octet::Error naming the place in the file.
std::shared_ptr<GraphModule> build_module(const Program& program, const EnteredBlocks& blocks, const Archive& archive,
                                          const Symbols& symbols, const AllowedOperators& operators);

}  // namespace octet::pt2

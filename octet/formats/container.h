#pragma once

#include <memory>
#include <string>

#include "octet/formats/allowed_operators.h"
#include "octet/graph/graph_module.h"
#include "octet/support/api.h"
#include "octet/support/byte_source.h"

namespace octet {

/// octet's own file for a GraphModule in any state, float, prepared or quantized: a zip of stored members.
///
///     octet.json          version, facts, mode, nodes with arguments, metas and notes, table of tensors, submodules'
///     settings tensors/0, 1, ...   raw little-endian bytes in C order, 64-byte aligned
///
/// It is faithful: every argument, float32 and double comes back to the bit, and so do observers' states. Channels-last
/// tensors come back channels-last. The file appears whole or not at all.
OCTET_API void save_octet(const GraphModule& module, const std::string& path);

/// `operators`: which ones it may hold. Throws octet::Error naming file and entry for anything else, for anything
/// damaged, or written by a newer octet.
OCTET_API std::shared_ptr<GraphModule> load_octet(const std::string& path, const AllowedOperators& operators = {});
OCTET_API std::shared_ptr<GraphModule> load_octet(const std::shared_ptr<const ByteSource>& source,
                                                  const AllowedOperators& operators = {});

}  // namespace octet

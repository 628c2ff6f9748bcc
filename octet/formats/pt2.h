#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "octet/formats/allowed_operators.h"
#include "octet/graph/graph_module.h"
#include "octet/support/api.h"
#include "octet/support/byte_source.h"

namespace octet {

/// What torch.export's metadata says of a node stands in notes() under this prefix, as texts: "torch.stack_trace".
inline constexpr const char* kTorchNotePrefix = "torch.";
/// Note on the node that reads a buffer which is not in the state dict.
inline const NoteKey<bool> kNonPersistentNote("non_persistent");
/// Fact of a module whose inputs or results are not plain tensors in order: how Python calls it.
inline constexpr const char* kCallSignatureFact = "call_signature";

struct Pt2Options {
  /// Size of dimension 0 where the file leaves it symbolic; 0 takes the size that the model was traced with. A file
  /// with a fixed batch is taken as it is.
  int64_t batch = 0;
  /// Which program of a package with several.
  std::string model = "model";
  /// Which operators it may hold.
  AllowedOperators operators = {};
  /// Sizes of each input where the file leaves them symbolic; empty takes those that the model was traced with. Fixed
  /// ones must be as they are.
  std::vector<std::vector<int64_t>> input_sizes = {};
};

/// Reads a `.pt2` of torch.export.save, torch 2.6 and later: both archive layouts, the training and the decomposed
/// dialect.
///
/// Parameters, buffers and constants become attributes under their dotted names, tied ones aliases; every call is
/// checked against its operator's schema; sizes are specialised; node names and metas are the file's. Multi-output
/// operators become a call and get_item nodes. Results that only update buffers are written back in place, as in the
/// training dialect, and no longer returned. Assertions about the traced metadata are left out. Facts: "source",
/// "torch_version", "schema", "dialect", "layout". Nodes carry kModulePathNote, the Python module's path, where
/// the file knows it, and the file's own metadata under kTorchNotePrefix, for write_pt2.
///
/// Throws octet::Error naming file, entry and reason for anything damaged, hostile or unsupported.
OCTET_API std::shared_ptr<GraphModule> load_pt2(const std::string& path, const Pt2Options& options = {});
OCTET_API std::shared_ptr<GraphModule> load_pt2(const std::shared_ptr<const ByteSource>& source,
                                                const Pt2Options& options = {});

}  // namespace octet

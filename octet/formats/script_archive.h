#pragma once

#include <torch/csrc/jit/api/module.h>

#include "octet/formats/allowed_operators.h"
#include "octet/formats/zip.h"

namespace octet {

/// The module in a TorchScript archive (`torch.jit.save`). libtorch gets nothing of the file but source texts that
/// check_script_sources has seen, to compile; zip, pickles and tensors are octet's to read, and every attribute is
/// checked against the type that its class declares. No code of the file runs: a class that restores itself
/// (`__setstate__`) is refused. Throws octet::Error naming file and entry.
torch::jit::Module read_script_archive(const ZipReader& zip, const AllowedOperators& operators);

}  // namespace octet

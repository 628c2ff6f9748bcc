#pragma once

#include <memory>
#include <string>
#include <vector>

#include "octet/formats/allowed_operators.h"
#include "octet/graph/record.h"
#include "octet/support/api.h"

namespace octet {

/// Loads a TorchScript file (`torch.jit.save`, scripted or traced), runs its `forward` once on the sample inputs and
/// records that, as octet::export_module does for C++ modules: parameters and buffers under the script module's names,
/// each Python `if` on sizes or flags as it went for these inputs. Throws octet::Error where the file is damaged or is
/// none, where no sample is given (the file does not say the inputs' shapes), and where control flow depends on the
/// values of tensors, and where the file holds operators that are not allowed, anywhere in forward or what it calls:
/// everything is looked at before the first instruction of it runs.
OCTET_API std::shared_ptr<GraphModule> load_torchscript(const std::string& path, const Tensors& sample_inputs,
                                                        const ExportOptions& options = {},
                                                        const AllowedOperators& operators = {});

/// The same with float32 samples of these sizes, one list an input.
OCTET_API std::shared_ptr<GraphModule> load_torchscript_of_sizes(const std::string& path,
                                                                 const std::vector<std::vector<int64_t>>& input_sizes,
                                                                 const ExportOptions& options = {},
                                                                 const AllowedOperators& operators = {});

}  // namespace octet

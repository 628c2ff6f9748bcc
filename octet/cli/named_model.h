#pragma once

#include <memory>

#include "octet/cli/verbs.h"
#include "octet/graph/graph_module.h"
#include "octet/train/data_source.h"

namespace octet::cli {

/// True where the path is no file, but one of `octet models`.
bool is_named(const ModelArguments& model);

/// The model built, its weights loaded, and recorded for one sample of the size that it is meant for, or that
/// `input_sizes` says; the batch is free. Throws octet::Error naming a flag or an entry of the weights that does not
/// fit.
std::shared_ptr<GraphModule> build_named(const ModelArguments& model);

/// Of a named model: classes and channels that nobody has given are those of the data.
void settle_by_data(ModelArguments& model, const DataArguments& choice, Split split);

/// Throws octet::Error (usage) where flags of named models are given for a file.
void refuse_flags_of_named(const ModelArguments& model);
/// Throws octet::Error where the path is no file and looks like a name that nobody knows.
void refuse_unknown_name(const ModelArguments& model);

}  // namespace octet::cli

#pragma once

#include <string>

#include "octet/cli/verbs.h"
#include "octet/formats/tflite.h"
#include "octet/graph/graph_module.h"
#include "octet/lowering/lowering.h"

namespace octet::cli {

/// Before anything is computed: throws octet::Error where one of the files to write can't be, stands there twice, or is
/// one of those that are read. Empty names are left out.
void check_outputs(const std::vector<std::string>& outputs, const std::vector<std::string>& read);

/// Writes the model in the form that the file's ending names: .tflite (lowered to int8), .pt2 (prepared models frozen),
/// and octet's own container for any other. `config`: the JSON text of the quantizer's settings, kept in a .tflite.
/// `sample`: a batch of inputs on which a .tflite is compared with the model (written.h).
void write_model(const GraphModule& model, const std::string& path, const OutputArguments& writing,
                 const std::string& config = {}, const std::vector<at::Tensor>& sample = {});

/// In the form that the arguments ask for, else the target that `config` names, else the standard target.
LoweringOptions lowering_options(const OutputArguments& writing, const std::string& config = {});

/// A .tflite with octet's version and the quantizer's settings in its metadata. Returns the program as written.
tflite::Model write_tflite(const GraphModule& model, const std::string& path, const LoweringOptions& options,
                           const std::string& config = {});
void write_pt2_file(const GraphModule& model, const std::string& path, const std::string& layout);

/// The settings beside a model ("model.octet.json"); empty where there are none.
std::string config_beside(const std::string& model);

}  // namespace octet::cli

#pragma once

#include <string>
#include <vector>

#include "octet/formats/tflite.h"
#include "octet/graph/graph_module.h"

namespace octet::cli {

/// Runs the program just written to `path` beside the model on the first rows of `sample`, as the verb verify does, and
/// warns where one operator by itself is more than a step off in more than one value of a thousand. Silent where the
/// sample does not fit the program.
void warn_where_they_part(const GraphModule& model, const tflite::Model& program, const std::vector<at::Tensor>& sample,
                          const std::string& path);

/// The same on the calibration data that `config` (the text beside the model) names, where it is still there.
void warn_where_they_part(const GraphModule& model, const tflite::Model& program, const std::string& config,
                          const std::string& path);

}  // namespace octet::cli

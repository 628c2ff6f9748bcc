#pragma once

#include <memory>

#include "octet/cli/verbs.h"
#include "octet/formats/tflite.h"
#include "octet/graph/graph_module.h"
#include "octet/train/evaluate.h"
#include "octet/train/open_data.h"

namespace octet::cli {

/// Data in the form that a model takes.
struct ModelData {
  std::shared_ptr<DataSource> source;
  Transform transform;  ///< pads or resizes images, normalises, augments
  int64_t batch_size = 1;
  bool is_nhwc = false;  ///< pictures leave the transform with their channels last
  int64_t workers = 1;   ///< threads that prepare batches
};

/// Throws octet::Error where a flag is for other data than `spec` names: it would do nothing.
void check_making(const std::string& spec, const MakingArguments& making);

/// Opens the data for a model whose first input has these sizes without the batch.
std::shared_ptr<DataSource> open_source(const DataArguments& choice, Split split, const std::vector<int64_t>& sample);

/// Opens the data, checks it against the model's inputs, and makes the model take the batch. Throws octet::Error naming
/// the input and the shapes where they differ.
ModelData open_data_for(GraphModule& module, const DataArguments& choice, Split split, int64_t default_batch);
/// The same for an int8 program, which takes multiples of its own batch. Images come as NCHW, also where the program
/// takes NHWC (octet/train/integer_handle.h).
ModelData open_data_for(const tflite::Model& program, const DataArguments& choice, Split split, int64_t default_batch);

/// The first `count` samples of the data as one batch.
std::vector<at::Tensor> first_batch(const ModelData& data, int64_t count);

}  // namespace octet::cli

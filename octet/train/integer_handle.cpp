#include "octet/train/integer_handle.h"

#include "octet/support/error.h"

namespace octet {
namespace {

// True where the program's images have their channels last and the batch's have them second.
bool takes_nhwc(const std::vector<int64_t>& wanted, at::IntArrayRef given) {
  if (wanted.size() != 4 || given.size() != 4) return false;
  const bool fits_as_given = wanted[1] == given[1] && wanted[2] == given[2] && wanted[3] == given[3];
  return !fits_as_given && wanted[1] == given[2] && wanted[2] == given[3] && wanted[3] == given[1];
}

}  // namespace

ModelHandle model_handle(std::shared_ptr<const integer::Executor> executor) {
  ModelHandle handle;
  handle.forward = [executor](const std::vector<at::Tensor>& inputs) {
    const tflite::Model& model = executor->model();
    std::vector<at::Tensor> given;
    for (size_t j = 0; j < inputs.size(); ++j) {
      const bool turn = j < model.inputs.size() &&
                        takes_nhwc(model.tensors[static_cast<size_t>(model.inputs[j])].shape, inputs[j].sizes());
      given.push_back((turn ? inputs[j].permute({0, 2, 3, 1}) : inputs[j]).contiguous());
    }
    return executor->run_dequantized(given).at(0);
  };
  handle.set_training = [](bool on) {
    if (on) throw Error("int8 program", "cannot be trained").hint("train the model that it was lowered from");
  };
  return handle;
}

}  // namespace octet

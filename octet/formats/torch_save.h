#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "octet/formats/pickle.h"
#include "octet/formats/state_dict.h"
#include "octet/formats/zip.h"

namespace octet {

/// One tensor of a file that torch.save wrote.
struct SavedTensor {
  std::string name;
  at::Tensor tensor;
  bool is_parameter = false;
  bool requires_grad = false;
};

/// Reads the state dict in a `.pth` or `.pt` that torch.save wrote, in the zip format of PyTorch 1.6 and later and in
/// the one before. A dict of tensors, or a checkpoint that holds one under "state_dict", "model_state_dict" or "model";
/// entries that are not tensors are left out. Nothing in the file is executed. Throws octet::Error naming file and
/// entry.
StateDict load_torch_save(const std::string& path);
StateDict load_torch_save(const std::shared_ptr<const ByteSource>& source);

/// The same from an open archive (the nested zips of a `.pt2`), with what only the pickle knows.
std::vector<SavedTensor> read_torch_save(const ZipReader& zip);

/// Gives the tensor that a value of a pickle describes, or nothing where it is none; the text names it in errors. Views
/// of one storage that are seen twice are one tensor.
using PickledTensors = std::function<std::optional<SavedTensor>(Pickle::Ref, const std::string&)>;
/// Such a reader of the members `folder` + key of an archive. `pickle` and `zip` outlive it.
PickledTensors pickled_tensors(const Pickle& pickle, const ZipReader& zip, const std::string& folder);

/// A file as torch.save writes it of a dict of these tensors, in the zip format of PyTorch 1.6 and later: torch.load
/// reads it with weights_only. A tensor that stands there twice is one object with two names. Throws octet::Error
/// naming the tensor for one that no file can hold.
std::string torch_save_bytes(const std::vector<SavedTensor>& tensors);

}  // namespace octet

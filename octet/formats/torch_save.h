#pragma once

#include <cstdint>
#include <string>

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

}  // namespace octet

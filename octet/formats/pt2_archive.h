#pragma once

#include <ATen/core/Tensor.h>

#include <map>
#include <string>

#include "octet/formats/zip.h"

namespace octet::pt2 {

struct Weight {
  at::Tensor tensor;  ///< tied weights are the same tensor
  bool is_parameter = false;
  bool requires_grad = false;
};

/// The parts of a `.pt2`, whichever way it is laid out.
struct Archive {
  std::string layout;                       ///< "archive" (torch 2.8 and later) or "flat"
  std::string program;                      ///< the JSON program's text
  std::string program_where;                ///< file and entry of it
  std::map<std::string, Weight> weights;    ///< the state dict
  std::map<std::string, Weight> constants;  ///< lifted constants and buffers that are not in the state dict
  std::shared_ptr<Budget> budget;           ///< what reading the file may still take
};

/// True where the entries are those of a `.pt2`.
bool is_pt2(const ZipReader& zip);

/// Throws octet::Error naming file and entry.
Archive read_archive(const ZipReader& zip, const std::string& model);

}  // namespace octet::pt2

#pragma once

#include <ATen/core/Tensor.h>

#include <string>
#include <string_view>

#include "octet/support/api.h"

namespace octet {

/// Reads a NumPy array file (.npy, format 1 to 3): bool, integers, floats and complex numbers of any byte order, in C
/// or Fortran order. The tensor is contiguous and owns its memory. Throws octet::Error naming the file and the reason.
OCTET_API at::Tensor read_npy(const std::string& path);
/// The same as an input of a model: float64 and float16 as float32, which is all that octet's models take.
OCTET_API at::Tensor read_npy_input(const std::string& path);
/// The same from memory; `where` names it in errors.
OCTET_API at::Tensor parse_npy(std::string_view bytes, const std::string& where);

/// Writes a tensor as .npy, little-endian in C order. The file appears whole or not at all. Throws octet::Error for
/// types that NumPy lacks (bfloat16, float8).
OCTET_API void write_npy(const std::string& path, const at::Tensor& tensor);
/// The same to memory.
OCTET_API std::string npy_bytes(const at::Tensor& tensor, const std::string& where);

}  // namespace octet

#pragma once

#include <ATen/core/Tensor.h>

#include <map>
#include <memory>
#include <string>

#include "octet/formats/onnx/schema.h"
#include "octet/support/byte_source.h"

namespace octet::onnx {

/// ATen's type for ONNX's number of one. Throws octet::Error naming `where` for one that ATen or octet lacks.
at::ScalarType dtype_of(int64_t type, const std::string& where);

/// Makes tensors of a file's TensorProtos; what they take is charged to the file in which their bytes stand.
class TensorReader {
 public:
  /// `file`: the model's path, beside which external data stands; a model without a folder has none.
  TensorReader(std::string file, bool has_folder, Budget& budget)
      : file_(std::move(file)), has_folder_(has_folder), budget_(budget) {}

  /// Throws octet::Error naming `where` unless there are as many numbers as its shape asks for.
  at::Tensor read(const TensorProto& tensor, const std::string& where);

 private:
  struct Beside {
    std::shared_ptr<const ByteSource> source;
    std::unique_ptr<Budget> budget;
  };
  std::string external_bytes(std::string_view message, uint64_t bytes, const std::string& where);
  Beside& open_beside(const std::string& name, const std::string& where);

  std::string file_;
  bool has_folder_;
  Budget& budget_;
  std::map<std::string, Beside> beside_;
};

}  // namespace octet::onnx

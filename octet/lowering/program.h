#pragma once

#include <ATen/core/Tensor.h>

#include <optional>
#include <string>
#include <unordered_set>
#include <vector>

#include "octet/formats/tflite.h"

namespace octet::lowering {

/// Scale and zero point of an int8 value.
struct Grid {
  float scale = 1.0F;
  int64_t zero_point = 0;
  bool operator==(const Grid&) const = default;
};

/// A constant of the graph: integers with their scales, or float32 without.
struct Constant {
  at::Tensor values;
  tflite::Quantization quantization;
  bool is_quantized() const { return !quantization.scale.empty(); }
};

/// A tflite::Model while it grows.
class Program {
 public:
  /// A value that an operator computes or the program is given: int8 on a grid, or float32. Names are made unique.
  int32_t value(const std::string& name, std::vector<int64_t> shape, const std::optional<Grid>& grid);
  /// A constant; int8, int32 or float32.
  int32_t constant(const std::string& name, const Constant& constant);
  /// A vector of int32: axes, sizes, permutations.
  int32_t integers(const std::string& name, const std::vector<int64_t>& values);
  /// The same with a shape, row by row.
  int32_t integers(const std::string& name, const std::vector<int64_t>& values, const std::vector<int64_t>& shape);

  void emit(tflite::OpCode code, std::vector<int32_t> inputs, std::vector<int32_t> outputs,
            const tflite::Options& options = {});

  const tflite::Tensor& tensor(int32_t index) const { return model_.tensors[static_cast<size_t>(index)]; }
  std::optional<Grid> grid(int32_t index) const;

  tflite::Model& model() { return model_; }
  const tflite::Model& model() const { return model_; }

 private:
  int32_t add(tflite::Tensor tensor);

  tflite::Model model_;
  std::unordered_set<std::string> names_;
};

}  // namespace octet::lowering

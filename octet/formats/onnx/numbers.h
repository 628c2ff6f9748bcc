#pragma once

#include <optional>

#include "octet/formats/onnx/step.h"

namespace octet::onnx {

/// A constant of one element as a plain number, as torch.export writes `x + 1`: where it doesn't add dimensions to
/// `other`, with which it is put together.
std::optional<Arg> as_number(const Step& step, const Value& value, const Value& other);

/// The value in a type of elements, as it is where that is its own: ATen sums int32 as int64, ONNX as int32.
Value of_type(Step& step, const Value& value, at::ScalarType type);

}  // namespace octet::onnx

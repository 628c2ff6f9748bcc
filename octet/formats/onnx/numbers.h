#pragma once

#include <optional>

#include "octet/formats/onnx/step.h"

namespace octet::onnx {

/// A constant of one element as a plain number, as torch.export writes `x + 1`: where it doesn't add dimensions to
/// `other`, with which it is put together.
std::optional<Arg> as_number(const Step& step, const Value& value, const Value& other);

}  // namespace octet::onnx

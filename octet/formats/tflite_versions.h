#pragma once

#include "octet/formats/tflite.h"

namespace octet::tflite {

/// The lowest version of the operator that has what this one uses: a runtime refuses a version above its own.
int32_t lowest_version(const Model& model, const Operator& op);

/// An operator among the tensors of its model.
struct OperatorUse {
  const Model& model;
  const Operator& op;

  /// nullptr where there is none.
  const Tensor* input(size_t index) const;
  /// Of the first input.
  bool is_int8() const;
  size_t rank() const;
};

/// How an operator counts its versions: a column of the table of operators.
namespace versions {

int32_t one(const OperatorUse& use);           ///< the first has everything
int32_t two(const OperatorUse& use);           ///< runtimes have no first one
int32_t two_for_int8(const OperatorUse& use);  ///< 1 for float32
int32_t convolution(const OperatorUse& use);
int32_t depthwise(const OperatorUse& use);
int32_t transposed(const OperatorUse& use);
int32_t fully_connected(const OperatorUse& use);
int32_t product(const OperatorUse& use);
int32_t bilinear(const OperatorUse& use);
int32_t nearest(const OperatorUse& use);
int32_t padding(const OperatorUse& use);
int32_t difference(const OperatorUse& use);
int32_t transpose(const OperatorUse& use);
int32_t slice(const OperatorUse& use);

}  // namespace versions

}  // namespace octet::tflite

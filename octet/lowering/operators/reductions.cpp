#include <algorithm>

#include "octet/lowering/layout.h"
#include "octet/lowering/operators/operators.h"

namespace octet::lowering {

using tflite::OpCode;
using tflite::Options;

namespace {

std::vector<int64_t> reduced_dimensions(const OperatorLowering& op, int64_t rank) {
  std::vector<int64_t> dims = op.integers("dim");
  if (dims.empty()) {  // all
    for (int64_t d = 0; d < rank; ++d) dims.push_back(d);
  }
  for (int64_t& dim : dims) dim = dim < 0 ? dim + rank : dim;
  return dims;
}

}  // namespace

template <OpCode code>
void lower_reduction(OperatorLowering& op) {
  const auto rank = static_cast<int64_t>(op.sizes("self").size());
  const std::vector<int64_t> dims = reduced_dimensions(op, rank);
  Options options;
  options.keep_dims = op.flag("keepdim");
  const auto axes_in = [&](bool channels_last) {
    std::vector<int64_t> axes;
    for (const int64_t dim : dims) {
      const bool moves = channels_last && rank > 2 && dim > 0;
      axes.push_back(!moves ? dim : dim == 1 ? rank - 1 : dim - 1);
    }
    if (dims.size() == static_cast<size_t>(rank)) std::sort(axes.begin(), axes.end());
    return axes;
  };
  if (options.keep_dims) {
    op.emit(code, {op.input("self"), op.indices("axes", axes_in(op.channels_last()))}, options);
    return;
  }
  // What is left keeps its order where the channels go, or all of the image.
  const auto reduces = [&](int64_t dim) { return std::find(dims.begin(), dims.end(), dim) != dims.end(); };
  bool all_of_image = true;
  for (int64_t d = 2; d < rank; ++d) all_of_image = all_of_image && reduces(d);
  const bool as_it_lies =
      op.keeps_channels_last(*op.node().arg("self").node()) && rank > 2 && (reduces(1) || all_of_image);
  const ValueId x = op.input("self", as_it_lies);
  const ValueId axes = op.indices("axes", axes_in(as_it_lies));
  if (!op.channels_last()) {
    op.emit(code, {x, axes}, options);
    return;
  }
  give_as_given(op, op.step("reduced", code, {x, axes}, op.node().sizes(), options));
}

template void lower_reduction<OpCode::kMean>(OperatorLowering&);
template void lower_reduction<OpCode::kSum>(OperatorLowering&);
template void lower_reduction<OpCode::kReduceMax>(OperatorLowering&);
template void lower_reduction<OpCode::kReduceMin>(OperatorLowering&);

}  // namespace octet::lowering

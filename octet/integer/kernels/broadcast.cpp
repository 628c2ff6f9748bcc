#include "octet/integer/kernels/broadcast.h"

#include "octet/support/error.h"

namespace octet::integer {
namespace {

std::vector<int64_t> steps(const KernelContext& context, const tflite::Tensor& operand,
                           const std::vector<int64_t>& sizes) {
  if (operand.shape.size() > sizes.size()) {
    context.fail("dimensions of '" + operand.name + "'", octet::str("<= ", sizes.size()),
                 std::to_string(operand.shape.size()));
  }
  std::vector<int64_t> result(sizes.size(), 0);
  const size_t missing = sizes.size() - operand.shape.size();
  int64_t step = 1;
  for (size_t d = operand.shape.size(); d-- > 0;) {
    const int64_t size = operand.shape[d];
    if (size != 1 && size != sizes[missing + d]) {
      context.fail("shape of '" + operand.name + "'", octet::str("1 or ", sizes[missing + d]), std::to_string(size));
    }
    result[missing + d] = size == 1 ? 0 : step;
    step *= size;
  }
  return result;
}

}  // namespace

Broadcast::Broadcast(const KernelContext& context, const tflite::Tensor& a, const tflite::Tensor& b)
    : sizes_(context.output().shape), count_(context.output().numel()) {
  steps_a_ = steps(context, a, sizes_);
  steps_b_ = steps(context, b, sizes_);
  plain_ = a.numel() == count_ && b.numel() == count_;
  if (a.numel() < count_ && b.numel() < count_) {
    // Legal where each operand stretches along another dimension.
    for (size_t d = 0; d < sizes_.size(); ++d) {
      if (sizes_[d] > 1 && steps_a_[d] == 0 && steps_b_[d] == 0) {
        context.fail("output shape", "the operands' broadcast", octet::str(sizes_[d], " in dimension ", d));
      }
    }
  }
}

}  // namespace octet::integer

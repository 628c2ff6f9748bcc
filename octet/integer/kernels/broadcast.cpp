#include "octet/integer/kernels/broadcast.h"

#include <algorithm>

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
    : count_(context.output().numel()) {
  const std::vector<int64_t>& sizes = context.output().shape;
  const size_t rank = std::max(a.shape.size(), b.shape.size());
  if (sizes.size() != rank) {
    context.fail("dimensions of the output", octet::str(rank, ", as the operands have"), std::to_string(sizes.size()));
  }
  const std::vector<int64_t> steps_a = steps(context, a, sizes), steps_b = steps(context, b, sizes);
  for (size_t d = 0; d < sizes.size(); ++d) {
    if (sizes[d] == 1) continue;
    if (steps_a[d] == 0 && steps_b[d] == 0) {  // legal where each operand stretches along another dimension
      context.fail("output shape", "the operands' broadcast", octet::str(sizes[d], " in dimension ", d));
    }
    const Dimension next = {sizes[d], steps_a[d], steps_b[d]};
    // What the dimension before it steps over is this one: they are one.
    if (!outer_.empty() && outer_.back().a == next.a * next.size && outer_.back().b == next.b * next.size) {
      outer_.back() = {outer_.back().size * next.size, next.a, next.b};
    } else {
      outer_.push_back(next);
    }
  }
  if (outer_.empty()) return;
  run_ = outer_.back();
  outer_.pop_back();
}

}  // namespace octet::integer

#include "octet/lowering/resampling.h"

#include <ATen/Functions.h>
#include <ATen/core/grad_mode.h>

#include "octet/support/error.h"

namespace octet::lowering {
namespace {

// The resize on another image of the same height and width, by its own scales or by the sizes alone.
at::Tensor resized(const Node& resize, const at::Tensor& image, bool by_sizes) {
  const at::NoGradGuard no_grad;
  const std::vector<int64_t>& out = resize.sizes();
  torch::jit::Stack stack;
  const auto& formals = resize.op().schema().arguments();
  for (size_t i = 0; i < formals.size(); ++i) {
    if (i == 0) {
      stack.emplace_back(image);
    } else if (by_sizes && formals[i].name() == "output_size") {
      stack.emplace_back(std::vector<int64_t>(out.begin() + 2, out.end()));
    } else if (by_sizes && formals[i].name() == "scale_factors") {
      stack.emplace_back();
    } else {
      if (!resize.arg(i).is_constant()) throw Error(resize.where(), "its size is computed by the program");
      stack.push_back(resize.arg(i).constant());
    }
  }
  resize.op().handle().callBoxed(&stack);
  return stack.front().toTensor();
}

// An image [1, 1, H, W] of which each pixel is the number of its row (0) or column (1).
at::Tensor numbered(const Node& resize, size_t axis) {
  const std::vector<int64_t>& in = resize.arg(size_t{0}).node()->sizes();
  const at::Tensor numbers = at::arange(in[2 + axis], at::kFloat);
  return numbers.view(axis == 0 ? at::IntArrayRef{1, 1, in[2], 1} : at::IntArrayRef{1, 1, 1, in[3]})
      .expand({1, 1, in[2], in[3]})
      .contiguous();
}

}  // namespace

bool resizes_by_sizes(const Node& resize) {
  if (!resize.has_arg("scale_factors") || resize.arg("scale_factors").is_none()) return true;
  if (resize.sizes().size() != 4 || resize.arg(size_t{0}).node() == nullptr) return true;  // for others to judge
  constexpr double kRounding = 1e-3;                                                       // of a pixel
  for (const size_t axis : {size_t{0}, size_t{1}}) {
    const at::Tensor image = numbered(resize, axis);
    const at::Tensor apart = (resized(resize, image, false) - resized(resize, image, true)).abs();
    if (apart.numel() > 0 && apart.max().item<double>() > kRounding) return false;
  }
  return true;
}

std::array<std::vector<int64_t>, 2> nearest_places(const Node& resize) {
  std::array<std::vector<int64_t>, 2> places;
  for (const size_t axis : {size_t{0}, size_t{1}}) {
    const at::Tensor read = resized(resize, numbered(resize, axis), false).select(0, 0).select(0, 0);
    const at::Tensor line = read.select(axis == 0 ? 1 : 0, 0).to(at::kLong).contiguous();
    places[axis].assign(line.const_data_ptr<int64_t>(), line.const_data_ptr<int64_t>() + line.numel());
  }
  return places;
}

}  // namespace octet::lowering

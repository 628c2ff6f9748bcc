// Operators that a program leaves in float32: islands between DEQUANTIZE and QUANTIZE. ATen computes what is the same
// in every order.

#include "octet/integer/kernels/float_ops.h"

#include <ATen/ExpandUtils.h>

#include <limits>
#include <numeric>

#include "octet/integer/executor.h"
#include "octet/integer/kernel_table.h"
#include "octet/integer/kernels/float_in_order.h"
#include "octet/integer/kernels/reduction.h"
#include "octet/support/error.h"

namespace octet::integer {

using tflite::Activation;
using tflite::Tensor;
using tflite::Type;

at::Tensor activated(const at::Tensor& x, Activation activation) {
  switch (activation) {
    case Activation::kNone:
      return x;
    case Activation::kRelu:
      return x.clamp_min(0);
    case Activation::kReluN1To1:
      return x.clamp(-1, 1);
    case Activation::kRelu6:
      return x.clamp(0, 6);
  }
  return x;
}

void require_bias(const KernelContext& context, size_t index, int64_t channels) {
  if (!context.has_input(index)) return;
  const int64_t count = context.input(index).numel();
  if (count != channels) context.fail("biases", std::to_string(channels), std::to_string(count));
}

at::Tensor bias_of(const std::vector<at::Tensor>& inputs, size_t index) {
  return index < inputs.size() && inputs[index].defined() ? inputs[index].reshape({-1}) : at::Tensor();
}

namespace {

using Inputs = std::vector<at::Tensor>;
using Shape = std::vector<int64_t>;

at::Tensor view(const Values& values, const Tensor& tensor, int32_t index) {
  return at::from_blob(values.at<void>(index), tensor.shape, at::TensorOptions(scalar_type(tensor.type)));
}

// ATen's own message, without the trace of calls.
template <typename Call>
auto explained(const std::string& where, Call call) {
  try {
    return call();
  } catch (const c10::Error& error) {
    throw Error(where, error.what_without_backtrace());
  }
}

void require_output(const KernelContext& context, at::IntArrayRef wanted) {
  const std::vector<int64_t>& got = context.output().shape;
  if (wanted == got) return;
  context.fail("output shape", octet::str("[", join(", ", wanted), "]"), octet::str("[", join(", ", got), "]"));
}

}  // namespace

MakeFloat of_one(std::function<at::Tensor(const at::Tensor&)> function) {
  return [function = std::move(function)](const KernelContext& context) -> FloatFunction {
    require_output(context, context.input(0).shape);
    return [function](const Inputs& inputs) { return function(inputs[0]); };
  };
}

MakeFloat with_options(at::Tensor (*function)(const at::Tensor&, const tflite::Options&)) {
  return [function](const KernelContext& context) -> FloatFunction {
    require_output(context, context.input(0).shape);
    return [function, how = context.op.options](const Inputs& inputs) { return function(inputs[0], how); };
  };
}

MakeFloat of_two(at::Tensor (*function)(const at::Tensor&, const at::Tensor&)) {
  return [function](const KernelContext& context) -> FloatFunction {
    require_output(context, explained(context.where(),
                                      [&] { return at::infer_size(context.input(0).shape, context.input(1).shape); }));
    const Activation activation = context.op.options.activation;
    return [=](const Inputs& inputs) { return activated(function(inputs[0], inputs[1]), activation); };
  };
}

FloatFunction float_fully_connected(const KernelContext& context) {
  const Tensor& weight = context.input(1);
  context.require_rank(weight, 2);
  const int64_t depth = weight.shape[1], channels = weight.shape[0];
  const int64_t elements = context.input(0).numel();
  if (depth < 1 || elements % depth != 0 || context.output().numel() != elements / depth * channels) {
    context.fail("elements", octet::str("a multiple of ", depth, " in, as many times ", channels, " out"),
                 octet::str(elements, " and ", context.output().numel()));
  }
  require_bias(context, 2, channels);
  const Activation activation = context.op.options.activation;
  return [=, shape = context.output().shape](const Inputs& inputs) {
    at::Tensor y = product(inputs[0].reshape({-1, depth}), inputs[1].t());
    if (const at::Tensor bias = bias_of(inputs, 2); bias.defined()) y += bias;
    return activated(y.reshape(shape), activation);
  };
}

FloatFunction float_batch_matmul(const KernelContext& context) {
  std::vector<int64_t> left = context.input(0).shape, right = context.input(1).shape;
  if (left.size() < 2 || right.size() < 2) context.fail("dimensions", "at least 2", "fewer");
  const bool adj_x = context.op.options.adj_x, adj_y = context.op.options.adj_y;
  if (adj_x) std::swap(left.end()[-1], left.end()[-2]);
  if (adj_y) std::swap(right.end()[-1], right.end()[-2]);
  if (left.back() != right.end()[-2]) {
    context.fail("depth", std::to_string(left.back()), std::to_string(right.end()[-2]));
  }
  const std::vector<int64_t> batch = explained(context.where(), [&] {
    return at::infer_size(at::IntArrayRef(left.data(), left.size() - 2),
                          at::IntArrayRef(right.data(), right.size() - 2));
  });
  const auto in_batch = [&](const std::vector<int64_t>& matrix) {
    std::vector<int64_t> sizes = batch;
    sizes.insert(sizes.end(), {matrix.end()[-2], matrix.back()});
    return sizes;
  };
  const std::vector<int64_t> lefts = in_batch(left), rights = in_batch(right);
  const std::vector<int64_t> shape = in_batch({left.end()[-2], right.back()});
  const int64_t count = std::accumulate(batch.begin(), batch.end(), int64_t{1}, std::multiplies<>());
  require_output(context, shape);
  return [=](const Inputs& inputs) {
    const auto matrices = [&](const at::Tensor& x, bool turned, const std::vector<int64_t>& sizes) {
      return (turned ? x.transpose(-2, -1) : x).expand(sizes).reshape({count, sizes.end()[-2], sizes.back()});
    };
    const at::Tensor x = matrices(inputs[0], adj_x, lefts), y = matrices(inputs[1], adj_y, rights);
    std::vector<at::Tensor> products;
    for (int64_t i = 0; i < x.size(0); ++i) products.push_back(product(x[i], y[i]));
    return products.empty() ? at::zeros(shape) : at::stack(products).reshape(shape);
  };
}

namespace {

template <typename Number>
at::Tensor reduced(const Reduction& reduction, tflite::OpCode code, const at::Tensor& x, const Shape& shape) {
  using Limits = std::numeric_limits<Number>;
  constexpr Number kMost = Limits::has_infinity ? Limits::infinity() : Limits::max();
  constexpr Number kLeast = Limits::has_infinity ? -Limits::infinity() : Limits::lowest();
  const auto folded = [&](Number start, auto fold) {
    at::Tensor result = at::full(shape, start, x.options());
    reduce(reduction, x.const_data_ptr<Number>(), result.mutable_data_ptr<Number>(), fold);
    return result;
  };
  switch (code) {
    case tflite::OpCode::kReduceMax:
      return folded(kLeast, [](Number most, Number value) { return std::max(most, value); });
    case tflite::OpCode::kReduceMin:
      return folded(kMost, [](Number least, Number value) { return std::min(least, value); });
    default:
      return folded(0, [](Number sum, Number value) { return wrapping_plus(sum, value); });
  }
}

}  // namespace

FloatFunction float_reduction(const KernelContext& context) {
  const Reduction reduction(context);
  const tflite::OpCode code = context.op.code;
  return [=, shape = context.output().shape](const Inputs& inputs) {
    const at::Tensor x = inputs[0].contiguous();
    if (x.scalar_type() == at::kInt) return reduced<int32_t>(reduction, code, x, shape);
    if (x.scalar_type() == at::kLong) return reduced<int64_t>(reduction, code, x, shape);
    const at::Tensor result = reduced<float>(reduction, code, x, shape);
    return code == tflite::OpCode::kMean ? result / static_cast<double>(reduction.count()) : result;
  };
}

void require_broadcast(const KernelContext& context, std::initializer_list<size_t> inputs) {
  require_output(context, explained(context.where(), [&] {
                   std::vector<int64_t> shape;
                   for (const size_t index : inputs) shape = at::infer_size(shape, context.input(index).shape);
                   return shape;
                 }));
}

Kernel make_of_tensors(const KernelContext& context, FloatFunction function, size_t skipped) {
  std::vector<std::pair<int32_t, Tensor>> operands;  // shape and type of each, without data
  for (size_t i = 0; i < context.input_count(); ++i) {
    operands.emplace_back(-1, Tensor{});
    if (i == skipped || !context.has_input(i)) continue;
    operands[i].first = context.input_index(i);
    operands[i].second.type = context.input(i).type;
    operands[i].second.shape = context.input(i).shape;
  }
  const std::string where = context.where();
  Tensor output;
  output.type = context.output().type;
  output.shape = context.output().shape;
  const auto out = context.output_index();
  return [=, function = std::move(function)](const Values& values) {
    explained(where, [&] {
      Inputs inputs;
      for (const auto& [index, tensor] : operands) {
        inputs.push_back(index < 0 ? at::Tensor() : view(values, tensor, index));
      }
      const at::Tensor result = function(inputs);
      if (result.sizes() != output.shape) throw Error(where, octet::str("gives the shape ", result.sizes()));
      view(values, output, out).copy_(result);
    });
  };
}

Kernel make_float(const KernelContext& context, const KernelRow& row) {
  for (size_t i = 0; i < context.input_count(); ++i) {
    if (i != row.indices && context.has_input(i)) context.require_type(context.input(i), context.output().type);
  }
  if (!row.float32) throw Error(context.where(), "octet's executor has no float32 kernel for it");
  return make_of_tensors(context, row.float32(context), row.indices);
}

Kernel make_cast(const KernelContext& context) {
  const Tensor& input = context.input(0);
  const Tensor& output = context.output();
  context.require_same_shape(input, output);
  const std::vector<int64_t> shape = input.shape;
  const at::TensorOptions from_type(scalar_type(input.type)), to_type(scalar_type(output.type));
  const auto in = context.input_index(0);
  const auto out = context.output_index();
  return [=](const Values& values) {
    at::from_blob(values.at<void>(out), shape, to_type).copy_(at::from_blob(values.at<void>(in), shape, from_type));
  };
}

}  // namespace octet::integer

// Operators that move values without computing any.

#include <cstring>

#include "octet/integer/fixed_point.h"
#include "octet/integer/kernel.h"
#include "octet/support/error.h"

namespace octet::integer {

using tflite::OpCode;
using tflite::Tensor;
using tflite::Type;

namespace {

std::vector<int64_t> steps(const std::vector<int64_t>& shape) {
  std::vector<int64_t> result(shape.size(), 1);
  for (size_t d = shape.size(); d-- > 1;) result[d - 1] = result[d] * shape[d];
  return result;
}

void require_same_type(const KernelContext& context, const Tensor& a, const Tensor& b) {
  context.require_type(b, a.type);
  if (a.type == Type::kInt8) context.require_same_grid(a, b);
}

// Copies `count` elements of `size` bytes; from(i) is the place that element i comes from, or -1 for the filler.
Kernel gather(const KernelContext& context, std::vector<int64_t> places, std::vector<uint8_t> filler = {}) {
  const auto in = context.input_index(0);
  const auto out = context.output_index();
  const auto size = static_cast<size_t>(tflite::type_size(context.output().type));
  return [in, out, size, places = std::move(places), filler = std::move(filler)](const Values& values) {
    const auto* x = values.at<const uint8_t>(in);
    auto* y = values.at<uint8_t>(out);
    for (const int64_t place : places) {
      std::memcpy(y, place < 0 ? filler.data() : x + static_cast<size_t>(place) * size, size);
      y += size;
    }
  };
}

// Calls visit for every index of a shape in order.
void each_index(const std::vector<int64_t>& shape, const std::function<void(const std::vector<int64_t>&)>& visit) {
  for (const int64_t size : shape) {
    if (size == 0) return;
  }
  std::vector<int64_t> at(shape.size(), 0);
  while (true) {
    visit(at);
    size_t d = shape.size();
    while (d-- > 0) {
      if (++at[d] < shape[d]) break;
      at[d] = 0;
      if (d == 0) return;
    }
    if (shape.empty()) return;
  }
}

int64_t dimension(const KernelContext& context, int64_t axis, size_t rank) {
  const auto count = static_cast<int64_t>(rank);
  if (axis < -count || axis >= count)
    context.fail("axis", octet::str("within ", count, " dimensions"), std::to_string(axis));
  return axis < 0 ? axis + count : axis;
}

}  // namespace

Kernel make_concatenation(const KernelContext& context) {
  const Tensor& output = context.output();
  const auto axis = static_cast<size_t>(dimension(context, context.op.options.axis, output.shape.size()));
  int64_t outer = 1, inner = tflite::type_size(output.type), total = 0;
  for (size_t d = 0; d < output.shape.size(); ++d) {
    if (d < axis) outer *= output.shape[d];
    if (d > axis) inner *= output.shape[d];
  }
  std::vector<std::pair<int32_t, int64_t>> parts;  // tensor, bytes of a run
  for (size_t i = 0; i < context.input_count(); ++i) {
    const Tensor& input = context.input(i);
    require_same_type(context, output, input);
    context.require_rank(input, output.shape.size());
    for (size_t d = 0; d < output.shape.size(); ++d) {
      if (d != axis && input.shape[d] != output.shape[d]) {
        context.fail(octet::str("dimension ", d, " of '", input.name, "'"), std::to_string(output.shape[d]),
                     std::to_string(input.shape[d]));
      }
    }
    total += input.shape[axis];
    parts.emplace_back(context.input_index(i), input.shape[axis] * inner);
  }
  if (total != output.shape[axis]) {
    context.fail("output size", std::to_string(total), std::to_string(output.shape[axis]));
  }
  const auto out = context.output_index();
  return [=](const Values& values) {
    auto* y = values.at<uint8_t>(out);
    for (int64_t i = 0; i < outer; ++i) {
      for (const auto& [tensor, bytes] : parts) {
        std::memcpy(y, values.at<const uint8_t>(tensor) + i * bytes, static_cast<size_t>(bytes));
        y += bytes;
      }
    }
  };
}

Kernel make_reshape(const KernelContext& context) {
  const Tensor& input = context.input(0);
  const Tensor& output = context.output();
  require_same_type(context, input, output);
  if (input.numel() != output.numel()) {
    context.fail("elements of the output", std::to_string(input.numel()), std::to_string(output.numel()));
  }
  const auto in = context.input_index(0);
  const auto out = context.output_index();
  const auto bytes = static_cast<size_t>(input.numel() * tflite::type_size(input.type));
  return [=](const Values& values) { std::memcpy(values.at<void>(out), values.at<const void>(in), bytes); };
}

Kernel make_transpose(const KernelContext& context) {
  const Tensor& input = context.input(0);
  const Tensor& output = context.output();
  require_same_type(context, input, output);
  const std::vector<int64_t> order = context.integers(1);
  const size_t rank = input.shape.size();
  if (order.size() != rank || output.shape.size() != rank) {
    context.fail("permutation", octet::str("of ", rank, " dimensions"), octet::str("of ", order.size()));
  }
  std::vector<bool> seen(rank, false);
  const std::vector<int64_t> from = steps(input.shape);
  std::vector<int64_t> walk(rank);
  for (size_t d = 0; d < rank; ++d) {
    const auto source = static_cast<size_t>(dimension(context, order[d], rank));
    if (seen[source] || output.shape[d] != input.shape[source]) {
      context.fail("permutation", "each dimension once, sizes kept", octet::str("[", c10::Join(", ", order), "]"));
    }
    seen[source] = true;
    walk[d] = from[source];
  }
  std::vector<int64_t> places;
  each_index(output.shape, [&](const std::vector<int64_t>& at) {
    int64_t place = 0;
    for (size_t d = 0; d < rank; ++d) place += at[d] * walk[d];
    places.push_back(place);
  });
  return gather(context, std::move(places));
}

Kernel make_pad(const KernelContext& context) {
  const Tensor& input = context.input(0);
  const Tensor& output = context.output();
  require_same_type(context, input, output);
  const std::vector<int64_t> paddings = context.integers(1);
  const size_t rank = input.shape.size();
  if (paddings.size() != 2 * rank || output.shape.size() != rank) {
    context.fail("paddings", octet::str("two for each of ", rank, " dimensions"), std::to_string(paddings.size()));
  }
  const bool mirrors = context.op.code == OpCode::kMirrorPad;
  const int64_t skip = context.op.options.mirror_mode == 0 ? 1 : 0;  // reflect leaves the border out
  for (size_t d = 0; d < rank; ++d) {
    const int64_t before = paddings[2 * d], after = paddings[2 * d + 1];
    const int64_t most = mirrors ? input.shape[d] - skip : int64_t{INT32_MAX};
    if (before < 0 || after < 0 || before > most || after > most) {
      context.fail(octet::str("padding of dimension ", d), octet::str("0 to ", most),
                   octet::str(before, " and ", after));
    }
    if (output.shape[d] != input.shape[d] + before + after) {
      context.fail(octet::str("output size of dimension ", d), std::to_string(input.shape[d] + before + after),
                   std::to_string(output.shape[d]));
    }
  }
  std::vector<uint8_t> filler(static_cast<size_t>(tflite::type_size(input.type)), 0);
  if (input.type == Type::kInt8) filler[0] = static_cast<uint8_t>(context.zero_point(output));
  if (context.op.code == OpCode::kPadV2) {
    const Tensor& value = context.input(2);
    require_same_type(context, input, value);
    if (!value.is_constant || value.data.size() != filler.size()) {
      context.fail("padding value", "one constant", "something else");
    }
    filler = value.data;
  }
  const std::vector<int64_t> from = steps(input.shape);
  std::vector<int64_t> places;
  each_index(output.shape, [&](const std::vector<int64_t>& at) {
    int64_t place = 0;
    for (size_t d = 0; d < rank; ++d) {
      int64_t source = at[d] - paddings[2 * d];
      if (source < 0 || source >= input.shape[d]) {
        if (!mirrors) {
          places.push_back(-1);
          return;
        }
        source = source < 0 ? -source - 1 + skip : 2 * input.shape[d] - 1 - skip - source;
      }
      place += source * from[d];
    }
    places.push_back(place);
  });
  return gather(context, std::move(places), std::move(filler));
}

Kernel make_slice(const KernelContext& context) {
  const Tensor& input = context.input(0);
  const Tensor& output = context.output();
  require_same_type(context, input, output);
  const std::vector<int64_t> begin = context.integers(1);
  const std::vector<int64_t> size = context.integers(2);
  const size_t rank = input.shape.size();
  if (begin.size() != rank || size.size() != rank || output.shape.size() != rank) {
    context.fail("begin and size", octet::str("one for each of ", rank, " dimensions"),
                 octet::str(begin.size(), " and ", size.size()));
  }
  for (size_t d = 0; d < rank; ++d) {
    const bool begins = begin[d] >= 0 && begin[d] <= input.shape[d];
    const int64_t rest = begins ? input.shape[d] - begin[d] : 0;
    const int64_t wanted = size[d] == -1 ? rest : size[d];
    if (!begins || wanted < 0 || wanted > rest || output.shape[d] != wanted) {
      context.fail(octet::str("slice of dimension ", d), octet::str("within ", input.shape[d]),
                   octet::str(begin[d], " and ", size[d], " more"));
    }
  }
  const std::vector<int64_t> from = steps(input.shape);
  std::vector<int64_t> places;
  each_index(output.shape, [&](const std::vector<int64_t>& at) {
    int64_t place = 0;
    for (size_t d = 0; d < rank; ++d) place += (at[d] + begin[d]) * from[d];
    places.push_back(place);
  });
  return gather(context, std::move(places));
}

Kernel make_split(const KernelContext& context) {
  // SPLIT reads its axis first, SPLIT_V the value, the sizes and the axis.
  const bool sized = context.op.code == OpCode::kSplitV;
  const size_t value = sized ? 0 : 1;
  const Tensor& input = context.input(value);
  const auto axes = context.integers(sized ? 2 : 0);
  if (axes.size() != 1) context.fail("axis", "one number", std::to_string(axes.size()));
  const auto axis = static_cast<size_t>(dimension(context, axes[0], input.shape.size()));
  int64_t outer = 1, inner = tflite::type_size(input.type), total = 0;
  for (size_t d = 0; d < input.shape.size(); ++d) {
    if (d < axis) outer *= input.shape[d];
    if (d > axis) inner *= input.shape[d];
  }
  std::vector<std::pair<int32_t, int64_t>> parts;
  for (size_t i = 0; i < context.op.outputs.size(); ++i) {
    const Tensor& output = context.output(i);
    require_same_type(context, input, output);
    context.require_rank(output, input.shape.size());
    total += output.shape[axis];
    if (output.numel() * tflite::type_size(input.type) != outer * inner * output.shape[axis]) {
      context.fail("shape of '" + output.name + "'", "the input's but for the axis", "another");
    }
    parts.emplace_back(context.output_index(i), output.shape[axis] * inner);
  }
  if (total != input.shape[axis]) context.fail("sizes", std::to_string(input.shape[axis]), std::to_string(total));
  const auto in = context.input_index(value);
  return [=](const Values& values) {
    const auto* x = values.at<const uint8_t>(in);
    for (int64_t i = 0; i < outer; ++i) {
      for (const auto& [tensor, bytes] : parts) {
        std::memcpy(values.at<uint8_t>(tensor) + i * bytes, x, static_cast<size_t>(bytes));
        x += bytes;
      }
    }
  };
}

Kernel make_quantize(const KernelContext& context) {
  const Tensor& input = context.input(0);
  const Tensor& output = context.output();
  context.require_type(output, Type::kInt8);
  context.require_same_shape(input, output);
  const int32_t out_zero = context.zero_point(output);
  const float out_scale = context.scale(output);
  const auto in = context.input_index(0);
  const auto out = context.output_index();
  const int64_t count = input.numel();
  if (input.type == Type::kFloat32) {
    return [=](const Values& values) {
      const auto* x = values.at<const float>(in);
      auto* y = values.at<int8_t>(out);
      for (int64_t i = 0; i < count; ++i) y[i] = quantize_level(x[i], out_scale, out_zero);
    };
  }
  context.require_type(input, Type::kInt8);
  const int32_t in_zero = context.zero_point(input);
  const Multiplier factor =
      quantize_multiplier(static_cast<double>(context.scale(input)) / static_cast<double>(out_scale));
  return [=](const Values& values) {
    const auto* x = values.at<const int8_t>(in);
    auto* y = values.at<int8_t>(out);
    for (int64_t i = 0; i < count; ++i) y[i] = clamp_int8(multiply(x[i] - in_zero, factor) + out_zero);
  };
}

Kernel make_dequantize(const KernelContext& context) {
  const Tensor& input = context.input(0);
  const Tensor& output = context.output();
  context.require_type(input, Type::kInt8);
  context.require_type(output, Type::kFloat32);
  context.require_same_shape(input, output);
  const int32_t zero_point = context.zero_point(input);
  const float scale = context.scale(input);
  const auto in = context.input_index(0);
  const auto out = context.output_index();
  const int64_t count = input.numel();
  return [=](const Values& values) {
    const auto* x = values.at<const int8_t>(in);
    auto* y = values.at<float>(out);
    for (int64_t i = 0; i < count; ++i) y[i] = dequantize_level(x[i], scale, zero_point);
  };
}

}  // namespace octet::integer

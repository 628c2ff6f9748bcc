// Operators that move values without computing any.

#include <cstring>

#include "octet/integer/fixed_point.h"
#include "octet/integer/grid.h"
#include "octet/integer/kernels/places.h"
#include "octet/support/error.h"

namespace octet::integer {

using tflite::OpCode;
using tflite::Tensor;
using tflite::Type;

Kernel make_concatenation(const KernelContext& context) {
  const Tensor& output = context.output();
  const size_t axis = dimension(context, context.op.options.axis, output.shape.size());
  int64_t outer = 1, inner = tflite::type_size(output.type), total = 0;
  for (size_t d = 0; d < output.shape.size(); ++d) {
    if (d < axis) outer *= output.shape[d];
    if (d > axis) inner *= output.shape[d];
  }
  std::vector<std::pair<int32_t, int64_t>> parts;  // tensor, bytes of a run
  for (size_t i = 0; i < context.input_count(); ++i) {
    const Tensor& input = context.input(i);
    require_same_values(context, output, input);
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
  require_same_values(context, input, output);
  context.require_named_shape(1);
  if (input.numel() != output.numel()) {
    context.fail("elements of the output", std::to_string(input.numel()), std::to_string(output.numel()));
  }
  const auto bytes = static_cast<size_t>(input.numel() * tflite::type_size(input.type));
  return make_from_to<uint8_t, uint8_t>(context, [=](const uint8_t* x, uint8_t* y) { std::memcpy(y, x, bytes); });
}

Kernel make_shape(const KernelContext& context) {
  const Tensor& output = context.output();
  const std::vector<int64_t> sizes = context.input(0).shape;
  if (output.type != Type::kInt32 && output.type != Type::kInt64) {
    context.fail("type of the output", "int32 or int64", tflite::type_name(output.type));
  }
  if (output.shape != std::vector<int64_t>{static_cast<int64_t>(sizes.size())}) {
    context.fail("output shape", octet::str("[", sizes.size(), "]"), octet::str("[", join(", ", output.shape), "]"));
  }
  return [=, out = context.output_index(), is_wide = output.type == Type::kInt64](const Values& values) {
    for (size_t d = 0; d < sizes.size(); ++d) {
      const auto narrow = static_cast<int32_t>(sizes[d]);
      if (is_wide) {
        std::memcpy(values.at<uint8_t>(out) + d * sizeof sizes[d], &sizes[d], sizeof sizes[d]);
      } else {
        std::memcpy(values.at<uint8_t>(out) + d * sizeof narrow, &narrow, sizeof narrow);
      }
    }
  };
}

Kernel make_split(const KernelContext& context) {
  // SPLIT reads its axis first, SPLIT_V the value, the sizes and the axis.
  const bool sized = context.op.code == OpCode::kSplitV;
  const size_t value = sized ? 0 : 1;
  const Tensor& input = context.input(value);
  const auto axes = context.integers(sized ? 2 : 0);
  if (axes.size() != 1) context.fail("axis", "one number", std::to_string(axes.size()));
  const size_t axis = dimension(context, axes[0], input.shape.size());
  int64_t outer = 1, inner = tflite::type_size(input.type), total = 0;
  for (size_t d = 0; d < input.shape.size(); ++d) {
    if (d < axis) outer *= input.shape[d];
    if (d > axis) inner *= input.shape[d];
  }
  std::vector<std::pair<int32_t, int64_t>> parts;
  for (size_t i = 0; i < context.op.outputs.size(); ++i) {
    const Tensor& output = context.output(i);
    require_same_values(context, input, output);
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

// Inputs of one shape, one behind the other along a new dimension.
Kernel make_pack(const KernelContext& context) {
  const Tensor& output = context.output();
  const size_t axis = dimension(context, context.op.options.axis, output.shape.size());
  if (output.shape[axis] != static_cast<int64_t>(context.input_count())) {
    context.fail(octet::str("size of dimension ", axis), std::to_string(context.input_count()),
                 std::to_string(output.shape[axis]));
  }
  std::vector<int64_t> each = output.shape;
  each.erase(each.begin() + static_cast<int64_t>(axis));
  int64_t outer = 1;
  for (size_t d = 0; d < axis; ++d) outer *= output.shape[d];
  std::vector<int32_t> parts;
  for (size_t i = 0; i < context.input_count(); ++i) {
    const Tensor& input = context.input(i);
    require_same_values(context, output, input);
    if (input.shape != each) context.fail("shape of '" + input.name + "'", "the output's less one", "another");
    parts.push_back(context.input_index(i));
  }
  const int64_t bytes = outer == 0 ? 0 : context.input(0).numel() / outer * tflite::type_size(output.type);
  const auto out = context.output_index();
  return [=](const Values& values) {
    auto* y = values.at<uint8_t>(out);
    for (int64_t i = 0; i < outer; ++i) {
      for (const int32_t part : parts) {
        std::memcpy(y, values.at<const uint8_t>(part) + i * bytes, static_cast<size_t>(bytes));
        y += bytes;
      }
    }
  };
}

Kernel make_gather(const KernelContext& context) {
  const Tensor& input = context.input(0);
  const Tensor& indices = context.input(1);
  const Tensor& output = context.output();
  require_same_values(context, input, output);
  if (indices.type != Type::kInt64) context.require_type(indices, Type::kInt32);
  if (context.op.options.batch_dims != 0) {
    context.fail("batch dimensions", "0", std::to_string(context.op.options.batch_dims));
  }
  const size_t axis = dimension(context, context.op.options.axis, input.shape.size());
  std::vector<int64_t> shape = input.shape;
  shape.erase(shape.begin() + static_cast<int64_t>(axis));
  shape.insert(shape.begin() + static_cast<int64_t>(axis), indices.shape.begin(), indices.shape.end());
  if (output.shape != shape) {
    context.fail("output shape", octet::str("[", join(", ", shape), "]"),
                 octet::str("[", join(", ", output.shape), "]"));
  }
  int64_t outer = 1, inner = tflite::type_size(input.type);
  for (size_t d = 0; d < input.shape.size(); ++d) {
    if (d < axis) outer *= input.shape[d];
    if (d > axis) inner *= input.shape[d];
  }
  const int64_t size = input.shape[axis], count = indices.numel();
  const bool wide = indices.type == Type::kInt64;
  const auto in = context.input_index(0);
  const auto which = context.input_index(1);
  const auto out = context.output_index();
  const std::string where = context.where();
  return [=](const Values& values) {
    const auto* x = values.at<const uint8_t>(in);
    auto* y = values.at<uint8_t>(out);
    for (int64_t i = 0; i < outer; ++i, x += size * inner) {
      for (int64_t k = 0; k < count; ++k, y += inner) {
        const int64_t index = wide ? values.at<const int64_t>(which)[k] : values.at<const int32_t>(which)[k];
        if (index < 0 || index >= size) {
          throw expected(where, "index", octet::str("0 to ", size - 1), std::to_string(index));
        }
        std::memcpy(y, x + index * inner, static_cast<size_t>(inner));
      }
    }
  };
}

Kernel make_quantize(const KernelContext& context) {
  const Tensor& input = context.input(0);
  const Tensor& output = context.output();
  context.require_levels(output);
  context.require_same_shape(input, output);
  if (is_level_type(input.type)) {
    context.require_levels(input);
    return make_rescale(context);
  }
  context.require_type(input, Type::kFloat32);
  const int32_t zero_point = context.zero_point(output);
  const float scale = context.scale(output);
  const int64_t count = input.numel();
  return with_level_type(output.type, [&]<typename Level>(Level) {
    return make_from_to<float, Level>(context, [=](const float* x, Level* y) {
      for (int64_t i = 0; i < count; ++i) y[i] = quantize_level<Level>(x[i], scale, zero_point);
    });
  });
}

Kernel make_dequantize(const KernelContext& context) {
  const Tensor& input = context.input(0);
  const Tensor& output = context.output();
  context.require_levels(input);
  context.require_type(output, Type::kFloat32);
  context.require_same_shape(input, output);
  const int32_t zero_point = context.zero_point(input);
  const float scale = context.scale(input);
  const int64_t count = input.numel();
  return with_level_type(input.type, [&]<typename Level>(Level) {
    return make_from_to<Level, float>(context, [=](const Level* x, float* y) {
      for (int64_t i = 0; i < count; ++i) y[i] = dequantize_level(x[i], scale, zero_point);
    });
  });
}

}  // namespace octet::integer

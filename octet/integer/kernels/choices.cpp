// Comparisons, logic, choices by a condition, and what stands in order of size.

#include <ATen/Functions.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "octet/integer/kernels/float_ops.h"
#include "octet/integer/kernels/places.h"
#include "octet/integer/kernels/reduction.h"
#include "octet/support/error.h"

namespace octet::integer {

using tflite::OpCode;
using tflite::Tensor;
using tflite::Type;

namespace {

using Inputs = std::vector<at::Tensor>;

// Calls `call` with a 0 of the type that the tensor's elements have, levels and numbers alike.
template <typename Call>
auto with_number_type(const KernelContext& context, const Tensor& tensor, Call call) {
  switch (tensor.type) {
    case Type::kFloat32:
      return call(float{});
    case Type::kInt32:
      return call(int32_t{});
    case Type::kInt64:
      return call(int64_t{});
    case Type::kInt16:
      return call(int16_t{});
    case Type::kInt8:
      return call(int8_t{});
    case Type::kUInt8:
      return call(uint8_t{});
    default:
      context.fail("type of '" + tensor.name + "'", "a number", tflite::type_name(tensor.type));
  }
}

// A tensor's elements seen from one of its dimensions.
struct Line {
  int64_t outer = 1, size = 1, inner = 1;
};

Line line_of(const std::vector<int64_t>& shape, size_t axis) {
  Line line;
  line.size = shape[axis];
  for (size_t d = 0; d < axis; ++d) line.outer *= shape[d];
  for (size_t d = axis + 1; d < shape.size(); ++d) line.inner *= shape[d];
  return line;
}

int64_t one_number(const KernelContext& context, size_t index, const char* what) {
  const std::vector<int64_t> numbers = context.integers(index);
  if (numbers.size() != 1) context.fail(what, "one number", std::to_string(numbers.size()));
  return numbers.front();
}

void require_shape(const KernelContext& context, const Tensor& tensor, const std::vector<int64_t>& wanted) {
  if (tensor.shape == wanted) return;
  context.fail("shape of '" + tensor.name + "'", octet::str("[", join(", ", wanted), "]"),
               octet::str("[", join(", ", tensor.shape), "]"));
}

bool is_number(Type type) { return type == Type::kFloat32 || type == Type::kInt32 || type == Type::kInt64; }

at::Tensor compared(OpCode code, const at::Tensor& a, const at::Tensor& b) {
  switch (code) {
    case OpCode::kEqual:
      return at::eq(a, b);
    case OpCode::kNotEqual:
      return at::ne(a, b);
    case OpCode::kLess:
      return at::lt(a, b);
    case OpCode::kLessEqual:
      return at::le(a, b);
    case OpCode::kGreater:
      return at::gt(a, b);
    default:
      return at::ge(a, b);
  }
}

// The greatest first, of equals the one that stands first; what is no number before all.
template <typename Number>
bool stands_before(const Number* x, int64_t a, int64_t b) {
  if constexpr (std::is_floating_point_v<Number>) {
    if (std::isnan(x[a]) != std::isnan(x[b])) return std::isnan(x[a]);
  }
  return x[a] > x[b] || (!(x[b] > x[a]) && a < b);
}

// Rounded down, and what is left then: the C++ operators trap on the least number by -1.
template <typename Number>
Number floor_quotient(Number a, Number b) {
  if (b == -1) return wrapping_plus<Number>(static_cast<Number>(~a), 1);
  return static_cast<Number>(a / b - (a % b != 0 && (a < 0) != (b < 0) ? 1 : 0));
}

template <typename Number>
Number floor_rest(Number a, Number b) {
  if (b == -1) return 0;
  const Number rest = static_cast<Number>(a % b);
  return static_cast<Number>(rest != 0 && (rest < 0) != (b < 0) ? rest + b : rest);
}

template <typename Function>
at::Tensor of_whole_numbers(const at::Tensor& a, const at::Tensor& b, Function function) {
  if (at::eq(b, 0).any().item<bool>()) throw Error("", "divides by 0");
  const std::vector<at::Tensor> both = at::broadcast_tensors({a, b});
  const at::Tensor x = both[0].contiguous(), y = both[1].contiguous();
  at::Tensor result = at::empty_like(x);
  const auto compute = [&]<typename Number>(Number) {
    const auto* from = x.const_data_ptr<Number>();
    const auto* by = y.const_data_ptr<Number>();
    auto* to = result.mutable_data_ptr<Number>();
    for (int64_t i = 0; i < result.numel(); ++i) to[i] = function(from[i], by[i]);
  };
  x.scalar_type() == at::kInt ? compute(int32_t{}) : compute(int64_t{});
  return result;
}

}  // namespace

at::Tensor floor_division(const at::Tensor& a, const at::Tensor& b) {
  if (at::isFloatingType(a.scalar_type())) return at::floor(at::div(a, b));
  return of_whole_numbers(a, b, []<typename Number>(Number x, Number y) { return floor_quotient(x, y); });
}

at::Tensor floor_remainder(const at::Tensor& a, const at::Tensor& b) {
  if (at::isFloatingType(a.scalar_type())) return at::remainder(a, b);
  return of_whole_numbers(a, b, []<typename Number>(Number x, Number y) { return floor_rest(x, y); });
}

Kernel make_comparison(const KernelContext& context) {
  const OpCode code = context.op.code;
  const Tensor& input = context.input(0);
  const bool takes_bool = code == OpCode::kEqual || code == OpCode::kNotEqual;
  if (!is_number(input.type) && !(takes_bool && input.type == Type::kBool)) {
    context.fail("type of '" + input.name + "'",
                 takes_bool ? "float32, int32, int64 or bool" : "float32, int32 or int64",
                 tflite::type_name(input.type));
  }
  context.require_type(context.input(1), input.type);
  context.require_type(context.output(), Type::kBool);
  require_broadcast(context, {0, 1});
  return make_of_tensors(context, [code](const Inputs& in) { return compared(code, in[0], in[1]); });
}

Kernel make_logic(const KernelContext& context) {
  for (size_t i = 0; i < context.input_count(); ++i) context.require_type(context.input(i), Type::kBool);
  context.require_type(context.output(), Type::kBool);
  if (context.op.code == OpCode::kLogicalNot) {
    require_broadcast(context, {0});
    return make_of_tensors(context, [](const Inputs& in) { return at::logical_not(in[0]); });
  }
  require_broadcast(context, {0, 1});
  const bool joins = context.op.code == OpCode::kLogicalAnd;
  return make_of_tensors(context, [joins](const Inputs& in) {
    return joins ? at::logical_and(in[0], in[1]) : at::logical_or(in[0], in[1]);
  });
}

Kernel make_select(const KernelContext& context) {
  context.require_type(context.input(0), Type::kBool);
  for (const size_t chosen : {1, 2}) require_same_values(context, context.output(), context.input(chosen));
  require_broadcast(context, {0, 1, 2});
  return make_of_tensors(context, [](const Inputs& in) { return at::where(in[0], in[1], in[2]); });
}

Kernel make_place_of_extremum(const KernelContext& context) {
  const Tensor& input = context.input(0);
  const Tensor& output = context.output();
  const size_t axis = dimension(context, one_number(context, 1, "axis"), input.shape.size());
  const Line line = line_of(input.shape, axis);
  std::vector<int64_t> shape = input.shape;
  shape.erase(shape.begin() + static_cast<int64_t>(axis));
  require_shape(context, output, shape);
  if (line.size < 1) context.fail("size of the axis", "at least 1", "0");
  if (output.type != Type::kInt64) context.require_type(output, Type::kInt32);
  context.require_type(output, context.op.options.out_type);
  const bool is_wide = output.type == Type::kInt64, is_least = context.op.code == OpCode::kArgMin;
  return with_number_type(context, input, [&]<typename Number>(Number) {
    return make_from_to<Number, uint8_t>(context, [=](const Number* x, uint8_t* y) {
      for (int64_t i = 0; i < line.outer; ++i, x += line.size * line.inner) {
        for (int64_t j = 0; j < line.inner; ++j) {
          int64_t best = 0;
          for (int64_t k = 1; k < line.size; ++k) {
            const Number value = x[k * line.inner + j], most = x[best * line.inner + j];
            if (is_least ? value < most : value > most) best = k;
          }
          const int64_t place = i * line.inner + j;
          if (is_wide) {
            reinterpret_cast<int64_t*>(y)[place] = best;
          } else {
            reinterpret_cast<int32_t*>(y)[place] = static_cast<int32_t>(best);
          }
        }
      }
    });
  });
}

Kernel make_top_k(const KernelContext& context) {
  const Tensor& input = context.input(0);
  const Tensor& output = context.output();
  require_same_values(context, input, output);
  if (input.shape.empty()) context.fail("dimensions", "at least 1", "0");
  if (context.op.outputs.size() != 2) context.fail("outputs", "2", std::to_string(context.op.outputs.size()));
  const int64_t k = one_number(context, 1, "k"), size = input.shape.back();
  if (k < 0 || k > size) context.fail("k", octet::str("0 to ", size), std::to_string(k));
  std::vector<int64_t> shape = input.shape;
  shape.back() = k;
  require_shape(context, output, shape);
  require_shape(context, context.output(1), shape);
  context.require_type(context.output(1), Type::kInt32);
  const int64_t rows = size == 0 ? 0 : input.numel() / size;
  const auto in = context.input_index(0), best = context.output_index(0), which = context.output_index(1);
  return with_number_type(context, input, [&]<typename Number>(Number) -> Kernel {
    return [=](const Values& values) {
      std::vector<int64_t> order(static_cast<size_t>(size));
      for (int64_t row = 0; row < rows; ++row) {
        const Number* x = values.at<const Number>(in) + row * size;
        std::iota(order.begin(), order.end(), 0);
        std::partial_sort(order.begin(), order.begin() + k, order.end(),
                          [x](int64_t a, int64_t b) { return stands_before(x, a, b); });
        for (int64_t i = 0; i < k; ++i) {
          values.at<Number>(best)[row * k + i] = x[order[static_cast<size_t>(i)]];
          values.at<int32_t>(which)[row * k + i] = static_cast<int32_t>(order[static_cast<size_t>(i)]);
        }
      }
    };
  });
}

Kernel make_cumulative_sum(const KernelContext& context) {
  const Tensor& input = context.input(0);
  const Tensor& output = context.output();
  if (!is_number(input.type)) context.require_type(input, Type::kFloat32);
  context.require_type(output, input.type);
  context.require_same_shape(input, output);
  const size_t axis = dimension(context, one_number(context, 1, "axis"), input.shape.size());
  const Line line = line_of(input.shape, axis);
  const bool reverse = context.op.options.reverse, exclusive = context.op.options.exclusive;
  return with_number_type(context, input, [&]<typename Number>(Number) {
    return make_from_to<Number, Number>(context, [=](const Number* x, Number* y) {
      for (int64_t i = 0; i < line.outer * line.inner; ++i) {
        const int64_t first = i / line.inner * line.size * line.inner + i % line.inner;
        Number sum = 0;
        for (int64_t k = 0; k < line.size; ++k) {
          const int64_t place = first + (reverse ? line.size - 1 - k : k) * line.inner;
          const Number next = wrapping_plus(sum, x[place]);
          y[place] = exclusive ? sum : next;
          sum = next;
        }
      }
    });
  });
}

Kernel make_reduced_logic(const KernelContext& context) {
  context.require_type(context.input(0), Type::kBool);
  context.require_type(context.output(), Type::kBool);
  const Reduction reduction(context);
  const int64_t count = context.output().numel();
  const bool is_all = context.op.code == OpCode::kReduceAll;
  return make_from_to<uint8_t, uint8_t>(context, [=](const uint8_t* x, uint8_t* y) {
    std::fill(y, y + count, static_cast<uint8_t>(is_all));
    reduce(reduction, x, y, [is_all](uint8_t so_far, uint8_t value) {
      const bool holds = is_all ? so_far != 0 && value != 0 : so_far != 0 || value != 0;
      return static_cast<uint8_t>(holds);
    });
  });
}

Kernel make_tile(const KernelContext& context) {
  const Tensor& input = context.input(0);
  const Tensor& output = context.output();
  require_same_values(context, input, output);
  const std::vector<int64_t> times = context.integers(1), steps = dense_steps(input.shape);
  const size_t rank = input.shape.size();
  if (times.size() != rank) context.fail("multiples", std::to_string(rank), std::to_string(times.size()));
  std::vector<int64_t> shape = input.shape;
  std::vector<std::vector<int64_t>> places(rank);
  for (size_t d = 0; d < rank; ++d) {
    if (times[d] < 1) context.fail("multiple", "at least 1", std::to_string(times[d]));
    if (__builtin_mul_overflow(shape[d], times[d], &shape[d])) context.fail("multiple", "less", "an absurd one");
  }
  require_shape(context, output, shape);
  for (size_t d = 0; d < rank; ++d) {
    for (int64_t i = 0; i < shape[d]; ++i) places[d].push_back(i % input.shape[d] * steps[d]);
  }
  return make_move(context, std::move(places));
}

Kernel make_reverse(const KernelContext& context) {
  const Tensor& input = context.input(0);
  require_same_values(context, input, context.output());
  context.require_same_shape(input, context.output());
  context.require_rank(context.input(1), 1);
  const size_t rank = input.shape.size();
  const std::vector<int64_t> steps = dense_steps(input.shape);
  std::vector<bool> turned(rank, false);
  for (const int64_t axis : context.integers(1)) turned[dimension(context, axis, rank)] = true;
  std::vector<std::vector<int64_t>> places(rank);
  for (size_t d = 0; d < rank; ++d) {
    const int64_t size = input.shape[d];
    places[d] = turned[d] ? places_in_a_row(size, -steps[d], (size - 1) * steps[d]) : places_in_a_row(size, steps[d]);
  }
  return make_move(context, std::move(places));
}

}  // namespace octet::integer

// Operators whose result is their input seen another way: an element comes from one place, or is the filler.

#include <cstring>

#include "octet/integer/grid.h"
#include "octet/integer/kernels/places.h"
#include "octet/support/error.h"

namespace octet::integer {

using tflite::OpCode;
using tflite::Tensor;
using tflite::Type;

namespace {

using PlacesOfDimensions = std::vector<std::vector<int64_t>>;

void require_shape(const KernelContext& context, const std::vector<int64_t>& wanted) {
  const std::vector<int64_t>& got = context.output().shape;
  if (got == wanted) return;
  context.fail("output shape", octet::str("[", join(", ", wanted), "]"), octet::str("[", join(", ", got), "]"));
}

}  // namespace

Kernel make_transpose(const KernelContext& context) {
  const Tensor& input = context.input(0);
  const Tensor& output = context.output();
  require_same_values(context, input, output);
  const std::vector<int64_t> order = context.integers(1);
  const size_t rank = input.shape.size();
  if (order.size() != rank || output.shape.size() != rank) {
    context.fail("permutation", octet::str("of ", rank, " dimensions"), octet::str("of ", order.size()));
  }
  std::vector<bool> seen(rank, false);
  const std::vector<int64_t> steps = dense_steps(input.shape);
  PlacesOfDimensions places(rank);
  for (size_t d = 0; d < rank; ++d) {
    const size_t source = dimension(context, order[d], rank);
    if (seen[source] || output.shape[d] != input.shape[source]) {
      context.fail("permutation", "each dimension once, sizes kept", octet::str("[", join(", ", order), "]"));
    }
    seen[source] = true;
    places[d] = places_in_a_row(output.shape[d], steps[source]);
  }
  return make_move(context, std::move(places));
}

Kernel make_pad(const KernelContext& context) {
  const Tensor& input = context.input(0);
  const Tensor& output = context.output();
  require_same_values(context, input, output);
  const std::vector<int64_t> paddings = context.integers(1);
  const size_t rank = input.shape.size();
  if (paddings.size() != 2 * rank || output.shape.size() != rank) {
    context.fail("paddings", octet::str("two for each of ", rank, " dimensions"), std::to_string(paddings.size()));
  }
  const bool mirrors = context.op.code == OpCode::kMirrorPad;
  const int64_t skip = context.op.options.mirror_mode == 0 ? 1 : 0;  // reflect leaves the border out
  const std::vector<int64_t> steps = dense_steps(input.shape);
  PlacesOfDimensions places(rank);
  for (size_t d = 0; d < rank; ++d) {
    const int64_t size = input.shape[d], before = paddings[2 * d], after = paddings[2 * d + 1];
    const int64_t most = mirrors ? size - skip : int64_t{INT32_MAX};
    if (before < 0 || after < 0 || before > most || after > most) {
      context.fail(octet::str("padding of dimension ", d), octet::str("0 to ", most),
                   octet::str(before, " and ", after));
    }
    if (output.shape[d] != size + before + after) {
      context.fail(octet::str("output size of dimension ", d), std::to_string(size + before + after),
                   std::to_string(output.shape[d]));
    }
    for (int64_t i = -before; i < size + after; ++i) {
      int64_t source = i;
      if (mirrors && i < 0) source = -i - 1 + skip;
      if (mirrors && i >= size) source = 2 * size - 1 - skip - i;
      places[d].push_back(source < 0 || source >= size ? -1 : source * steps[d]);
    }
  }
  std::vector<uint8_t> filler(static_cast<size_t>(tflite::type_size(input.type)), 0);
  if (input.type == Type::kInt8 || grid_of(input)) {
    const int32_t zero_point = context.zero_point(output);
    std::memcpy(filler.data(), &zero_point, filler.size());  // little-endian
  }
  if (context.op.code == OpCode::kPadV2) {
    const Tensor& value = context.input(2);
    require_same_values(context, input, value);
    if (!value.is_constant || value.data.size() != filler.size()) {
      context.fail("padding value", "one constant", "something else");
    }
    filler = value.data;
  }
  return make_move(context, std::move(places), std::move(filler));
}

Kernel make_slice(const KernelContext& context) {
  const Tensor& input = context.input(0);
  const Tensor& output = context.output();
  require_same_values(context, input, output);
  const std::vector<int64_t> begin = context.integers(1);
  const std::vector<int64_t> size = context.integers(2);
  const size_t rank = input.shape.size();
  if (begin.size() != rank || size.size() != rank || output.shape.size() != rank) {
    context.fail("begin and size", octet::str("one for each of ", rank, " dimensions"),
                 octet::str(begin.size(), " and ", size.size()));
  }
  const std::vector<int64_t> steps = dense_steps(input.shape);
  PlacesOfDimensions places(rank);
  for (size_t d = 0; d < rank; ++d) {
    const bool begins = begin[d] >= 0 && begin[d] <= input.shape[d];
    const int64_t rest = begins ? input.shape[d] - begin[d] : 0;
    const int64_t wanted = size[d] == -1 ? rest : size[d];
    if (!begins || wanted < 0 || wanted > rest || output.shape[d] != wanted) {
      context.fail(octet::str("slice of dimension ", d), octet::str("within ", input.shape[d]),
                   octet::str(begin[d], " and ", size[d], " more"));
    }
    places[d] = places_in_a_row(wanted, steps[d], begin[d] * steps[d]);
  }
  return make_move(context, std::move(places));
}

Kernel make_strided_slice(const KernelContext& context) {
  const Tensor& input = context.input(0);
  require_same_values(context, input, context.output());
  const std::vector<int64_t> begin = context.integers(1), end = context.integers(2), stride = context.integers(3);
  const tflite::SliceMasks& masks = context.op.options.masks;
  const size_t rank = input.shape.size();
  if (begin.size() != rank || end.size() != rank || stride.size() != rank || rank > 31) {
    context.fail("begin, end and strides", octet::str("one for each of ", rank, " dimensions"),
                 octet::str(begin.size(), ", ", end.size(), " and ", stride.size()));
  }
  if (masks.ellipsis != 0 || masks.new_axis != 0 || masks.offset) {
    context.fail("slice", "one without ellipsis, new axes and offsets", "another");
  }
  const std::vector<int64_t> steps = dense_steps(input.shape);
  PlacesOfDimensions places(rank);
  std::vector<int64_t> shape;
  for (size_t d = 0; d < rank; ++d) {
    const int64_t size = input.shape[d], by = stride[d];
    if (by == 0) context.fail("stride", "other than 0", "0");
    const auto has = [d](int32_t mask) { return (mask >> d & 1) != 0; };
    // Backwards the last place is 0, and its bound -1.
    const int64_t lowest = by > 0 ? 0 : -1, highest = by > 0 ? size : size - 1;
    const auto bound = [&](int64_t value) {
      return std::min(std::max(value < 0 ? value + size : value, lowest), highest);
    };
    const int64_t first = has(masks.begin) ? (by > 0 ? lowest : highest) : bound(begin[d]);
    const int64_t last = has(masks.end) ? (by > 0 ? highest : lowest) : bound(end[d]);
    const int64_t reach = by > 0 ? last - first : first - last;
    const int64_t pace = by > 0 ? by : -by;
    int64_t count = reach <= 0 ? 0 : (reach - 1) / pace + 1;
    if (has(masks.shrink_axis)) {
      if (first < 0 || first >= size) {
        context.fail(octet::str("index of dimension ", d), octet::str("within ", size), std::to_string(begin[d]));
      }
      count = 1;
    } else {
      shape.push_back(count);
    }
    for (int64_t i = 0; i < count; ++i) places[d].push_back((first + i * by) * steps[d]);
  }
  require_shape(context, shape);
  return make_move(context, std::move(places));
}

Kernel make_broadcast_to(const KernelContext& context) {
  const Tensor& input = context.input(0);
  const Tensor& output = context.output();
  require_same_values(context, input, output);
  require_shape(context, context.integers(1));
  const size_t rank = output.shape.size();
  if (input.shape.size() > rank) {
    context.fail("dimensions", octet::str("at least ", input.shape.size()), std::to_string(rank));
  }
  const size_t missing = rank - input.shape.size();
  const std::vector<int64_t> steps = dense_steps(input.shape);
  PlacesOfDimensions places(rank);
  for (size_t d = 0; d < rank; ++d) {
    const int64_t size = d < missing ? 1 : input.shape[d - missing];
    if (size != 1 && size != output.shape[d]) {
      context.fail(octet::str("size of dimension ", d), octet::str("1 or ", output.shape[d]), std::to_string(size));
    }
    places[d] = places_in_a_row(output.shape[d], size == 1 ? 0 : steps[d - missing]);
  }
  return make_move(context, std::move(places));
}

// Both ways between a square of pixels and the channels of one.
Kernel make_block_move(const KernelContext& context) {
  const Tensor& input = context.input(0);
  const Tensor& output = context.output();
  require_same_values(context, input, output);
  context.require_rank(input, 4);
  const int64_t block = context.op.options.block_size;
  const bool to_depth = context.op.code == OpCode::kSpaceToDepth;
  const int64_t batches = input.shape[0], height = input.shape[1], width = input.shape[2], channels = input.shape[3];
  if (block < 1 || (to_depth ? height % block != 0 || width % block != 0 : channels % (block * block) != 0)) {
    context.fail("block size", "one that divides the image or its channels", std::to_string(block));
  }
  const int64_t row = width * channels;
  PlacesOfDimensions places = {places_in_a_row(batches, height * row), {}, {}, {}};
  if (to_depth) {
    require_shape(context, {batches, height / block, width / block, channels * block * block});
    places[1] = places_in_a_row(height / block, block * row);
    places[2] = places_in_a_row(width / block, block * channels);
    for (int64_t i = 0; i < channels * block * block; ++i) {
      const int64_t pixel = i / channels;
      places[3].push_back(pixel / block * row + pixel % block * channels + i % channels);
    }
  } else {
    const int64_t fewer = channels / (block * block);
    require_shape(context, {batches, height * block, width * block, fewer});
    for (int64_t i = 0; i < height * block; ++i) places[1].push_back(i / block * row + i % block * block * fewer);
    for (int64_t i = 0; i < width * block; ++i) places[2].push_back(i / block * channels + i % block * fewer);
    places[3] = places_in_a_row(fewer, 1);
  }
  return make_move(context, std::move(places));
}

}  // namespace octet::integer

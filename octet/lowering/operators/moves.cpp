// Operators that move values without computing any.

#include <algorithm>
#include <climits>
#include <numeric>

#include "octet/lowering/layout.h"
#include "octet/lowering/operators/operators.h"
#include "octet/support/error.h"

namespace octet::lowering {

using tflite::OpCode;
using tflite::Options;

void give_as_given(OperatorLowering& op, ValueId tensor) {
  const size_t rank = op.shape_of(tensor).size();
  if (op.channels_last() && rank > 2) {
    tensor = op.transposed("nhwc", tensor, to_channels_last(rank));
  }
  op.alias(tensor);
}

namespace {

const Node& first_value(const OperatorLowering& op) { return *op.node().inputs().front(); }

// The order of the tensor's axes, as graph axes.
std::vector<int64_t> axes_of(bool channels_last, size_t rank) {
  if (channels_last && rank > 2) return to_channels_last(rank);
  std::vector<int64_t> axes(rank);
  std::iota(axes.begin(), axes.end(), 0);
  return axes;
}

// Starts and sizes of a part, in the graph's order; written in the result's.
void emit_slice(OperatorLowering& op, const std::vector<int64_t>& begin, const std::vector<int64_t>& size) {
  op.emit(OpCode::kSlice,
          {op.input("self"), op.indices("begin", op.laid_out(begin)), op.indices("size", op.laid_out(size))});
}

// An index of torch's slicing: from the end where negative, cut to the dimension.
int64_t position(int64_t index, int64_t size) { return std::clamp<int64_t>(index < 0 ? index + size : index, 0, size); }

}  // namespace

void lower_alias(OperatorLowering& op) { op.alias(op.input()); }

void lower_concatenation(OperatorLowering& op) {
  std::vector<ValueId> inputs;
  op.node().arg("tensors").for_each_node(
      [&](const Node* value) { inputs.push_back(op.input(*value, op.channels_last())); });
  Options options;
  options.axis = static_cast<int32_t>(op.axis(op.dimension("dim", 0, op.rank()), op.rank()));
  op.emit(OpCode::kConcatenation, inputs, options);
}

void lower_reshape(OperatorLowering& op) {
  const std::vector<int64_t> in = first_value(op).sizes();
  const std::vector<int64_t>& out = op.node().sizes();
  const bool from_nhwc = op.keeps_channels_last(first_value(op)) && in.size() > 2;
  const bool to_nhwc = op.channels_last() && out.size() > 2;
  // With batch and channels left alone, an image is reshaped as it lies.
  const bool as_it_lies = from_nhwc && to_nhwc && in[0] == out[0] && in[1] == out[1];
  const ValueId x = op.input("", as_it_lies);
  const std::vector<int64_t> shape = as_it_lies ? op.laid_out(out) : out;
  if (as_it_lies || !to_nhwc) {
    Options options;
    options.new_shape.assign(shape.begin(), shape.end());
    op.emit(OpCode::kReshape, {x, op.indices("shape", shape)}, options);
    return;
  }
  give_as_given(op, op.reshaped("reshaped", x, shape));
}

void lower_permutation(OperatorLowering& op) {
  const Node& source = first_value(op);
  const size_t rank = source.sizes().size();
  std::vector<int64_t> permutation(rank);
  std::iota(permutation.begin(), permutation.end(), 0);
  if (op.node().is_call("aten.permute.default")) {
    permutation = op.integers("dims");
    for (int64_t& dim : permutation) dim = dim < 0 ? dim + static_cast<int64_t>(rank) : dim;
  } else if (rank > 1) {
    const bool is_t = op.node().is_call("aten.t.default");
    const int64_t a = is_t ? 0 : op.dimension("dim0", 0, static_cast<int64_t>(rank));
    const int64_t b = is_t ? 1 : op.dimension("dim1", 1, static_cast<int64_t>(rank));
    std::swap(permutation[static_cast<size_t>(a)], permutation[static_cast<size_t>(b)]);
  }
  const bool from_nhwc = op.keeps_channels_last(source);
  const std::vector<int64_t> in_axes = axes_of(from_nhwc, rank);
  std::vector<int64_t> order;
  for (const int64_t axis : axes_of(op.channels_last(), rank)) {
    const int64_t source_axis = permutation[static_cast<size_t>(axis)];
    order.push_back(std::find(in_axes.begin(), in_axes.end(), source_axis) - in_axes.begin());
  }
  op.emit(OpCode::kTranspose, {op.input("", from_nhwc), op.indices("order", order)});
}

void lower_index_select(OperatorLowering& op) {
  const std::optional<Constant> index = op.constant("index");
  const auto rank = static_cast<int64_t>(op.sizes("self").size());
  Options options;
  options.axis = static_cast<int32_t>(op.axis(op.dimension("dim", 0, rank), rank));
  if (!index) return op.emit(OpCode::kGather, {op.input("self"), op.input("index", false)}, options);
  const at::Tensor places = index->values.to(at::kLong).contiguous();
  const std::vector<int64_t> numbers(places.const_data_ptr<int64_t>(),
                                     places.const_data_ptr<int64_t>() + places.numel());
  op.emit(OpCode::kGather, {op.input("self"), op.indices("indices", numbers)}, options);
}

void lower_slice(OperatorLowering& op) {
  const std::vector<int64_t> in = op.sizes("self");
  const auto rank = static_cast<int64_t>(in.size());
  const auto dim = static_cast<size_t>(op.dimension("dim", 0, rank));
  const int64_t start = position(op.integer("start", 0), in[dim]);
  const int64_t end = position(op.integer("end", INT64_MAX), in[dim]);
  const int64_t step = op.integer("step", 1);
  std::vector<int64_t> begin(in.size(), 0);
  begin[dim] = start;
  if (step == 1) {
    emit_slice(op, begin, op.node().sizes());
    return;
  }
  std::vector<int64_t> ends = in, steps(in.size(), 1);
  ends[dim] = end;
  steps[dim] = step;
  op.emit(OpCode::kStridedSlice, {op.input("self"), op.indices("begin", op.laid_out(begin)),
                                  op.indices("end", op.laid_out(ends)), op.indices("strides", op.laid_out(steps))});
}

void lower_select(OperatorLowering& op) {
  const std::vector<int64_t> in = op.sizes("self");
  const auto rank = static_cast<int64_t>(in.size());
  const auto dim = static_cast<size_t>(op.dimension("dim", 0, rank));
  std::vector<int64_t> begin(in.size(), 0), size = in;
  begin[dim] = op.dimension("index", 0, in[dim]);
  size[dim] = 1;
  const ValueId part = op.step("part", OpCode::kSlice,
                               {op.input("self", false), op.indices("begin", begin), op.indices("size", size)}, size);
  give_as_given(op, op.reshaped("selected", part, op.node().sizes()));
}

void lower_split(OperatorLowering& op) {
  const Node& source = first_value(op);
  const std::vector<int64_t> in = source.sizes();
  const auto rank = static_cast<int64_t>(in.size());
  const auto dim = static_cast<size_t>(op.dimension("dim", 0, rank));
  std::vector<int64_t> starts = {0};
  for (const TensorMeta& piece : op.node().element_metas()) starts.push_back(starts.back() + piece.sizes.at(dim));
  for (const Node* element : op.node().users()) {
    const auto index = static_cast<size_t>(element->arg(size_t{1}).to_int());
    const bool is_nhwc = op.keeps_channels_last(*element) && in.size() > 2;
    const auto placed = [&](const std::vector<int64_t>& graph_order) {
      return is_nhwc ? reordered(graph_order, to_channels_last(graph_order.size())) : graph_order;
    };
    std::vector<int64_t> begin(in.size(), 0);
    begin[dim] = starts[index];
    const std::string name = octet::str("piece_", index);
    const std::vector<int64_t> size = placed(op.node().element_metas()[index].sizes);
    op.set_element(*element, op.step(name, OpCode::kSlice,
                                     {op.input(source, is_nhwc), op.indices(name + "_begin", placed(begin)),
                                      op.indices(name + "_size", size)},
                                     size));
  }
}

void lower_unbind(OperatorLowering& op) {
  const Node& source = first_value(op);
  std::vector<int64_t> size = source.sizes(), begin(size.size(), 0);
  const auto dim = static_cast<size_t>(op.dimension("dim", 0, static_cast<int64_t>(size.size())));
  size[dim] = 1;
  for (const Node* element : op.node().users()) {
    begin[dim] = element->arg(size_t{1}).to_int();
    const std::string name = octet::str("piece_", begin[dim]);
    const ValueId part =
        op.step(name, OpCode::kSlice,
                {op.input(source, false), op.indices(name + "_begin", begin), op.indices(name + "_size", size)}, size);
    const std::vector<int64_t>& shape = element->sizes();
    const ValueId narrowed = op.reshaped(name + "_narrowed", part, shape);
    const bool is_nhwc = op.keeps_channels_last(*element) && shape.size() > 2;
    op.set_element(*element,
                   is_nhwc ? op.transposed(name + "_nhwc", narrowed, to_channels_last(shape.size())) : narrowed);
  }
}

void lower_pad(OperatorLowering& op) {
  const std::vector<int64_t> pad = op.integers("pad");
  const std::string mode = op.text("mode", "constant");
  const std::vector<int64_t>& sizes = op.sizes("self");
  const size_t rank = sizes.size();
  std::vector<std::pair<int64_t, int64_t>> by_axis(rank, {0, 0});  // in the result's order
  for (size_t i = 0; 2 * i + 1 < pad.size(); ++i) {
    if (pad[2 * i] < 0 || pad[2 * i + 1] < 0) op.refuse("negative padding", "cut by a slice");
    const int64_t axis = op.axis(static_cast<int64_t>(rank - 1 - i), static_cast<int64_t>(rank));
    by_axis[static_cast<size_t>(axis)] = {pad[2 * i], pad[2 * i + 1]};
  }
  ValueId x = op.input("self");
  if (mode == "replicate") {
    // The edge, as often as it is repeated, beside the image: one dimension after the other.
    for (size_t d = 0; d < rank; ++d) {
      const auto [before, after] = by_axis[d];
      if (before + after == 0) continue;
      std::vector<int64_t> shape = op.shape_of(x), edge = shape, begin(rank, 0);
      edge[d] = 1;
      const auto slice = [&](const std::string& name, int64_t at) {
        begin[d] = at;
        return op.step(name, OpCode::kSlice, {x, op.indices(name + "_begin", begin), op.indices(name + "_size", edge)},
                       edge);
      };
      std::vector<ValueId> parts;
      if (before > 0) parts.assign(static_cast<size_t>(before), slice(octet::str("first_", d), 0));
      parts.push_back(x);
      if (after > 0) parts.insert(parts.end(), static_cast<size_t>(after), slice(octet::str("last_", d), shape[d] - 1));
      shape[d] += before + after;
      Options options;
      options.axis = static_cast<int32_t>(d);
      x = op.step(octet::str("extended_", d), OpCode::kConcatenation, parts, shape, options);
    }
    op.alias(x);
    return;
  }
  std::vector<int64_t> paddings;
  for (const auto& [before, after] : by_axis) {
    paddings.push_back(before);
    paddings.push_back(after);
  }
  const ValueId amounts = op.indices("paddings", paddings, {static_cast<int64_t>(rank), 2});
  if (mode == "reflect") {
    op.emit(OpCode::kMirrorPad, {x, amounts});
    return;
  }
  if (mode != "constant") op.refuse(octet::str("padding mode ", mode), "constant, reflect or replicate");
  const double value = op.number("value", 0.0);
  if (value == 0.0) {
    op.emit(OpCode::kPad, {x, amounts});
  } else {
    op.emit(OpCode::kPadV2, {x, amounts, op.numbers("padding", at::full({1}, value, at::kFloat), op.grid())});
  }
}

void lower_expand(OperatorLowering& op) {
  const std::vector<int64_t> in = op.sizes("self");
  const std::vector<int64_t>& out = op.node().sizes();
  std::vector<int64_t> full(out.size() - in.size(), 1);
  full.insert(full.end(), in.begin(), in.end());
  const ValueId x = op.reshaped("widened", op.input("self", false), full);
  if (full == out) {
    give_as_given(op, x);
    return;
  }
  give_as_given(op, op.step("broadcast", OpCode::kBroadcastTo, {x, op.indices("shape", out)}, out));
}

// [N, H, W, C r r] to [N, H r, W r, C]: torch counts the places of a cell within each channel.
void lower_pixel_shuffle(OperatorLowering& op) {
  const std::vector<int64_t> in = op.sizes("self");
  if (in.size() != 4) op.refuse("an image without batch dimension");
  const int64_t r = op.integer("upscale_factor", 1);
  const int64_t channels = in[1] / (r * r);
  const ValueId cells = op.reshaped("cells", op.input("self", true), {in[0], in[2], in[3], channels, r, r});
  const ValueId spread = op.transposed("spread", cells, {0, 1, 4, 2, 5, 3});
  const ValueId image = op.reshaped("image", spread, {in[0], in[2] * r, in[3] * r, channels});
  op.alias(image);
}

void lower_pixel_unshuffle(OperatorLowering& op) {
  const std::vector<int64_t> in = op.sizes("self");
  if (in.size() != 4) op.refuse("an image without batch dimension");
  const int64_t r = op.integer("downscale_factor", 1);
  const ValueId cells = op.reshaped("cells", op.input("self", true), {in[0], in[2] / r, r, in[3] / r, r, in[1]});
  const ValueId gathered = op.transposed("gathered", cells, {0, 1, 3, 5, 2, 4});
  op.alias(op.reshaped("image", gathered, {in[0], in[2] / r, in[3] / r, in[1] * r * r}));
}

}  // namespace octet::lowering

// What moves values.

#include <algorithm>
#include <cstring>
#include <numeric>

#include "octet/integer/grid.h"
#include "octet/lowering/layout.h"
#include "octet/lowering/way_back.h"

namespace octet::lowering::way_back {
namespace {

using Ints = std::vector<int64_t>;

Node* sliced(WayBack& g, Node* node, const tflite::Tensor& tensor, const Ints& begin, const Ints& end) {
  for (size_t axis = 0; axis < begin.size(); ++axis) {
    if (begin[axis] == 0 && end[axis] == tensor.shape[axis]) continue;
    node = g.on_grid(
        g.call("aten.slice.Tensor", {node, g.graph_axis(static_cast<int64_t>(axis), tensor), begin[axis], end[axis]}),
        tensor);
  }
  return node;
}

void split_at(WayBack& g, size_t image, int64_t axis) {
  const auto place = static_cast<size_t>(axis < 0 ? axis + static_cast<int64_t>(g.input(image).shape.size()) : axis);
  Ints begin(g.input(image).shape.size(), 0), end = g.input(image).shape;
  end.at(place) = 0;
  for (const int32_t part : g.op().outputs) {
    begin[place] = end[place];
    end[place] += g.at(part).shape.at(place);
    g.set(part, sliced(g, g.value(image), g.input(image), begin, end));
  }
}

// What TFLite numbers as (row, column, channel) of a block, PyTorch does as (channel, row, column): axis 1 of
// these sizes is taken as two parts, which change places.
Node* turned_blocks(WayBack& g, Node* node, const Ints& sizes, const Ints& parts) {
  if (sizes.size() != 4) g.refuse("blocks of other than an image");
  Ints taken = sizes;
  taken.erase(taken.begin() + 1);
  taken.insert(taken.begin() + 1, parts.begin(), parts.end());
  node = g.on_grid(g.step("aten.reshape.default", {node, taken}), g.output());
  node = g.on_grid(g.step("aten.permute.default", {node, Ints{0, 2, 1, 3, 4}}), g.output());
  return g.on_grid(g.step("aten.reshape.default", {node, sizes}), g.output());
}

}  // namespace

void reshape(WayBack& g) {
  Node* node = g.value(0);
  const bool from_image = g.is_image(g.input(0));
  if (from_image && g.input(0).shape[3] != 1 && g.input(0).shape[1] * g.input(0).shape[2] != 1) {
    node = g.on_grid(g.as_it_lies(node, g.input(0)), g.input(0));
  }
  if (!g.is_image(g.output())) {
    g.give(g.call("aten.reshape.default", {node, g.output().shape}));
    return;
  }
  const Ints& shape = g.output().shape;
  if (shape[3] == 1 || shape[1] * shape[2] == 1) {
    g.give(g.call("aten.reshape.default", {node, g.graph_sizes(g.output())}));
  } else {
    g.give(g.from_nhwc(g.call("aten.reshape.default", {node, shape})));
  }
}

void transpose(WayBack& g) {
  const Ints moved = g.integers(1);
  Ints sorted = moved, all(g.input(0).shape.size());
  std::sort(sorted.begin(), sorted.end());
  std::iota(all.begin(), all.end(), 0);
  if (sorted != all || g.output().shape.size() != all.size()) g.refuse("an order that is not one of its dimensions");
  Ints axes(moved.size()), order;
  std::iota(axes.begin(), axes.end(), 0);
  if (g.is_image(g.output())) axes = to_channels_first(4);
  // graph's axis of the result -> program's axis of the result -> program's axis of the input -> graph's
  for (const int64_t axis : axes) order.push_back(g.graph_axis(moved.at(static_cast<size_t>(axis)), g.input(0)));
  g.give(g.permuted(g.value(0), order));
}

void pad(WayBack& g) {
  const Ints paddings = g.integers(1);
  const size_t rank = g.input(0).shape.size();
  Ints by(2 * rank, 0);  // from the last axis on, as PyTorch counts
  for (size_t axis = 0; axis < rank; ++axis) {
    const auto place = rank - 1 - static_cast<size_t>(g.graph_axis(static_cast<int64_t>(axis), g.input(0)));
    by[2 * place] = paddings.at(2 * axis);
    by[2 * place + 1] = paddings.at(2 * axis + 1);
  }
  while (by.size() > 2 && by[by.size() - 1] == 0 && by[by.size() - 2] == 0) by.resize(by.size() - 2);
  if (g.op().code == tflite::OpCode::kMirrorPad) {
    if (g.op().options.mirror_mode != 0) g.refuse("symmetric padding");
    g.give(g.call("aten.pad.default", {g.value(0), by, std::string("reflect")}));
    return;
  }
  double fill = 0.0;
  if (g.op().code == tflite::OpCode::kPadV2) {
    const tflite::Tensor& constant = g.input(2);
    if (constant.data.empty()) g.refuse("a padding that is computed");
    if (const std::optional<integer::Grid> grid = integer::grid_of(constant)) {
      const int64_t level = integer::with_level_type(grid->type, [&]<typename Level>(Level first) {
        std::memcpy(&first, constant.data.data(), sizeof first);
        return int64_t{first};
      });
      fill = static_cast<double>(grid->scale) * static_cast<double>(level - grid->zero_point);
    } else if (integer::is_level_type(constant.type)) {
      g.refuse("a padding without a scale");
    } else if (constant.data.size() >= sizeof(float)) {
      float number = 0.0F;
      std::memcpy(&number, constant.data.data(), sizeof number);
      fill = number;
    }
  }
  g.give(g.call("aten.pad.default", {g.value(0), by, std::string("constant"), fill}));
}

void slice(WayBack& g) {
  const Ints begin = g.integers(1);
  Ints end = g.integers(2);
  if (begin.size() != g.input(0).shape.size() || end.size() != begin.size()) {
    g.refuse("a slice that does not name each dimension");
  }
  for (size_t axis = 0; axis < end.size(); ++axis) {
    end[axis] = end[axis] < 0 ? g.input(0).shape.at(axis) : begin.at(axis) + end[axis];
  }
  g.set(g.op().outputs.front(), sliced(g, g.value(0), g.input(0), begin, end));
}

void strided_slice(WayBack& g) {
  const Ints begin = g.integers(1), end = g.integers(2), stride = g.integers(3);
  const tflite::SliceMasks& masks = g.op().options.masks;
  const Ints& shape = g.input(0).shape;
  if (masks.ellipsis != 0 || masks.new_axis != 0) g.refuse("a slice with an ellipsis or new axes");
  if (masks.offset) g.refuse("a slice whose end is counted from its beginning");
  if (shape.size() >= 32) g.refuse("a slice of as many dimensions");
  if (begin.size() != shape.size() || end.size() != shape.size() || stride.size() != shape.size()) {
    g.refuse("a slice that does not name each dimension");
  }
  Node* node = g.value(0);
  for (size_t d = 0; d < shape.size(); ++d) {
    if (stride[d] < 1) g.refuse("a slice backwards");
    const auto has = [d](int32_t mask) { return (mask >> d & 1) != 0; };
    const auto bound = [&](int64_t at) { return std::clamp<int64_t>(at < 0 ? at + shape[d] : at, 0, shape[d]); };
    const int64_t first = has(masks.begin) ? 0 : bound(begin[d]);
    int64_t last = has(masks.end) ? shape[d] : bound(end[d]);
    if (has(masks.shrink_axis)) last = first + 1;
    if (first == 0 && last == shape[d] && stride[d] == 1) continue;
    node = g.on_grid(
        g.call("aten.slice.Tensor", {node, g.graph_axis(static_cast<int64_t>(d), g.input(0)), first, last, stride[d]}),
        g.input(0));
  }
  if (masks.shrink_axis == 0) return g.set(g.op().outputs.front(), node);
  // Without the dimensions of which one place was taken, in the program's order.
  if (g.is_image(g.input(0))) {
    node = g.on_grid(g.step("aten.permute.default", {node, to_channels_last(4)}), g.input(0));
  }
  g.give_plain(g.call("aten.reshape.default", {node, g.output().shape}));
}

void pack(WayBack& g) {
  std::vector<Arg> parts;
  for (size_t i = 0; i < g.op().inputs.size(); ++i) parts.emplace_back(g.plain_value(i));
  g.give_plain(g.call("aten.stack.default", {parts, int64_t{g.op().options.axis}}));
}

void broadcast_to(WayBack& g) { g.give_plain(g.call("aten.expand.default", {g.plain_value(0), g.output().shape})); }

void space_to_depth(WayBack& g) {
  const int64_t block = g.op().options.block_size;
  Node* node = g.on_grid(g.call("aten.pixel_unshuffle.default", {g.value(0), block}), g.output());
  g.set(g.op().outputs.front(),
        turned_blocks(g, node, g.graph_sizes(g.output()), {g.input(0).shape.at(3), block * block}));
}

void depth_to_space(WayBack& g) {
  const int64_t block = g.op().options.block_size;
  Node* node = turned_blocks(g, g.value(0), g.graph_sizes(g.input(0)), {block * block, g.output().shape.at(3)});
  g.give(g.call("aten.pixel_shuffle.default", {node, block}));
}

void split(WayBack& g) { split_at(g, 1, g.integers(0).at(0)); }

void split_v(WayBack& g) { split_at(g, 0, g.integers(2).at(0)); }

void concatenation(WayBack& g) {
  std::vector<Arg> parts;
  for (size_t i = 0; i < g.op().inputs.size(); ++i) parts.emplace_back(g.value(i));
  g.give(g.call("aten.cat.default", {parts, g.graph_axis(g.op().options.axis, g.output())}));
}

}  // namespace octet::lowering::way_back

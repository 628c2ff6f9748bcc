// What moves values.

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
  Ints axes(moved.size()), order;
  std::iota(axes.begin(), axes.end(), 0);
  if (g.is_image(g.output())) axes = to_channels_first(4);
  // graph's axis of the result -> program's axis of the result -> program's axis of the input -> graph's
  for (const int64_t axis : axes) order.push_back(g.graph_axis(moved.at(static_cast<size_t>(axis)), g.input(0)));
  g.give(g.call("aten.permute.default", {g.value(0), order}));
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
  for (size_t axis = 0; axis < end.size(); ++axis) {
    end[axis] = end[axis] < 0 ? g.input(0).shape.at(axis) : begin.at(axis) + end[axis];
  }
  g.set(g.op().outputs.front(), sliced(g, g.value(0), g.input(0), begin, end));
}

void split(WayBack& g) { split_at(g, 1, g.integers(0).at(0)); }

void split_v(WayBack& g) { split_at(g, 0, g.integers(2).at(0)); }

void concatenation(WayBack& g) {
  std::vector<Arg> parts;
  for (size_t i = 0; i < g.op().inputs.size(); ++i) parts.emplace_back(g.value(i));
  g.give(g.call("aten.cat.default", {parts, g.graph_axis(g.op().options.axis, g.output())}));
}

}  // namespace octet::lowering::way_back

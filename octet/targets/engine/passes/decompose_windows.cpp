#include <ATen/core/grad_mode.h>
#include <ATen/ops/eye.h>

#include <algorithm>
#include <numeric>

#include "octet/targets/engine/passes/memory.h"
#include "octet/targets/engine/passes/passes.h"
#include "octet/targets/engine/passes/rewrite.h"

namespace octet::targets {
namespace {

using Sizes = std::vector<int64_t>;

// More parts than these stay one operator.
constexpr int64_t kMostParts = 256;

// `count` elements of a dimension from `first` on, `step` apart.
Node* every(Node* x, size_t dim, int64_t first, int64_t count, int64_t step, const Node& like) {
  return add_slice(x, static_cast<int64_t>(dim), first, first + (count - 1) * step + 1, like, step);
}

Node* put_side_by_side(std::vector<Arg> parts, size_t dim, const Node& like) {
  Sizes sizes = parts.front().node()->sizes();
  if (parts.size() == 1) return parts.front().node();
  sizes[dim] *= static_cast<int64_t>(parts.size());
  return add_call("aten.cat.default", {std::move(parts), static_cast<int64_t>(dim)}, sizes, like);
}

// ---- im2col: [N, C, H, W] to [N, C k k, windows] -------------------------------------------------------------------

struct Windows {
  Sizes kernel, dilation, padding, stride;
  Sizes counts;     // along height and width
  Sizes rest = {};  // rows and columns at the end that no window reaches
};

Sizes numbers_of(const Node& node, const char* argument) {
  Sizes values = node.arg(argument).to_ints();
  if (values.size() == 1) values.push_back(values.front());
  return values;
}

std::optional<Windows> windows_of(const Node& node) {
  if (!node.is_call("aten.im2col.default") || !node.meta() || node.meta()->numel() == 0) return std::nullopt;
  const Node* x = node.arg("self").node();
  if (x == nullptr || !x->meta() || x->sizes().size() != 4) return std::nullopt;
  Windows w{numbers_of(node, "kernel_size"),
            numbers_of(node, "dilation"),
            numbers_of(node, "padding"),
            numbers_of(node, "stride"),
            {}};
  for (const Sizes* each : {&w.kernel, &w.dilation, &w.padding, &w.stride}) {
    if (each->size() != 2) return std::nullopt;
  }
  for (size_t i = 0; i < 2; ++i) {
    const int64_t reach = w.dilation[i] * (w.kernel[i] - 1) + 1;
    w.counts.push_back((x->sizes()[i + 2] + 2 * w.padding[i] - reach) / w.stride[i] + 1);
  }
  return w.kernel[0] * w.kernel[1] <= kMostParts ? std::optional(w) : std::nullopt;
}

// Windows that lie beside one another and cover the image.
bool tiles(const Windows& w, const Sizes& image) {
  const bool side_by_side = w.kernel == w.stride && w.kernel[0] == w.kernel[1] && w.kernel[0] > 1 &&
                            w.dilation == Sizes{1, 1} && w.padding == Sizes{0, 0};
  return side_by_side && image[2] % w.kernel[0] == 0 && image[3] % w.kernel[1] == 0;
}

Node* take_windows(const Node& node, const Windows& w) {
  Node* x = node.arg("self").node();
  if (tiles(w, x->sizes())) {
    const int64_t r = w.kernel[0];
    const Sizes sizes = {x->sizes()[0], x->sizes()[1] * r * r, w.counts[0], w.counts[1]};
    return add_reshape(add_call("aten.pixel_unshuffle.default", {x, r}, sizes, node), node.sizes(), 0, node);
  }
  if (w.padding != Sizes{0, 0}) {
    Sizes sizes = x->sizes();
    for (size_t i = 0; i < 2; ++i) sizes[i + 2] += 2 * w.padding[i];
    x = add_call("aten.pad.default", {x, Sizes{w.padding[1], w.padding[1], w.padding[0], w.padding[0]}}, sizes, node);
  }
  const Sizes line = {x->sizes()[0], x->sizes()[1], 1, w.counts[0] * w.counts[1]};
  std::vector<Arg> places;
  for (int64_t row = 0; row < w.kernel[0]; ++row) {
    Node* rows = every(x, 2, row * w.dilation[0], w.counts[0], w.stride[0], node);
    for (int64_t column = 0; column < w.kernel[1]; ++column) {
      Node* place = every(rows, 3, column * w.dilation[1], w.counts[1], w.stride[1], node);
      places.emplace_back(add_reshape(place, line, 0, node));
    }
  }
  return add_reshape(put_side_by_side(std::move(places), 2, node), node.sizes(), 0, node);
}

// ---- col2im: [N, C k k, windows] to [N, C, H, W] -------------------------------------------------------------------

// Weights that a fold may become: a number for each place of a window of each pair of channels. Parts of the channels
// share theirs, and are joined.
constexpr int64_t kMostGroupWeights = int64_t{1} << 20;
constexpr int64_t kMostFolds = 16;

// How many parts of the channels a fold becomes, each of as many; 0 where there are too many.
int64_t folds_of(int64_t channels, int64_t places) {
  for (int64_t parts = 1; parts <= kMostFolds; ++parts) {
    const int64_t each = channels / parts;
    if (channels % parts == 0 && each <= kMostGroupWeights / (places * places) / each) return parts;
  }
  return 0;
}

std::optional<Windows> folded_windows_of(const Node& node) {
  if (!node.is_call("aten.col2im.default") || !node.meta() || node.meta()->numel() == 0) return std::nullopt;
  const Node* x = node.arg("self").node();
  if (x == nullptr || !x->meta() || x->sizes().size() != 3 || node.sizes().size() != 4) return std::nullopt;
  Windows w{numbers_of(node, "kernel_size"),
            numbers_of(node, "dilation"),
            numbers_of(node, "padding"),
            numbers_of(node, "stride"),
            {}};
  for (size_t i = 0; i < 2; ++i) {
    const int64_t room = node.sizes()[i + 2] + 2 * w.padding[i] - (w.dilation[i] * (w.kernel[i] - 1) + 1);
    w.counts.push_back(room / w.stride[i] + 1);
    w.rest.push_back(room % w.stride[i]);
  }
  const int64_t places = w.kernel[0] * w.kernel[1];
  return places <= kMostParts && folds_of(node.sizes()[1], places) > 0 ? std::optional(w) : std::nullopt;
}

// Each element goes to the place that it was taken from, sums where windows overlap: a transposed convolution whose
// weights are 1 there.
Node* put_windows_back(GraphModule& module, const Node& node, const Windows& w) {
  const Sizes& image = node.sizes();
  const int64_t places = w.kernel[0] * w.kernel[1], channels = image[1];
  Node* x = add_reshape(node.arg("self").node(), {image[0], channels * places, w.counts[0], w.counts[1]}, 0, node);
  if (tiles(w, image)) return add_call("aten.pixel_shuffle.default", {x, w.kernel[0]}, image, node);
  const int64_t folds = folds_of(channels, places), each = channels / folds;
  const at::NoGradGuard no_grad;
  const at::Tensor ones = at::eye(each * places).reshape({each * places, each, w.kernel[0], w.kernel[1]});
  Node* weight = add_attr(module, octet::str("places_", node.name()), ones, AttrKind::kConstant);
  std::vector<Arg> parts;
  for (int64_t i = 0; i < folds; ++i) {
    Node* part = add_slice(x, 1, i * each * places, (i + 1) * each * places, node);
    parts.emplace_back(add_call("aten.conv_transpose2d.input",
                                {part, weight, Arg(), w.stride, w.padding, w.rest, int64_t{1}, w.dilation},
                                {image[0], each, image[2], image[3]}, node));
  }
  return put_side_by_side(std::move(parts), 1, node);
}

// ---- unfold: windows of a dimension, their places behind the others ------------------------------------------------

struct Frames {
  size_t dim;
  int64_t size, step, count;
};

std::optional<Frames> frames_of(const Node& node) {
  if (!node.is_call("aten.unfold.default") || !node.meta() || node.meta()->numel() == 0) return std::nullopt;
  const Node* x = node.arg("self").node();
  if (x == nullptr || !x->meta() || x->sizes().empty() || is_static(x)) return std::nullopt;
  const auto dim = static_cast<size_t>(positive_dim(node.arg("dimension").to_int(), x->meta()->rank()));
  if (dim == 0) return std::nullopt;  // samples
  const Frames f{dim, node.arg("size").to_int(), node.arg("step").to_int(), node.sizes().at(dim)};
  return std::min(f.size, f.count) <= kMostParts ? std::optional(f) : std::nullopt;
}

// With dimension `from` behind all others.
Node* turned_last(Node* x, size_t from, const Node& like) {
  Sizes order(x->sizes().size());
  std::iota(order.begin(), order.end(), 0);
  std::rotate(order.begin() + static_cast<ptrdiff_t>(from), order.begin() + static_cast<ptrdiff_t>(from) + 1,
              order.end());
  return add_permute(x, order, like);
}

Node* take_frames(const Node& node, const Frames& f) {
  Node* x = node.arg("self").node();
  Sizes sizes = x->sizes();
  const auto at = sizes.begin() + static_cast<ptrdiff_t>(f.dim);
  if (f.step == f.size || f.count == 1) {
    x = every(x, f.dim, 0, f.count * f.size, 1, node);
    *at = f.size;
    sizes.insert(sizes.begin() + static_cast<ptrdiff_t>(f.dim), f.count);
    return turned_last(add_reshape(x, sizes, 0, node), f.dim + 1, node);
  }
  std::vector<Arg> parts;
  if (f.count <= f.size) {  // window by window
    for (int64_t window = 0; window < f.count; ++window) {
      Node* part = turned_last(every(x, f.dim, window * f.step, f.size, 1, node), f.dim, node);
      Sizes single = part->sizes();
      single.insert(single.begin() + static_cast<ptrdiff_t>(f.dim), 1);
      parts.emplace_back(add_reshape(part, single, 0, node));
    }
    return put_side_by_side(std::move(parts), f.dim, node);
  }
  *at = f.count;
  sizes.push_back(1);
  for (int64_t place = 0; place < f.size; ++place) {
    parts.emplace_back(add_reshape(every(x, f.dim, place, f.count, f.step, node), sizes, 0, node));
  }
  return put_side_by_side(std::move(parts), sizes.size() - 1, node);
}

}  // namespace

bool decompose_windows(GraphModule& module) {
  std::vector<Node*> found = calls_where(
      module.graph(), [](const Node& node) { return windows_of(node) || folded_windows_of(node) || frames_of(node); });
  if (found.empty()) return false;
  const Memory memory(module.graph());
  std::erase_if(found, [&](const Node* node) { return frames_of(*node) && memory.is_written_behind(*node, *node); });
  for (Node* node : found) {
    const auto here = module.graph().inserting_before(node);
    if (const auto windows = windows_of(*node)) {
      replace_by_parts(node, take_windows(*node, *windows));
    } else if (const auto folded = folded_windows_of(*node)) {
      replace_by_parts(node, put_windows_back(module, *node, *folded));
    } else {
      replace_by_parts(node, take_frames(*node, *frames_of(*node)));
    }
  }
  return !found.empty();
}

}  // namespace octet::targets

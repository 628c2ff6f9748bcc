#include <ATen/core/grad_mode.h>

#include <algorithm>

#include "octet/support/error.h"
#include "octet/targets/engine/passes/passes.h"
#include "octet/targets/engine/passes/rewrite.h"

namespace octet::targets {
namespace {

using Sizes = std::vector<int64_t>;

Sizes numbers_along(const Node& node, const char* argument) {
  Sizes values = node.arg(argument).to_ints();
  if (values.size() == 1) values.resize(3, values.front());
  return values;
}

bool is_volume_convolution(const Node& node) {
  if (!node.is_call("aten.conv3d.default") || !node.meta() || node.meta()->numel() == 0) return false;
  const Node* x = node.arg("input").node();
  const Node* weight = node.arg("weight").node();
  if (x == nullptr || !x->meta() || x->sizes().size() != 5 || !is_static(weight) || !weight->meta()) return false;
  for (const char* argument : {"stride", "padding", "dilation"}) {
    if (!node.arg(argument).is_constant() || numbers_along(node, argument).size() != 3) return false;
  }
  return is_static_or_none(node.arg("bias"));
}

// What reads the convolution alone and may stand among its images: a BatchNorm, whose channels are the same, and an
// activation, which then is the convolution's.
std::vector<Node*> followers_of(const Node& conv) {
  std::vector<Node*> followers;
  const auto next = [&]() { return only_user(followers.empty() ? conv : *followers.back()); };
  Node* user = next();
  if (user != nullptr && user->is_call("aten.batch_norm.default")) {
    followers.push_back(user);
    user = next();
  }
  const auto is_activation = [](const Node& node) {
    return node.is_call("aten.relu.default") || node.is_call("aten.relu_.default") ||
           node.is_call("aten.relu6.default") || node.is_call("aten.relu6_.default") ||
           node.is_call("aten.hardtanh.default") || node.is_call("aten.hardtanh_.default");
  };
  if (user != nullptr && is_activation(*user)) followers.push_back(user);
  return followers;
}

// [N, C, D, H, W] to one image for each depth of the result, [N depths, C k, H, W], k the filter's depth: the k images
// that a place of the filter sees are channels, the filter's depth within each channel.
Node* images_of(const Node& conv, int64_t depths) {
  Node* x = conv.arg("input").node();
  const int64_t kernel = conv.arg("weight").node()->sizes()[2];
  const int64_t padding = numbers_along(conv, "padding")[0];
  const int64_t stride = numbers_along(conv, "stride")[0], dilation = numbers_along(conv, "dilation")[0];
  Sizes sizes = x->sizes();
  if (padding > 0) {
    sizes[2] += 2 * padding;
    x = add_call("aten.pad.default", {x, Sizes{0, 0, 0, 0, padding, padding}}, sizes, conv);
  }
  x = add_permute(x, {0, 2, 1, 3, 4}, conv);
  const Sizes frame = {sizes[0], depths, sizes[1], 1, sizes[3], sizes[4]};
  std::vector<Arg> seen;
  for (int64_t k = 0; k < kernel; ++k) {
    const int64_t first = k * dilation, end = first + (depths - 1) * stride + 1;
    Node* part = add_slice(x, 1, first, end, conv, stride);
    seen.emplace_back(kernel == 1 ? part : add_reshape(part, frame, 0, conv));
  }
  Node* joined = seen.front().node();
  if (kernel > 1) {
    Sizes all = frame;
    all[3] = kernel;
    joined = add_call("aten.cat.default", {std::move(seen), int64_t{3}}, all, conv);
  }
  return add_reshape(joined, {sizes[0] * depths, sizes[1] * kernel, sizes[3], sizes[4]}, 0, conv);
}

Node* convolve_images(GraphModule& module, const Node& conv, Node* images) {
  const at::NoGradGuard no_grad;
  const Node& weight = *conv.arg("weight").node();
  const Sizes& w = weight.sizes();  // [O, C / groups, k, height, width]
  const Sizes& out = conv.sizes();
  const at::Tensor flat = module.attr(weight.target()).detach().reshape({w[0], w[1] * w[2], w[3], w[4]}).clone();
  Node* filter = add_attr(module, octet::str(weight.target(), "_of_images"), flat, module.attr_kind(weight.target()));
  const auto pair = [&](const char* argument) {
    const Sizes all = numbers_along(conv, argument);
    return Sizes{all[1], all[2]};
  };
  return add_call(
      "aten.conv2d.default",
      {images, filter, conv.arg("bias"), pair("stride"), pair("padding"), pair("dilation"), conv.arg("groups")},
      {out[0] * out[2], out[1], out[3], out[4]}, conv);
}

void replace_by_images(GraphModule& module, Node* conv) {
  const std::vector<Node*> followers = followers_of(*conv);
  Node* last = followers.empty() ? conv : followers.back();
  const auto here = module.graph().inserting_before(last);
  const Sizes& out = conv->sizes();
  Node* images = convolve_images(module, *conv, images_of(*conv, out[2]));
  for (const Node* follower : followers) {
    std::vector<Arg> args = follower->args();
    args[0] = images;
    images = add_call(follower->target(), std::move(args), images->sizes(), *follower);
  }
  Node* volume = add_reshape(images, {out[0], out[2], out[1], out[3], out[4]}, 0, *conv);
  replace_by_parts(last, add_permute(volume, {0, 2, 1, 3, 4}, *conv));
  for (auto it = followers.rbegin(); it != followers.rend(); ++it) {
    if (*it != last) module.graph().erase(*it);
  }
  if (conv != last) module.graph().erase(conv);
}

}  // namespace

bool decompose_volumes(GraphModule& module) {
  const std::vector<Node*> found = calls_where(module.graph(), is_volume_convolution);
  for (Node* conv : found) replace_by_images(module, conv);
  return !found.empty();
}

}  // namespace octet::targets

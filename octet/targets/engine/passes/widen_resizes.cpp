#include "octet/targets/engine/passes/passes.h"
#include "octet/targets/engine/passes/rewrite.h"

namespace octet::targets {
namespace {

using Sizes = std::vector<int64_t>;
using Scales = std::vector<double>;

// Empty: the sizes say it.
Scales scales_of(const Node& resize) {
  const Arg& scales = resize.arg("scale_factors");
  return scales.is_none() ? Scales() : scales.constant().toDoubleVector();
}

// Where every input element becomes the same number of neighbours, nearest-exact reads what nearest reads.
bool repeats_whole_elements(const Node& resize) {
  const Sizes& in = resize.arg(size_t{0}).node()->sizes();
  const Sizes& out = resize.sizes();
  const Scales scales = scales_of(resize);
  for (size_t d = 2; d < out.size(); ++d) {
    if (in[d] == 0 || out[d] % in[d] != 0) return false;
    if (!scales.empty() && scales.at(d - 2) != static_cast<double>(out[d] / in[d])) return false;
  }
  return true;
}

// To the same or to twice the size, images are read by these sizes, whatever the scale; lines by the scale.
bool reads_otherwise_as_image(const Node& resize) {
  const Scales scales = scales_of(resize);
  const Sizes& in = resize.arg(size_t{0}).node()->sizes();
  const Sizes& out = resize.sizes();
  if (scales.empty() || out.size() != 3 || (out[2] != in[2] && out[2] != 2 * in[2])) return false;
  return scales.front() != static_cast<double>(out[2]) / static_cast<double>(in[2]);
}

bool is_resize(const Node& node) {
  const bool is_known = node.is_call("aten.upsample_linear1d.vec") || node.is_call("aten.upsample_nearest1d.vec") ||
                        node.is_call("aten._upsample_nearest_exact1d.vec") ||
                        node.is_call("aten._upsample_nearest_exact2d.vec");
  return is_known && node.arg("output_size").is_constant() && node.arg("scale_factors").is_constant();
}

// The operator for images that resizes alike, behind its input, size and scale; empty where there is none.
std::string image_resize(const Node& resize) {
  if (resize.is_call("aten.upsample_linear1d.vec")) return "aten.upsample_bilinear2d.vec";
  if (reads_otherwise_as_image(resize)) return "";
  if (resize.is_call("aten.upsample_nearest1d.vec")) return "aten.upsample_nearest2d.vec";
  const bool is_line = resize.is_call("aten._upsample_nearest_exact1d.vec");
  if (!is_line && !resize.is_call("aten._upsample_nearest_exact2d.vec")) return "";
  if (repeats_whole_elements(resize)) return "aten.upsample_nearest2d.vec";
  return is_line ? "aten._upsample_nearest_exact2d.vec" : "";
}

bool has_known_sizes(const Node& node) {
  if (!is_resize(node)) return false;
  const Node* input = node.args().empty() ? nullptr : node.arg(size_t{0}).node();
  return input != nullptr && input->meta() && node.meta() && input->meta()->rank() == node.meta()->rank();
}

Node* widened(Node* resize, const std::string& op) {
  Node* image = resize->arg(size_t{0}).node();
  const bool is_line = resize->meta()->rank() == 3;
  const auto as_image = [](Sizes sizes) {
    sizes.insert(sizes.begin() + 2, 1);
    return sizes;
  };
  const Sizes out = is_line ? as_image(resize->sizes()) : resize->sizes();
  if (is_line) image = add_call("aten.unsqueeze.default", {image, int64_t{2}}, as_image(image->sizes()), *resize);
  std::vector<Arg> args = {image, Sizes{out[2], out[3]}, Arg()};
  const bool is_linear = op == "aten.upsample_bilinear2d.vec";
  if (is_linear) args.insert(args.begin() + 2, resize->arg("align_corners"));
  if (Scales scales = scales_of(*resize); !scales.empty()) {
    if (is_line) scales.insert(scales.begin(), 1.0);
    args[1] = Arg();
    args.back() = Arg(c10::IValue(scales));
  }
  Node* result = add_call(op, std::move(args), out, *resize);
  return is_line ? add_call("aten.squeeze.dim", {result, int64_t{2}}, resize->sizes(), *resize) : result;
}

}  // namespace

bool widen_resizes(GraphModule& module) {
  bool changed = false;
  for (Node* node : calls_where(module.graph(), has_known_sizes)) {
    const std::string op = image_resize(*node);
    if (op.empty()) continue;
    const auto here = module.graph().inserting_before(node);
    replace_by_parts(node, widened(node, op));
    changed = true;
  }
  return changed;
}

}  // namespace octet::targets

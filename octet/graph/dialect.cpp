#include "octet/graph/dialect.h"

#include "octet/graph/match.h"
#include "octet/graph/record.h"

namespace octet {
namespace dialect {
namespace {

bool starts_with(const std::string& text, std::string_view prefix) {
  return text.compare(0, prefix.size(), prefix) == 0;
}

// C++ has overloads for numbers where Python's functions wrap the number: x + 1 is aten.add.Tensor there.
const std::map<std::string, std::string> kOfTensors = {
    {"aten.add.Scalar", "aten.add.Tensor"},
    {"aten.add_.Scalar", "aten.add_.Tensor"},
    {"aten.sub.Scalar", "aten.sub.Tensor"},
    {"aten.sub_.Scalar", "aten.sub_.Tensor"},
    {"aten.mul.Scalar", "aten.mul.Tensor"},
    {"aten.mul_.Scalar", "aten.mul_.Tensor"},
    {"aten.div.Scalar", "aten.div.Tensor"},
    {"aten.div_.Scalar", "aten.div_.Tensor"},
    {"aten.div.Scalar_mode", "aten.div.Tensor_mode"},
    {"aten.div_.Scalar_mode", "aten.div_.Tensor_mode"},
    {"aten.floor_divide.Scalar", "aten.floor_divide.default"},
};

// upsample_x(input, output_size, [align_corners,] scale...) -> .vec(input, size or None, [align_corners,] None or
// scales)
Call upsample(const Op& op, std::vector<Arg> args) {
  const auto& arguments = op.schema().arguments();
  const bool aligned = arguments.size() > 2 && arguments[2].name() == "align_corners";
  const size_t first_scale = aligned ? 3 : 2;
  std::vector<double> scales;
  for (size_t i = first_scale; i < args.size(); ++i) {
    if (!args[i].is_none()) scales.push_back(args[i].to_double());
  }
  const bool by_scale = !scales.empty() && scales.size() == args.size() - first_scale;
  std::vector<Arg> vec(aligned ? 4 : 3);
  vec[0] = args[0];
  if (aligned) vec[2] = args[2];
  if (by_scale) {
    vec.back() = Arg(c10::IValue(scales));
  } else {
    vec[1] = args[1];
  }
  return {std::string(op.packet()) + ".vec", std::move(vec)};
}

// TorchScript traces hold the internal _convolution(input, weight, bias, stride, padding, dilation, transposed,
// output_padding, groups, ...).
Call convolution(const std::vector<Arg>& args) {
  const auto stride = args[3].to_ints();
  const std::string rank = std::to_string(stride.size()) + "d";
  if (args[6].to_bool()) {
    return {"aten.conv_transpose" + rank + (stride.size() == 1 ? ".default" : ".input"),
            {args[0], args[1], args[2], args[3], args[4], args[7], args[8], args[5]}};
  }
  return {"aten.conv" + rank + ".default", {args[0], args[1], args[2], args[3], args[4], args[5], args[8]}};
}

// C++'s functional::pad dispatches the mode as a number.
Call pad(std::vector<Arg> args) {
  constexpr std::array<const char*, 4> kModes = {"reflect", "replicate", "circular", "constant"};
  const int64_t mode = args[2].to_int();
  args[2] = Arg(kModes.at(static_cast<size_t>(mode)));
  return {"aten.pad.default", std::move(args)};
}

}  // namespace

Call as_exported(const Op& op, std::vector<Arg> args) {
  const std::string& text = op.text();
  if (const auto found = kOfTensors.find(text); found != kOfTensors.end()) return {found->second, std::move(args)};
  if (text == "aten._convolution.default" || text == "aten._convolution.deprecated") return convolution(args);
  if (text == "aten._pad_enum.default") return pad(std::move(args));
  if (text == "aten.relu6.default" || text == "aten.relu6_.default") {
    return {text == "aten.relu6.default" ? "aten.hardtanh.default" : "aten.hardtanh_.default", {args[0], 0.0, 6.0}};
  }
  if ((starts_with(text, "aten.upsample_") || starts_with(text, "aten._upsample_")) &&
      op.schema().overload_name().empty() && Op::try_find(std::string(op.packet()) + ".vec")) {
    return upsample(op, std::move(args));
  }
  return {text, std::move(args)};
}

}  // namespace dialect

namespace {

bool is_vector(const Node* node) { return node->meta() && node->meta()->rank() == 1; }

// A call of linear with what was captured; a pattern without a bias captures none.
Node* linear(Graph& graph, const Match& match) {
  std::vector<Arg> args = {match["x"], match["weight"]};
  if (match.has("bias")) args.emplace_back(match["bias"]);
  Node* made = graph.call("aten.linear.default", std::move(args));
  made->set_meta(match.root()->meta());
  made->notes() = match.root()->notes();
  for (const Node* part : match.nodes()) {
    if (const std::string* path = part->notes().find(kModulePathNote)) made->notes()[kModulePathNote] = *path;
  }
  return made;
}

}  // namespace

void put_linears_together(GraphModule& module) {
  Graph& graph = module.graph();
  const Pattern x = Pattern::value("x");
  const Pattern bias = Pattern::get_attr("bias").where([](const Node& node) { return is_vector(&node); });
  const Pattern turned = Pattern::call({"aten.permute.default"}, {Pattern::get_attr("weight")})
                             .with("dims", Arg(std::vector<int64_t>{1, 0}));
  const Pattern weight = Pattern::either({Pattern::call({"aten.t.default"}, {Pattern::get_attr("weight")}), turned});
  const Pattern addmm =
      Pattern::call({"aten.addmm.default"}, {bias, x, weight}).with("beta", Arg(1)).with("alpha", Arg(1));
  const Pattern matmul = Pattern::call({"aten.matmul.default", "aten.mm.default"}, {x, weight});
  const Pattern biased =
      Pattern::call({"aten.add_.Tensor", "aten.add.Tensor"}, {matmul.sole_use(), bias}).with("alpha", Arg(1));
  // One walk in graph order, so that names count up as they do in an export.
  replace_all(graph, Pattern::either({addmm, biased, matmul}), [&](Graph& g, const Match& match) -> Node* {
    Node* reader = sole_user(match.root());
    if (reader != nullptr && !match.has("bias") && biased.match(reader)) return nullptr;  // its bias comes next
    return linear(g, match);
  });
}

}  // namespace octet

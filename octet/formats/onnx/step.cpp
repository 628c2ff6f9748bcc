#include "octet/formats/onnx/step.h"

#include <ATen/Functions.h>

#include <algorithm>

#include "octet/formats/dtype.h"

namespace octet::onnx {
namespace {

// TorchScript's exporter names a node by the modules that it stands in, each with the parent's name in front where that
// is a container: "/features/features.0/features.0.1/Conv" stands in features.0.1.
std::string module_path_of(std::string_view name) {
  if (name.empty() || name[0] != '/') return "";
  std::string path;
  std::string last;
  for (size_t at = 1; at < name.size();) {
    const size_t end = name.find('/', at);
    if (end == std::string_view::npos) break;  // the operator
    const std::string part(name.substr(at, end - at));
    if (!last.empty() && part.compare(0, last.size() + 1, last + ".") == 0) {
      path.replace(path.size() - last.size(), last.size(), part);
    } else {
      path += path.empty() ? part : "." + part;
    }
    last = part;
    at = end + 1;
  }
  return path;
}

std::string node_name(const NodeProto& node) {
  std::string_view name = node.name;
  if (name.empty() && !node.outputs.empty()) name = node.outputs[0];
  while (!name.empty() && name[0] == '/') name.remove_prefix(1);
  if (name.empty()) name = node.op_type;
  return std::string(name);
}

}  // namespace

Step::Step(const NodeProto& node, std::vector<Value> inputs, int64_t opset, Builder& builder, TensorReader& tensors,
           Budget& budget)
    : node_(node),
      inputs_(std::move(inputs)),
      opset_(opset),
      builder_(builder),
      tensors_(tensors),
      budget_(budget),
      place_{str(node.op_type, " '", node.name.empty() && !node.outputs.empty() ? node.outputs[0] : node.name, "'"),
             node_name(node), module_path_of(node.name)} {}

const Value& Step::in(size_t index) const {
  if (!has(index)) refuse(str("input ", index), "a value", "none");
  return inputs_[index];
}

std::vector<Value> Step::all() const {
  for (size_t i = 0; i < count(); ++i) in(i);
  return inputs_;
}

at::Tensor Step::known(size_t index, const char* what) const {
  const Value& value = in(index);
  if (!value.known()) {
    refuse(what, "numbers that stand in the file", "numbers that the program computes",
           "export the model with fixed sizes");
  }
  return value.constant;
}

std::vector<int64_t> Step::integers(size_t index, const char* what) const {
  const at::Tensor tensor = known(index, what);
  if (tensor.dim() > 1 || !at::isIntegralType(tensor.scalar_type(), false))
    refuse(what, "a list of integers", str(dtype_name(tensor.scalar_type()), sizes_text(tensor.sizes().vec())));
  const at::Tensor wide = tensor.to(at::kLong).contiguous();
  const auto* begin = wide.const_data_ptr<int64_t>();
  return {begin, begin + wide.numel()};
}

double Step::number(size_t index, const char* what) const {
  const at::Tensor tensor = known(index, what);
  if (tensor.numel() != 1) refuse(what, "one number", str(tensor.numel()));
  return tensor.to(at::kDouble).item<double>();
}

int64_t Step::axis(int64_t axis, int64_t rank) const {
  if (axis < -rank || axis >= rank) refuse("axis", str("a dimension of ", rank), str(axis));
  return axis < 0 ? axis + rank : axis;
}

std::vector<int64_t> Step::axes(std::vector<int64_t> axes, int64_t rank) const {
  for (int64_t& each : axes) each = axis(each, rank);
  std::sort(axes.begin(), axes.end());
  if (std::adjacent_find(axes.begin(), axes.end()) != axes.end()) refuse("axes name a dimension twice");
  return axes;
}

const AttributeProto* Step::find(std::string_view name) const {
  const auto found = std::find_if(node_.attributes.begin(), node_.attributes.end(),
                                  [&](const AttributeProto& each) { return each.name == name; });
  return found == node_.attributes.end() ? nullptr : &*found;
}

const AttributeProto* Step::find(std::string_view name, AttributeKind kind) const {
  const AttributeProto* found = find(name);
  if (found != nullptr && found->kind != kind)
    refuse(str("attribute '", name, "' is of another kind than ONNX has it"));
  return found;
}

int64_t Step::integer(std::string_view name, int64_t missing) const {
  const AttributeProto* found = find(name, AttributeKind::kInteger);
  return found == nullptr ? missing : found->integer;
}

double Step::number(std::string_view name, double missing) const {
  const AttributeProto* found = find(name, AttributeKind::kFloat);
  return found == nullptr ? missing : double{found->number};
}

std::string Step::text(std::string_view name, std::string_view missing) const {
  const AttributeProto* found = find(name, AttributeKind::kText);
  return std::string(found == nullptr ? missing : found->text);
}

std::vector<int64_t> Step::integers(std::string_view name, std::vector<int64_t> missing) const {
  const AttributeProto* found = find(name, AttributeKind::kIntegers);
  return found == nullptr ? missing : found->integers;
}

std::vector<double> Step::numbers(std::string_view name) const {
  const AttributeProto* found = find(name, AttributeKind::kFloats);
  return found == nullptr ? std::vector<double>{} : std::vector<double>(found->numbers.begin(), found->numbers.end());
}

std::vector<std::string> Step::texts(std::string_view name) const {
  const AttributeProto* found = find(name, AttributeKind::kTexts);
  if (found == nullptr) return {};
  return {found->texts.begin(), found->texts.end()};
}

at::Tensor Step::tensor(std::string_view name) const {
  const AttributeProto* found = find(name, AttributeKind::kTensor);
  if (found == nullptr) return {};
  return tensors_.read(read_tensor(found->text, place_.where, budget_), place_.where);
}

Value Step::constant(const at::Tensor& tensor, std::string name) const {
  budget_.charge(tensor.nbytes(), "its constants");
  if (name.empty()) {
    name = place_.name;
    std::replace(name.begin(), name.end(), '.', '_');  // of no module of its own
  }
  return {nullptr, tensor, std::move(name), false};
}

Value Step::derived(const Value& from, const at::Tensor& tensor) const {
  Value made = constant(tensor, from.name);
  made.learns = from.learns;
  return made;
}

Value Step::parameter(size_t index, const char* leaf) const {
  Value value = in(index);
  const bool is_numbered = value.name.find("::") != std::string::npos;  // "onnx::Conv_538": nobody's name
  if (value.known() && is_numbered && !place_.module_path.empty()) value.name = place_.module_path + "." + leaf;
  return value;
}

void Step::give(size_t output, Value value) {
  if (given_.size() <= output) given_.resize(output + 1);
  given_[output] = std::move(value);
}

void Step::refuse(const std::string& what, const std::string& wanted, const std::string& got,
                  const std::string& way_out) const {
  const Error error = expected(place_.where, what, wanted, got);
  throw way_out.empty() ? error : error.hint(way_out);
}

void Step::refuse(const std::string& message, const std::string& way_out) const {
  const Error error(place_.where, message);
  throw way_out.empty() ? error : error.hint(way_out);
}

}  // namespace octet::onnx

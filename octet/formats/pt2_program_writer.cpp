#include "octet/formats/pt2_program_writer.h"

#include <torch/version.h>

#include <algorithm>
#include <limits>
#include <list>
#include <map>
#include <unordered_map>
#include <unordered_set>

#include "octet/formats/dtype.h"
#include "octet/formats/pt2.h"
#include "octet/formats/pt2_arguments.h"
#include "octet/formats/pt2_call_signature.h"
#include "octet/formats/raw_tensor.h"
#include "octet/support/error.h"

namespace octet::pt2 {
namespace {

using nlohmann::json;

constexpr int64_t kSchemaMajorWritten = 8;
constexpr const char* kModuleStackKey = "nn_module_stack";

json sizes_json(at::IntArrayRef sizes) {
  json list = json::array();
  for (const int64_t size : sizes) list.push_back({{"as_int", size}});
  return list;
}

json meta_json(at::ScalarType dtype, at::IntArrayRef sizes, at::IntArrayRef strides, bool requires_grad,
               const SchemaVersion& version, const std::string& where) {
  const std::optional<int64_t> code = code_of_dtype(dtype, version);
  if (!code) {
    throw Error(where, "is of type " + dtype_name(dtype) + ", which this layout of a .pt2 cannot hold");
  }
  json device = {{"type", "cpu"}};
  if (version.is_current()) device["index"] = nullptr;
  return {{"dtype", *code},
          {"sizes", sizes_json(sizes)},
          {"requires_grad", requires_grad},
          {"device", std::move(device)},
          {"strides", sizes_json(strides)},
          {"storage_offset", {{"as_int", 0}}},
          {"layout", kStridedLayout}};
}

std::vector<int64_t> contiguous_strides(const std::vector<int64_t>& sizes) {
  std::vector<int64_t> strides(sizes.size(), 1);
  for (size_t i = sizes.size(); i-- > 1;) strides[i - 1] = strides[i] * std::max<int64_t>(sizes[i], 1);
  return strides;
}

enum class Returns { kNothing, kTensor, kList, kSeveral };

Returns returns_of(const Node& call) {
  const std::vector<c10::Argument>& returns = call.op().schema().returns();
  if (returns.empty()) return Returns::kNothing;
  const auto is_tensor = [](const c10::Argument& value) { return value.type()->kind() == c10::TypeKind::TensorType; };
  if (returns.size() == 1 && is_tensor(returns[0])) return Returns::kTensor;
  const auto list = returns[0].type()->cast<c10::ListType>();
  if (returns.size() == 1 && list && list->getElementType()->kind() == c10::TypeKind::TensorType) {
    return Returns::kList;
  }
  if (returns.size() > 1 && std::all_of(returns.begin(), returns.end(), is_tensor)) return Returns::kSeveral;
  throw Error(call.where(), call.op().text() + " gives something else than tensors, which cannot be written to a .pt2");
}

bool has_metas(const Node& node) {
  switch (node.kind()) {
    case NodeKind::kPlaceholder:
      if (!node.meta()) {
        throw Error(node.where(), "the input's shape is not known, but a .pt2 must say it")
            .hint("propagate_shapes on example inputs records all shapes");
      }
      return true;
    case NodeKind::kCall: {
      const Returns returns = returns_of(node);
      if (returns == Returns::kTensor) return node.meta().has_value();
      const size_t least = returns == Returns::kSeveral ? node.op().schema().returns().size() : 1;
      return returns == Returns::kNothing || node.element_metas().size() >= least;
    }
    default:
      return true;
  }
}

// A copy with every shape, or nullptr where none is missing.
std::shared_ptr<GraphModule> with_missing_metas(const GraphModule& module) {
  bool complete = true;
  for (const Node* node : module.graph().nodes()) complete = has_metas(*node) && complete;
  if (complete) return nullptr;
  auto completed = module.copy();
  propagate_shapes(*completed);
  for (const Node* node : completed->graph().nodes()) {
    if (!has_metas(*node)) throw Error(node->where(), "the shape of the value is not known, but a .pt2 must say it");
  }
  return completed;
}

void check_nodes(const GraphModule& module) {
  for (const Node* node : module.graph().nodes()) {
    if (node->kind() == NodeKind::kCallModule) {
      throw Error(node->where(), "calls the submodule '" + node->target() + "', which a .pt2 cannot hold")
          .hint(
              "convert the model first, or write frozen(model); octet's own format keeps prepared models as they are");
    }
    if (node->is_call() && node->target().rfind("octet.", 0) == 0) {
      throw Error(node->where(), node->target() + " is an operator of octet's own, which PyTorch does not know");
    }
  }
}

class ProgramWriter {
 public:
  ProgramWriter(const GraphModule& module, const SchemaVersion& version) : module_(module), version_(version) {}

  WrittenProgram run() {
    root_frame_ = root_frame();
    collect_tensors();
    for (const Node* node : graph().nodes()) name_item(*node);
    for (const StoredTensor& stored : tensors_) add_tensor_input(stored);
    for (const Node* node : graph().placeholders()) add_user_input(*node);
    json nodes = json::array();
    for (const Node* node : graph().nodes()) {
      if (node->is_call()) nodes.push_back(node_json(*node));
    }
    for (const Arg& result : results()) add_result(result);
    json program = {
        {"graph", graph_json(std::move(nodes))},
        {"signature", {{"input_specs", std::move(input_specs_)}, {"output_specs", std::move(output_specs_)}}},
        {"module_call_graph", json::array({{{"fqn", ""}, {"signature", call_signature_json()}}})},
        {"metadata", json::object()}};
    if (version_.is_current()) program["treespec_namedtuple_fields"] = json::object();
    json root = {{"graph_module", std::move(program)},
                 {"opset_version", {{"aten", 10}}},
                 {"range_constraints", json::object()},
                 {"schema_version", {{"major", kSchemaMajorWritten}, {"minor", version_.minor}}},
                 {"verifiers", json::array({verifier()})},
                 {"torch_version", fact("torch_version", TORCH_VERSION)}};
    if (version_.is_current()) root["guards_code"] = json::array();
    return {text(root), std::move(tensors_)};
  }

 private:
  const Graph& graph() const { return module_.graph(); }
  const std::vector<Arg>& results() const { return graph().output()->arg(size_t{0}).list(); }

  std::string fact(const std::string& key, const std::string& otherwise) const {
    const auto found = module_.facts().find(key);
    return found == module_.facts().end() || found->second.empty() ? otherwise : found->second;
  }

  // "ATEN" promises that nothing is written in place.
  std::string verifier() const {
    const auto nodes = graph().nodes();
    const bool functional = std::none_of(nodes.begin(), nodes.end(),
                                         [](const Node* node) { return node->is_call() && node->op().mutates(); });
    return functional && fact("dialect", "training") == "aten" ? "ATEN" : "TRAINING";
  }

  // --- tensors and names

  // The order in which nodes read them; what no node reads stands behind its predecessor in the module. Parameters
  // first, then buffers, then constants, as torch.export has them.
  void collect_tensors() {
    std::list<std::string> names;
    std::unordered_map<std::string, std::list<std::string>::iterator> places;
    const auto put_behind = [&](const std::string& name, const std::string& before) {
      if (places.count(name) > 0) return;
      const auto at = places.find(before);
      places[name] = names.insert(at == places.end() ? names.begin() : std::next(at->second), name);
    };
    for (const Node* node : graph().nodes()) {
      if (!node->is_get_attr()) continue;
      if (places.count(node->target()) == 0) places[node->target()] = names.insert(names.end(), node->target());
      readers_.emplace(node->target(), node);
    }
    std::string previous;
    for (const std::string& name : module_.attr_names()) {
      put_behind(name, previous);
      previous = name;
    }
    for (const auto& [alias, name] : module_.aliases()) put_behind(alias, name);
    names.sort([&](const std::string& left, const std::string& right) {
      return module_.attr_kind(left) < module_.attr_kind(right);
    });
    std::map<const c10::TensorImpl*, at::Tensor> stored;
    for (const std::string& name : names) {
      const at::Tensor tensor = module_.attr(name);
      at::Tensor& whole = stored[tensor.unsafeGetTensorImpl()];
      if (!whole.defined()) whole = as_whole_storage(tensor, "'" + name + "'");
      const AttrKind kind = module_.attr_kind(name);
      tensors_.push_back({name, whole,
                          kind == AttrKind::kParameter || (kind == AttrKind::kBuffer && is_persistent(name)),
                          kind == AttrKind::kParameter, tensor.requires_grad()});
    }
  }

  bool is_persistent(const std::string& name) const {
    const auto reader = readers_.find(name);
    return reader == readers_.end() || !reader->second->notes().contains(kNonPersistentNote);
  }

  // Of several get_items of one element, the first gives it its name.
  void name_item(const Node& node) {
    if (node.kind() != NodeKind::kGetItem) return;
    items_.emplace(std::pair(node.arg(size_t{0}).node()->id(), node.arg(1).to_int()), node.name());
  }

  std::string name_of(const Node& node) const {
    if (node.is_get_attr()) return readers_.at(node.target())->name();
    if (node.kind() == NodeKind::kGetItem) return items_.at({node.arg(size_t{0}).node()->id(), node.arg(1).to_int()});
    if (node.is_call() && returns_of(node) != Returns::kTensor) {
      throw Error(node.where(), "is read as a whole, but gives several tensors");
    }
    return node.name();
  }

  std::string fresh_name(std::string wanted) {
    for (char& c : wanted) {
      if (!std::isalnum(static_cast<unsigned char>(c))) c = '_';
    }
    while (graph().find(wanted) != nullptr || !made_names_.insert(wanted).second) wanted += "_";
    return wanted;
  }

  void add_value(const std::string& name, const TensorMeta& meta, const std::string& where) {
    tensor_values_[name] =
        meta_json(meta.dtype, meta.sizes, contiguous_strides(meta.sizes), /*requires_grad=*/false, version_, where);
  }

  // --- inputs and outputs

  void add_tensor_input(const StoredTensor& stored) {
    const AttrKind kind = module_.attr_kind(stored.name);
    const auto reader = readers_.find(stored.name);
    const char* front = kind == AttrKind::kParameter ? "p_" : kind == AttrKind::kBuffer ? "b_" : "c_";
    const std::string name = reader != readers_.end() ? reader->second->name() : fresh_name(front + stored.name);
    tensor_values_[name] = tensor_meta_json(stored.tensor, stored.requires_grad, version_, "'" + stored.name + "'");
    inputs_.push_back(tensor_argument_json(name));
    const json argument = {{"name", name}};
    if (kind == AttrKind::kParameter) {
      input_specs_.push_back({{"parameter", {{"arg", argument}, {"parameter_name", stored.name}}}});
    } else if (kind == AttrKind::kBuffer) {
      input_specs_.push_back(
          {{"buffer", {{"arg", argument}, {"buffer_name", stored.name}, {"persistent", stored.in_state_dict}}}});
    } else {
      input_specs_.push_back({{"tensor_constant", {{"arg", argument}, {"tensor_constant_name", stored.name}}}});
    }
  }

  void add_user_input(const Node& node) {
    add_value(node.name(), *node.meta(), node.where());
    inputs_.push_back(tensor_argument_json(node.name()));
    input_specs_.push_back({{"user_input", {{"arg", tensor_argument_json(node.name())}}}});
  }

  void add_result(const Arg& result) {
    if (!result.is_node()) throw Error("output", "a result is no tensor, which cannot be written to a .pt2");
    const json argument = tensor_argument_json(name_of(*result.node()));
    outputs_.push_back(argument);
    output_specs_.push_back({{"user_output", {{"arg", argument}}}});
  }

  json call_signature_json() const {
    std::vector<std::string> names;
    for (const Node* node : graph().placeholders()) names.push_back(node->name());
    CallSignature signature = plain_call_signature(names, results().size());
    if (const auto own = call_signature_from_text(fact(kCallSignatureFact, ""))) {
      if (fits(*own, names.size(), results().size())) signature = *own;
    }
    return {{"inputs", json::array()},
            {"outputs", json::array()},
            {"in_spec", signature.in_spec},
            {"out_spec", signature.out_spec},
            {"forward_arg_names", signature.argument_names}};
  }

  // --- nodes

  static void for_each_torch_note(const Node& node,
                                  const std::function<void(const std::string& key, const std::string& text)>& visit) {
    node.notes().for_each_saved([&](const std::string& name, const SavedNote& value) {
      const auto* text = std::get_if<std::string>(&value);
      const bool of_torch = name.rfind(kTorchNotePrefix, 0) == 0;
      if (text != nullptr && of_torch) visit(name.substr(std::string_view(kTorchNotePrefix).size()), *text);
    });
  }

  // The frame of the whole module: where nodes stand that quantization put in, since torch.export.unflatten wants every
  // node to stand somewhere.
  std::string root_frame() const {
    for (const Node* node : graph().nodes()) {
      std::string stack;
      for_each_torch_note(*node, [&](const std::string& key, const std::string& text) {
        if (key == kModuleStackKey) stack = text;
      });
      if (!stack.empty()) return stack.substr(0, stack.find(';'));
    }
    return "L__self__,,torch.fx.graph_module.GraphModule";
  }

  json node_json(const Node& node) {
    json metadata = {{kModuleStackKey, root_frame_}};
    for_each_torch_note(node, [&](const std::string& key, const std::string& text) { metadata[key] = text; });
    if (!version_.is_current() && returns_of(node) != Returns::kTensor) metadata[kNameKey] = node.name();
    json entry = {{"target", "torch.ops." + node.op().text()},
                  {"inputs", call_inputs_json(
                                 node, [&](const Node& value) { return name_of(value); }, version_)},
                  {"outputs", call_outputs(node)},
                  {"metadata", std::move(metadata)}};
    if (version_.is_current()) {
      entry["is_hop_single_tensor_return"] = nullptr;
      entry["name"] = node.name();
    }
    return entry;
  }

  json call_outputs(const Node& node) {
    json outputs = json::array();
    switch (returns_of(node)) {
      case Returns::kNothing:
        break;
      case Returns::kTensor:
        add_value(node.name(), *node.meta(), node.where());
        outputs.push_back(tensor_argument_json(node.name()));
        break;
      case Returns::kList: {
        json names = json::array();
        for (const std::string& name : element_names(node)) names.push_back({{"name", name}});
        outputs.push_back({{"as_tensors", std::move(names)}});
        break;
      }
      case Returns::kSeveral:
        for (const std::string& name : element_names(node)) outputs.push_back(tensor_argument_json(name));
        break;
    }
    return outputs;
  }

  std::vector<std::string> element_names(const Node& node) {
    const std::vector<TensorMeta>& metas = node.element_metas();
    std::vector<std::string> names;
    for (size_t i = 0; i < metas.size(); ++i) {
      const auto item = items_.find({node.id(), static_cast<int64_t>(i)});
      names.push_back(item != items_.end() ? item->second : fresh_name(octet::str(node.name(), "_unused_", i)));
      add_value(names.back(), metas[i], node.where());
    }
    const auto first = items_.lower_bound({node.id(), std::numeric_limits<int64_t>::min()});
    for (auto item = first; item != items_.end() && item->first.first == node.id(); ++item) {
      const int64_t number = item->first.second;
      if (number < 0 || number >= static_cast<int64_t>(metas.size())) {
        throw Error(node.where(),
                    octet::str("gives ", metas.size(), " tensors, but '", item->second, "' is number ", number));
      }
    }
    return names;
  }

  json graph_json(json nodes) {
    json graph = {{"inputs", std::move(inputs_)},       {"outputs", std::move(outputs_)},
                  {"nodes", std::move(nodes)},          {"tensor_values", std::move(tensor_values_)},
                  {"sym_int_values", json::object()},   {"sym_bool_values", json::object()},
                  {"sym_float_values", json::object()}, {"custom_obj_values", json::object()},
                  {"is_single_tensor_return", false}};
    return graph;
  }

  std::string text(const json& root) const {
    std::string text;
    try {
      text = root.dump();
    } catch (const json::exception&) {
      throw Error("program", "holds a name that is no UTF-8, which cannot be written to a .pt2");
    }
    if (version_.is_current()) return text;
    for (const char* number : {"Infinity", "-Infinity", "NaN"}) {  // torch 2.6 reads them as Python writes them
      const std::string front = "\"as_float\":";
      const std::string quoted = front + '"' + number + '"';
      for (size_t at = text.find(quoted); at != std::string::npos; at = text.find(quoted, at)) {
        text.replace(at, quoted.size(), front + number);
      }
    }
    return text;
  }

  const GraphModule& module_;
  const SchemaVersion& version_;
  std::vector<StoredTensor> tensors_;
  std::unordered_map<std::string, const Node*> readers_;      // dotted name -> the first node that reads it
  std::map<std::pair<int64_t, int64_t>, std::string> items_;  // name by the tuple's id and the element's number
  std::unordered_set<std::string> made_names_;
  std::string root_frame_;
  json tensor_values_ = json::object();
  json inputs_ = json::array();
  json outputs_ = json::array();
  json input_specs_ = json::array();
  json output_specs_ = json::array();
};

}  // namespace

json tensor_meta_json(const at::Tensor& tensor, bool requires_grad, const SchemaVersion& version,
                      const std::string& where) {
  return meta_json(tensor.scalar_type(), tensor.sizes(), tensor.strides(), requires_grad, version, where);
}

WrittenProgram write_program(const GraphModule& module, const SchemaVersion& version) {
  module.verify();
  check_nodes(module);
  const std::shared_ptr<GraphModule> completed = with_missing_metas(module);
  return ProgramWriter(completed ? *completed : module, version).run();
}

}  // namespace octet::pt2

#include "octet/formats/graph_json.h"

#include "octet/formats/dtype.h"
#include "octet/support/error.h"

namespace octet {
namespace {

using nlohmann::json;

constexpr uint64_t kNodeBytes = sizeof(Node) + 512;   // with its names, and the arguments that a schema fills in
constexpr uint64_t kArgBytes = 2 * sizeof(Arg) + 32;  // in a list that doubles, and once more as the schema's type

// Numbers, texts, None and lists stand for themselves; all else is an object with one key that says what it is.
json constant_json(const c10::IValue& value, const Node& node) {
  if (value.isNone()) return nullptr;
  if (value.isBool()) return value.toBool();
  if (value.isInt()) return value.toInt();
  if (value.isDouble()) return {{"double", json_double(value.toDouble())}};
  if (value.isString()) return value.toStringRef();
  if (value.isDevice()) return {{"device", value.toDevice().str()}};
  if (value.isList()) {
    json list = json::array();
    for (const c10::IValue& element : value.toListRef()) list.push_back(constant_json(element, node));
    return list;
  }
  throw Error(node.where(), octet::str("holds an argument that cannot be saved: ", value.tagKind()));
}

json arg_json(const Arg& arg, const Node& node) {
  if (arg.is_node()) return {{"node", arg.node()->name()}};
  if (arg.is_constant()) return constant_json(arg.constant(), node);
  json list = json::array();
  for (const Arg& element : arg.list()) list.push_back(arg_json(element, node));
  return list;
}

Arg arg_from(const JsonCursor& cursor, const Graph& graph, Budget& budget) {
  budget.charge(kArgBytes, "its nodes");
  const json& value = cursor.json();
  if (value.is_null()) return {};
  if (value.is_boolean()) return cursor.to_bool();
  if (value.is_number_integer()) return cursor.to_int();
  if (value.is_string()) return cursor.to_string();
  if (value.is_array()) {
    std::vector<Arg> list;
    for (const JsonCursor& element : cursor.elements()) list.push_back(arg_from(element, graph, budget));
    return list;
  }
  if (cursor.has("node")) {
    Node* node = graph.find(cursor.at("node").to_string());
    if (node == nullptr) throw Error(cursor.where(), "names a node that stands nowhere before");
    return node;
  }
  if (cursor.has("double")) return cursor.at("double").to_double();
  if (cursor.has("device")) {
    try {
      return c10::IValue(c10::Device(cursor.at("device").to_string()));
    } catch (const c10::Error&) {
      throw Error(cursor.where(), "is no device");
    }
  }
  throw Error(cursor.where(), "is no argument");
}

json meta_json(const TensorMeta& meta) { return {{"dtype", dtype_name(meta.dtype)}, {"sizes", meta.sizes}}; }

TensorMeta meta_from(const JsonCursor& cursor) {
  TensorMeta meta{dtype_from_name(cursor.at("dtype").to_string(), cursor.where()), cursor.at("sizes").to_ints()};
  checked_bytes(meta.sizes, meta.dtype, cursor.where());
  return meta;
}

const std::pair<NodeKind, const char*> kKinds[] = {
    {NodeKind::kPlaceholder, "placeholder"}, {NodeKind::kGetAttr, "get_attr"},       {NodeKind::kCall, "call"},
    {NodeKind::kGetItem, "get_item"},        {NodeKind::kCallModule, "call_module"}, {NodeKind::kOutput, "output"}};

NodeKind kind_from(const JsonCursor& cursor) {
  const std::string text = cursor.to_string();
  for (const auto& [kind, name] : kKinds) {
    if (text == name) return kind;
  }
  throw expected(cursor.where(), "kind of node", "placeholder, get_attr, call, get_item, call_module or output", text);
}

json node_json(const Node& node) {
  json entry = {{"name", node.name()}, {"target", node.target()}};
  for (const auto& [kind, name] : kKinds) {
    if (kind == node.kind()) entry["kind"] = name;
  }
  entry["args"] = json::array();
  for (const Arg& arg : node.args()) entry["args"].push_back(arg_json(arg, node));
  if (node.meta()) entry["meta"] = meta_json(*node.meta());
  for (const TensorMeta& meta : node.element_metas()) entry["element_metas"].push_back(meta_json(meta));
  node.notes().for_each_saved([&](const std::string& name, const SavedNote& value) {
    std::visit([&](const auto& held) { entry["notes"][name] = held; }, value);
  });
  return entry;
}

Node* make_call(const JsonCursor& entry, const std::string& target, const std::string& name, std::vector<Arg> args,
                Graph& graph, const AllowedOperators& operators) {
  const std::string where = entry.where() + ": '" + name + "'";
  Node* call = graph.call(operators.find(target, where), std::move(args), {}, name);
  check_file_arguments(*call, where);
  return call;
}

Node* make_node(const JsonCursor& entry, Graph& graph, const AllowedOperators& operators, Budget& budget) {
  budget.charge(kNodeBytes, "its nodes");
  const std::string name = entry.at("name").to_string();
  const std::string target = entry.at("target").to_string();
  std::vector<Arg> args;
  for (const JsonCursor& arg : entry.at("args").elements()) args.push_back(arg_from(arg, graph, budget));
  switch (kind_from(entry.at("kind"))) {
    case NodeKind::kPlaceholder:
      return graph.placeholder(target.empty() ? name : target);
    case NodeKind::kGetAttr:
      return graph.get_attr(target, name);
    case NodeKind::kCall:
      return make_call(entry, target, name, std::move(args), graph, operators);
    case NodeKind::kCallModule:
      return graph.call_module(target, std::move(args), name);
    case NodeKind::kGetItem:
      if (args.size() != 2 || !args[0].is_node()) throw Error(entry.where(), "get_item takes a node and an index");
      return graph.get_item(args[0].node(), args[1].to_int(), name);
    case NodeKind::kOutput:
      if (args.size() != 1) throw expected(entry.where(), "arguments of the output", "1", std::to_string(args.size()));
      // A list without nodes is a constant; results of a program are nodes, so that an empty one is all that can be.
      return graph.output(args[0].is_list() ? args[0].list() : std::vector<Arg>{});
  }
  throw Error(entry.where(), "is no node");
}

}  // namespace

nlohmann::json graph_to_json(const Graph& graph) {
  json nodes = json::array();
  for (const Node* node : graph.nodes()) nodes.push_back(node_json(*node));
  return nodes;
}

void graph_from_json(const JsonCursor& nodes, Graph& graph, const AllowedOperators& operators, Budget& budget) {
  for (const JsonCursor& entry : nodes.elements()) {
    Node* node = nullptr;
    try {
      node = make_node(entry, graph, operators, budget);
    } catch (const Error& error) {
      if (error.where().rfind(entry.where(), 0) == 0) throw;
      throw Error(entry.where(), error.what());
    }
    if (node->name() != entry.at("name").to_string()) {
      throw Error(entry.at("name").where(),
                  "stands twice, or is no identifier: '" + entry.at("name").to_string() + "'");
    }
    if (entry.has("meta")) node->set_meta(meta_from(entry.at("meta")));
    if (node->kind() == NodeKind::kPlaceholder) check_input_size(*node, entry.where());
    if (entry.has("element_metas")) {
      std::vector<TensorMeta> metas;
      for (const JsonCursor& meta : entry.at("element_metas").elements()) metas.push_back(meta_from(meta));
      node->set_element_metas(std::move(metas));
    }
    if (!entry.has("notes")) continue;
    for (const auto& [key, value] : entry.at("notes").members()) {
      SavedNote note;
      if (value.json().is_boolean()) {
        note = value.to_bool();
      } else if (value.json().is_number_integer()) {
        note = value.to_int();
      } else {
        note = value.to_string();
      }
      node->notes().set_saved(key, std::move(note), value.where());
    }
  }
  in_category(ErrorCategory::kFile, [&] { graph.verify(); });
}

}  // namespace octet

#include "octet/formats/pt2_schema.h"

#include "octet/formats/pt2_codes.h"
#include "octet/support/error.h"

namespace octet::pt2 {
namespace {

constexpr int64_t kSchemaMajor = 8;

at::ScalarType read_dtype(const JsonCursor& cursor) {
  const std::optional<at::ScalarType> dtype = dtype_of_code(cursor.to_int());
  if (!dtype) throw Error(cursor.where(), str("dtype ", cursor.to_int(), " is not supported"));
  return *dtype;
}

int64_t read_memory_format(const JsonCursor& cursor) {
  const std::optional<at::MemoryFormat> format = memory_format_of_code(cursor.to_int());
  if (!format) throw Error(cursor.where(), str("memory format ", cursor.to_int(), " is not supported"));
  return static_cast<int64_t>(*format);
}

int64_t read_layout(const JsonCursor& cursor) {
  if (cursor.to_int() != kStridedLayout) {
    throw Error(cursor.where(), str("layout ", cursor.to_int(), " is not supported; only strided (7) is"));
  }
  return static_cast<int64_t>(at::kStrided);
}

// A union: an object of exactly one member. Returns tag and payload.
std::pair<std::string, JsonCursor> read_union(const JsonCursor& cursor) {
  const JsonCursor::Members members = cursor.members();
  if (members.size() != 1) throw expected(cursor.where(), "members of a union", "1", std::to_string(members.size()));
  return members.front();
}

SymValue read_symbolic(const JsonCursor& cursor) {
  SymValue result;
  result.where = cursor.where();
  const auto [tag, payload] = read_union(cursor);
  if (tag == "as_int") {
    result.value = payload.to_int();
  } else if (tag == "as_bool") {
    result.value = payload.to_bool();
  } else if (tag == "as_float") {
    result.value = payload.to_double();
  } else if (tag == "as_expr") {
    result.expression = payload.at("expr_str").to_string();
    if (payload.has("hint")) {
      const SymValue hint = read_symbolic(payload.at("hint"));
      if (!hint.value) throw Error(cursor.where(), "the hint is symbolic itself");
      result.hint = hint.value;
    }
  } else {
    throw Error(cursor.where(), "unknown tag '" + tag + "' of a symbolic number");
  }
  return result;
}

// {as_name: n} or a constant
Symbol read_symbol(const JsonCursor& cursor) {
  Symbol symbol;
  const auto [tag, payload] = read_union(cursor);
  if (tag == "as_name") {
    symbol.name = payload.to_string();
  } else if (tag == "as_int") {
    symbol.value = payload.to_int();
  } else if (tag == "as_bool") {
    symbol.value = payload.to_bool();
  } else if (tag == "as_float") {
    symbol.value = payload.to_double();
  } else {
    throw Error(cursor.where(), "unknown tag '" + tag + "' of a symbolic argument");
  }
  return symbol;
}

std::string read_name(const JsonCursor& cursor) { return cursor.at("name").to_string(); }

// {as_tensor: {name}} or {as_none: true}; empty for none
std::string read_optional_name(const JsonCursor& cursor) {
  const auto [tag, payload] = read_union(cursor);
  if (tag == "as_none") return "";
  if (tag == "as_tensor") return read_name(payload);
  throw Error(cursor.where(), "unknown tag '" + tag + "' of an optional tensor");
}

template <typename T, typename Read>
std::vector<T> read_list(const JsonCursor& cursor, const Read& read) {
  std::vector<T> values;
  values.reserve(cursor.elements().size());
  for (const JsonCursor& element : cursor.elements()) values.push_back(read(element));
  return values;
}

c10::IValue read_strings(const JsonCursor& cursor) {
  c10::List<std::string> strings;
  for (const JsonCursor& element : cursor.elements()) strings.push_back(element.to_string());
  return strings;
}

c10::IValue read_bools(const JsonCursor& cursor) {
  c10::List<bool> bools;
  for (const JsonCursor& element : cursor.elements()) bools.push_back(element.to_bool());
  return bools;
}

// Tags whose payload is a constant; false for the others.
bool read_constant(const std::string& tag, const JsonCursor& payload, c10::IValue& value) {
  const auto to_double = [](const JsonCursor& element) { return element.to_double(); };
  if (tag == "as_none") {
    value = c10::IValue();
  } else if (tag == "as_int") {
    value = payload.to_int();
  } else if (tag == "as_float") {
    value = payload.to_double();
  } else if (tag == "as_bool") {
    value = payload.to_bool();
  } else if (tag == "as_string") {
    value = payload.to_string();
  } else if (tag == "as_ints") {
    value = payload.to_ints();
  } else if (tag == "as_floats") {
    value = read_list<double>(payload, to_double);
  } else if (tag == "as_bools") {
    value = read_bools(payload);
  } else if (tag == "as_strings") {
    value = read_strings(payload);
  } else if (tag == "as_scalar_type") {
    value = static_cast<int64_t>(read_dtype(payload));
  } else if (tag == "as_memory_format") {
    value = read_memory_format(payload);
  } else if (tag == "as_layout") {
    value = read_layout(payload);
  } else if (tag == "as_device") {
    payload.at("type").to_string();
    value = c10::Device(c10::kCPU);  // whatever it was exported on, it is loaded here
  } else if (tag == "as_complex") {
    value = c10::complex<double>(payload.at("real").to_double(), payload.at("imag").to_double());
  } else {
    return false;
  }
  return true;
}

ProgramGraph read_graph(const JsonCursor& graph);

Argument read_argument(const JsonCursor& cursor) {
  Argument argument;
  argument.where = cursor.where();
  const auto [tag, payload] = read_union(cursor);
  argument.tag = tag;
  if (read_constant(tag, payload, argument.constant)) return argument;
  if (tag == "as_tensor") {
    argument.kind = ArgumentKind::kTensor;
    argument.names = {read_name(payload)};
  } else if (tag == "as_optional_tensor") {
    const std::string name = read_optional_name(payload);
    if (name.empty()) return argument;
    argument.kind = ArgumentKind::kTensor;
    argument.names = {name};
  } else if (tag == "as_tensors") {
    argument.kind = ArgumentKind::kTensors;
    argument.names = read_list<std::string>(payload, read_name);
  } else if (tag == "as_optional_tensors") {
    argument.kind = ArgumentKind::kTensors;
    argument.names = read_list<std::string>(payload, read_optional_name);
  } else if (tag == "as_sym_int" || tag == "as_sym_float" || tag == "as_sym_bool") {
    argument.kind = ArgumentKind::kSymbol;
    argument.symbols = {read_symbol(payload)};
  } else if (tag == "as_sym_ints" || tag == "as_sym_floats" || tag == "as_sym_bools") {
    argument.kind = ArgumentKind::kSymbols;
    argument.symbols = read_list<Symbol>(payload, read_symbol);
  } else if (tag == "as_graph") {  // no deeper than the document may be
    argument.kind = ArgumentKind::kGraph;
    argument.graph = std::make_shared<ProgramGraph>(read_graph(payload.at("graph")));
  } else {
    argument.kind = ArgumentKind::kOther;
  }
  return argument;
}

// "key,path,type;key,path,type" -> the last path, "L['s'].block.conv" as "block.conv"
std::string innermost_path(const std::string& stack) {
  const size_t semicolon = stack.rfind(';');
  const std::string last = stack.substr(semicolon == std::string::npos ? 0 : semicolon + 1);
  const size_t first = last.find(',');
  if (first == std::string::npos) return "";
  const size_t second = last.find(',', first + 1);
  std::string path = last.substr(first + 1, second == std::string::npos ? second : second - first - 1);
  const size_t bracket = path.substr(0, 2) == "L[" ? path.find(']') : std::string::npos;
  if (bracket != std::string::npos) path = path.substr(std::min(bracket + 2, path.size()));
  return path;
}

ProgramNode read_node(const JsonCursor& cursor) {
  ProgramNode node;
  node.where = cursor.where();
  node.target = cursor.at("target").to_string();
  if (cursor.has("name")) node.name = cursor.at("name").to_string();
  for (const JsonCursor& input : cursor.at("inputs").elements()) {
    node.inputs.emplace_back(input.at("name").to_string(), read_argument(input.at("arg")));
  }
  node.outputs = read_list<Argument>(cursor.at("outputs"), read_argument);
  if (!cursor.has("metadata")) return node;
  for (const auto& [key, value] : cursor.at("metadata").members()) {
    if (value.json().is_string()) node.metadata[key] = value.to_string();
  }
  if (node.name.empty()) node.name = node.metadata[kNameKey];
  node.metadata.erase(kNameKey);
  const auto stack = node.metadata.find("nn_module_stack");
  if (stack != node.metadata.end()) node.module_path = innermost_path(stack->second);
  return node;
}

Spec read_spec(const JsonCursor& cursor) {
  const auto [kind, payload] = read_union(cursor);
  Spec spec{kind, "", true, cursor.where()};
  for (const char* field : {"parameter_name", "buffer_name", "tensor_constant_name", "user_input_name"}) {
    if (payload.json().is_object() && payload.has(field)) spec.target = payload.at(field).to_string();
  }
  if (kind == "buffer" && payload.has("persistent")) spec.persistent = payload.at("persistent").to_bool();
  return spec;
}

void read_symbols(const JsonCursor& graph, const char* field, std::map<std::string, SymValue>& to) {
  if (!graph.has(field)) return;
  for (const auto& [name, cursor] : graph.at(field).members()) to[name] = read_symbolic(cursor);
}

ProgramGraph read_graph(const JsonCursor& cursor) {
  ProgramGraph graph;
  graph.inputs = read_list<Argument>(cursor.at("inputs"), read_argument);
  graph.outputs = read_list<Argument>(cursor.at("outputs"), read_argument);
  graph.nodes = read_list<ProgramNode>(cursor.at("nodes"), read_node);
  for (const auto& [name, value] : cursor.at("tensor_values").members()) {
    graph.tensor_values[name] = read_tensor_value(value);
  }
  for (const char* field : {"sym_int_values", "sym_bool_values", "sym_float_values"}) {
    read_symbols(cursor, field, graph.symbol_values);
  }
  return graph;
}

}  // namespace

TensorValue read_tensor_value(const JsonCursor& cursor) {
  TensorValue value;
  value.where = cursor.where();
  value.dtype = read_dtype(cursor.at("dtype"));
  value.sizes = read_list<SymValue>(cursor.at("sizes"), read_symbolic);
  value.strides = read_list<SymValue>(cursor.at("strides"), read_symbolic);
  if (cursor.has("storage_offset")) {
    value.storage_offset = read_symbolic(cursor.at("storage_offset"));
  } else {
    value.storage_offset.value = int64_t{0};
  }
  value.requires_grad = cursor.at("requires_grad").to_bool();
  if (cursor.has("layout")) read_layout(cursor.at("layout"));
  return value;
}

Program read_program(const JsonCursor& document) {
  Program program;
  const JsonCursor version = document.at("schema_version");
  program.schema_major = version.at("major").to_int();
  program.schema_minor = version.at("minor").to_int();
  if (program.schema_major != kSchemaMajor) {
    throw expected(version.where(), "schema major", str(kSchemaMajor), str(program.schema_major))
        .hint("export the model again with torch 2.6 or newer");
  }
  if (document.has("torch_version")) program.torch_version = document.at("torch_version").to_string();
  if (document.has("verifiers")) {
    program.verifiers =
        read_list<std::string>(document.at("verifiers"), [](const JsonCursor& c) { return c.to_string(); });
  }
  const JsonCursor module = document.at("graph_module");
  const JsonCursor signature = module.at("signature");
  static_cast<ProgramGraph&>(program) = read_graph(module.at("graph"));
  program.input_specs = read_list<Spec>(signature.at("input_specs"), read_spec);
  program.output_specs = read_list<Spec>(signature.at("output_specs"), read_spec);
  program.call_signature = read_call_signature(module);
  if (program.inputs.size() != program.input_specs.size()) {
    throw expected(signature.where(), "input_specs", str(program.inputs.size()), str(program.input_specs.size()));
  }
  if (program.outputs.size() != program.output_specs.size()) {
    throw expected(signature.where(), "output_specs", str(program.outputs.size()), str(program.output_specs.size()));
  }
  return program;
}

}  // namespace octet::pt2

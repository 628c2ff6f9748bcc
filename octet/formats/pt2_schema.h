#pragma once

#include <ATen/core/ivalue.h>

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "octet/formats/json.h"
#include "octet/formats/pt2_call_signature.h"

/// The JSON program of a `.pt2` as structures: schema major 8, what torch 2.6 and later write.
namespace octet::pt2 {

/// A number that may be symbolic.
struct SymValue {
  std::optional<c10::IValue> value;  ///< where it is a constant
  std::string expression;            ///< else
  std::optional<c10::IValue> hint;   ///< the value when the model was traced
  std::string where;
};

struct TensorValue {
  at::ScalarType dtype = at::kFloat;
  std::vector<SymValue> sizes;
  std::vector<SymValue> strides;
  SymValue storage_offset;
  bool requires_grad = false;
  std::string where;
};

enum class ArgumentKind {
  kConstant,  ///< `constant`, None included
  kTensor,    ///< names[0]
  kTensors,   ///< names; an empty one is None
  kSymbol,    ///< symbols[0]
  kSymbols,   ///< a list of symbols
  kGraph,     ///< the body of a higher-order operator
  kOther      ///< custom objects: what octet cannot run
};

/// A symbolic value by name, or a constant where the name is empty.
struct Symbol {
  std::string name;
  c10::IValue value;
};

struct ProgramGraph;

struct Argument {
  ArgumentKind kind = ArgumentKind::kConstant;
  std::string tag;  ///< "as_tensor"
  std::vector<std::string> names;
  std::vector<Symbol> symbols;
  c10::IValue constant;
  std::shared_ptr<ProgramGraph> graph;
  std::string where;
};

struct ProgramNode {
  std::string target;  ///< "torch.ops.aten.conv2d.default"
  std::string name;    ///< empty before torch 2.8
  std::vector<std::pair<std::string, Argument>> inputs;
  std::vector<Argument> outputs;
  std::string module_path;                      ///< dotted path of the innermost Python module, where the file says
  std::map<std::string, std::string> metadata;  ///< "stack_trace", "nn_module_stack", ...
  std::string where;
};

/// Nodes with what they read and give: of a program, or of a higher-order operator's body.
struct ProgramGraph {
  std::vector<Argument> inputs;
  std::vector<Argument> outputs;
  std::vector<ProgramNode> nodes;
  std::map<std::string, TensorValue> tensor_values;
  std::map<std::string, SymValue> symbol_values;
};

struct Spec {
  std::string kind;        ///< "parameter", "buffer", "user_input", "buffer_mutation", ...
  std::string target;      ///< the parameter's, buffer's or constant's dotted name
  bool persistent = true;  ///< false for buffers that are not in the state dict
  std::string where;
};

struct Program : ProgramGraph {
  int64_t schema_major = 0;
  int64_t schema_minor = 0;
  std::string torch_version;
  std::vector<std::string> verifiers;
  std::vector<Spec> input_specs;   ///< one per input
  std::vector<Spec> output_specs;  ///< one per output
  CallSignature call_signature;
};

/// Throws octet::Error naming the path in the document for a missing or mistyped field, an unknown tag or enumerator,
/// or another schema major.
Program read_program(const JsonCursor& document);
TensorValue read_tensor_value(const JsonCursor& cursor);

}  // namespace octet::pt2

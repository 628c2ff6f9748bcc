#include "octet/graph/compose.h"

#include <span>

#include "octet/graph/record.h"

namespace octet {
namespace {

struct Composed {
  std::string op;
  std::vector<Arg> args;
};

// What a decomposed call is in one piece; nullopt where it is something else.
using Compose = std::optional<Composed> (*)(const Node& node);

struct ComposeRow {
  OpName op;
  Compose compose;
  bool gives_tuple = false;  // of which element 0 is the value of the operator in one piece
};

std::optional<Composed> convolution(const Node& node) {
  const Node* weight = node.arg(1).node();
  if (weight == nullptr || !weight->meta() || !node.arg(6).is_constant()) return std::nullopt;
  const int64_t dimensions = weight->meta()->rank() - 2;
  if (dimensions < 1 || dimensions > 3) return std::nullopt;
  const std::vector<Arg>& args = node.args();
  if (node.arg(6).to_bool()) {
    return Composed{octet::str("aten.conv_transpose", dimensions, "d.", dimensions == 1 ? "default" : "input"),
                    {args[0], args[1], args[2], args[3], args[4], args[7], args[8], args[5]}};
  }
  return Composed{octet::str("aten.conv", dimensions, "d.default"),
                  {args[0], args[1], args[2], args[3], args[4], args[5], args[8]}};
}

std::optional<Composed> batch_norm(const Node& node) {
  const std::vector<Arg>& args = node.args();
  return Composed{"aten.batch_norm.default",
                  {args[0], args[1], args[2], args[3], args[4], Arg(false), args[5], args[6], Arg(true)}};
}

std::optional<Composed> layer_norm(const Node& node) {
  const std::vector<Arg>& args = node.args();
  return Composed{"aten.layer_norm.default", {args[0], args[1], args[2], args[3], args[4], Arg(true)}};
}

std::optional<Composed> group_norm(const Node& node) {
  return Composed{
      "aten.group_norm.default",
      {node.arg("input"), node.arg("group"), node.arg("weight"), node.arg("bias"), node.arg("eps"), Arg(true)}};
}

// `dim` alone, in the input's own type.
template <bool kLog>
std::optional<Composed> softmax(const Node& node) {
  if (!node.arg("half_to_float").is_constant() || node.arg("half_to_float").to_bool()) return std::nullopt;
  return Composed{kLog ? "aten.log_softmax.int" : "aten.softmax.int", {node.arg("self"), node.arg("dim")}};
}

// The same arguments under another name.
std::optional<Composed> max_pool1d(const Node& node) { return Composed{"aten.max_pool1d.default", node.args()}; }
std::optional<Composed> max_pool2d(const Node& node) { return Composed{"aten.max_pool2d.default", node.args()}; }
std::optional<Composed> max_pool3d(const Node& node) { return Composed{"aten.max_pool3d.default", node.args()}; }
std::optional<Composed> adaptive_pool2d(const Node& node) {
  return Composed{"aten.adaptive_avg_pool2d.default", node.args()};
}
std::optional<Composed> adaptive_pool3d(const Node& node) {
  return Composed{"aten.adaptive_avg_pool3d.default", node.args()};
}

std::optional<Composed> dropout(const Node& node) {
  if (!node.arg("train").is_constant() || node.arg("train").is_none()) return std::nullopt;
  return Composed{"aten.dropout.default", node.args()};
}

// Of vectors; a matrix norm is another thing.
std::optional<Composed> vector_norm(const Node& node) {
  std::vector<Arg> args = node.args();  // self, ord, dim, keepdim, dtype
  const auto dims = args[2].is_none() ? std::nullopt : std::optional(args[2].to_ints());
  if (!args[1].is_none() && !(args[1].is_constant() && dims && dims->size() == 1)) return std::nullopt;
  if (args[1].is_none()) args[1] = Arg(2.0);
  return Composed{"aten.linalg_vector_norm.default", std::move(args)};
}

// Of every export, decomposed or not.
const ComposeRow kSynonyms[] = {{"aten.linalg_norm.default", vector_norm}};

const ComposeRow kRows[] = {
    {"aten.convolution.default", convolution},
    {"aten._native_batch_norm_legit_no_training.default", batch_norm, true},
    {"aten.native_layer_norm.default", layer_norm, true},
    {"aten.native_group_norm.default", group_norm, true},
    {"aten._softmax.default", softmax<false>},
    {"aten._log_softmax.default", softmax<true>},
    {"aten.max_pool1d_with_indices.default", max_pool1d, true},
    {"aten.max_pool2d_with_indices.default", max_pool2d, true},
    {"aten.max_pool3d_with_indices.default", max_pool3d, true},
    {"aten._adaptive_avg_pool2d.default", adaptive_pool2d},
    {"aten._adaptive_avg_pool3d.default", adaptive_pool3d},
    {"aten.native_dropout.default", dropout, true},
};

// Element 0 of a tuple whose others nobody reads.
Node* only_element(const Node& tuple) {
  const std::vector<Node*> users = tuple.users();
  if (users.size() != 1 || users[0]->kind() != NodeKind::kGetItem || users[0]->arg(1).to_int() != 0) return nullptr;
  return users[0];
}

bool compose(Graph& graph, Node* node, const ComposeRow& row) {
  Node* value = row.gives_tuple ? only_element(*node) : node;
  if (value == nullptr) return false;
  const std::optional<Composed> whole = row.compose(*node);
  if (!whole) return false;
  Node* made = nullptr;
  {
    const auto at = graph.inserting_before(node);
    made = graph.call(whole->op, whole->args);
  }
  made->set_meta(value->meta());
  made->notes() = node->notes();
  value->replace_all_uses_with(made);
  graph.erase(value);
  if (value != node) graph.erase(node);
  return true;
}

size_t compose_by(GraphModule& module, std::span<const ComposeRow> rows) {
  Graph& graph = module.graph();
  size_t composed = 0;
  std::vector<Node*> calls = graph.nodes();  // their elements go with them
  calls.erase(std::remove_if(calls.begin(), calls.end(), [](const Node* node) { return !node->is_call(); }),
              calls.end());
  for (Node* node : calls) {
    const auto row =
        std::find_if(rows.begin(), rows.end(), [&](const ComposeRow& each) { return node->is_call(each.op); });
    if (row != rows.end() && compose(graph, node, *row)) ++composed;
  }
  return composed;
}

}  // namespace

size_t compose_synonyms(GraphModule& module) { return compose_by(module, kSynonyms); }

size_t compose_operators(GraphModule& module) {
  const size_t composed = compose_by(module, kRows);
  put_linears_together(module);
  return composed;
}

}  // namespace octet

#include "octet/lowering/part.h"

#include <algorithm>
#include <map>
#include <unordered_set>

#include "octet/graph/constant_value.h"
#include "octet/quantize/compare.h"
#include "octet/quantize/qdq.h"
#include "octet/support/error.h"

namespace octet {
namespace {

using NodeSet = std::unordered_set<const Node*>;

// "features.0" of "conv2d 'features.0'".
std::string path_of(const Node& node) {
  const std::string where = node.where();
  const size_t begin = where.find('\'') + 1;
  return where.substr(begin, where.rfind('\'') - begin);
}

Node* named(const Graph& graph, const std::string& name) {
  if (Node* node = graph.find(name)) return node;
  std::vector<Node*> found;
  for (Node* node : graph.nodes()) {
    if (is_operator(*node) && float_name(*node) == name) found.push_back(node);
  }
  if (found.empty()) {
    for (Node* node : graph.nodes()) {
      if (is_operator(*node) && path_of(*node) == name) found.push_back(node);
    }
  }
  if (found.size() == 1) return found.front();
  if (found.empty()) throw Error(name, "is no node of the model").hint("octet inspect --graph prints them");
  std::vector<std::string> names;
  for (const Node* node : found) names.push_back(node->name());
  throw Error(name, octet::str("stands for several nodes: ", join(", ", names)));
}

Node* tensor_named(const Graph& graph, const std::string& name) {
  Node* node = named(graph, name);
  const bool gives_tensor = node->meta() && node->kind() != NodeKind::kOutput && !node->is_get_attr();
  if (!gives_tensor) throw Error(node->where(), "does not give a single tensor that the program computes");
  return node;
}

// What the node gives, on the grid behind it where there is one.
Node* on_its_grid(Node* node) {
  for (const Node* user : node->users()) {
    if (!user->is(Trait::kQuantize)) continue;
    for (Node* reader : user->users()) {
      if (reader->is(Trait::kDequantize)) return reader;
    }
  }
  return node;
}

// What writes a value in place that a node of the part reads behind it.
bool writes_for(const Node& node, const NodeSet& part) {
  if (!node.is_call() || !node.op().mutates()) return false;
  for (size_t i = 0; i < node.args().size(); ++i) {
    if (!node.op().writes_argument(i) || !node.args()[i].is_node()) continue;
    const Node* written = node.args()[i].node();
    if (part.count(written) == 0) continue;
    for (const Node* user : written->users()) {
      if (user != &node && part.count(user) > 0 && node.graph().before(&node, user)) return true;
    }
  }
  return false;
}

NodeSet needed_by(const Graph& graph, const Node* output) {
  NodeSet part = {output};
  const std::vector<Node*> nodes = graph.nodes();
  for (size_t known = 0; known != part.size();) {
    known = part.size();
    for (auto it = nodes.rbegin(); it != nodes.rend(); ++it) {
      if (writes_for(**it, part)) part.insert(*it);
      if (part.count(*it) == 0) continue;
      for (const Node* input : (*it)->inputs()) part.insert(input);
    }
  }
  return part;
}

void begin_at(Graph& graph, Node* node) {
  const auto here = graph.inserting_before(graph.nodes().front());
  Node* input = graph.placeholder(node->name() + "_in");
  input->set_meta(node->meta());
  node->replace_all_uses_with(input);
}

// Erases what no result needs. `from` are inputs by now.
void keep_needed(GraphModule& part) {
  Graph& graph = part.graph();
  const NodeSet needed = needed_by(graph, graph.output());
  const std::vector<Node*> nodes = graph.nodes();
  for (auto it = nodes.rbegin(); it != nodes.rend(); ++it) {
    if (needed.count(*it) == 0) graph.erase(*it);
  }
  part.erase_unused();
  part.facts().erase("call_signature");
}

// Operators that TFLite has no form for, by name, and why.
using Refusals = std::map<std::string, std::string>;

// The values in front of the refused operators that they, what reads them, or nobody reads.
std::vector<std::string> last_values(const Graph& graph, const Refusals& refused) {
  NodeSet behind;
  for (const Node* node : graph.nodes()) {
    const std::vector<Node*> inputs = node->inputs();
    const bool reads = std::any_of(inputs.begin(), inputs.end(), [&](const Node* in) { return behind.count(in) > 0; });
    if (reads || refused.count(node->name()) > 0) behind.insert(node);
  }
  std::vector<std::string> names;
  for (const Node* node : graph.nodes()) {
    if (!is_operator(*node) || !node->is_call() || behind.count(node) > 0 || is_constant_value(*node)) continue;
    std::vector<Node*> readers = node->users();
    for (size_t i = 0; i < readers.size(); ++i) {  // through quantize and dequantize
      if (is_operator(*readers[i]) || !readers[i]->is_call()) continue;
      for (Node* each : readers[i]->users()) readers.push_back(each);
    }
    const bool ends = std::any_of(readers.begin(), readers.end(), [&](const Node* reader) {
      return (is_operator(*reader) && behind.count(reader) > 0) || reader->kind() == NodeKind::kOutput ||
             (reader->kind() == NodeKind::kGetItem && behind.count(reader) > 0);
    });
    if (ends && node->meta()) names.push_back(node->name());
  }
  return names;
}

const Node* node_at(const Graph& graph, const std::string& where) {
  for (const Node* node : graph.nodes()) {
    if (is_operator(*node) && node->where() == where) return node;
  }
  return nullptr;
}

}  // namespace

std::shared_ptr<GraphModule> part_of(const GraphModule& module, const Cut& cut) {
  std::shared_ptr<GraphModule> part = module.copy();
  Graph& graph = part->graph();
  if (!cut.to.empty()) {
    std::vector<Arg> results;
    for (const std::string& name : cut.to) results.emplace_back(on_its_grid(tensor_named(graph, name)));
    graph.output()->set_arg(size_t{0}, Arg(std::move(results)));
  }
  std::vector<Node*> starts;
  for (const std::string& name : cut.from) starts.push_back(tensor_named(graph, name));
  const auto is_start = [&](const std::string& name) {
    return std::find(starts.begin(), starts.end(), tensor_named(graph, name)) != starts.end();
  };
  if (!cut.to.empty() && std::all_of(cut.to.begin(), cut.to.end(), is_start)) {
    throw Error(starts.front()->where(), "begins the part and ends it: nothing lies between");
  }
  // What each begins at is named before any is cut off; the last comes first in front of the others.
  const NodeSet needed = needed_by(graph, graph.output());
  for (auto start = starts.rbegin(); start != starts.rend(); ++start) {
    if (needed.count(*start) == 0) throw Error((*start)->where(), "no result of the part needs it");
    begin_at(graph, *start);
  }
  keep_needed(*part);
  return part;
}

Prefix largest_prefix(const GraphModule& converted, const LoweringOptions& options) {
  Refusals refused;
  while (true) {
    Prefix prefix;
    for (const auto& [name, why] : refused) prefix.refused.push_back(why);
    prefix.results = last_values(converted.graph(), refused);
    if (prefix.results.empty()) {
      throw Error("", "no operator of the model stands in front of those that TFLite has no form for: " +
                          join("; ", prefix.refused));
    }
    prefix.part = part_of(converted, {.from = {}, .to = prefix.results});
    try {
      lower(*prefix.part, options);
      return prefix;
    } catch (const Error& error) {
      const Node* node = node_at(prefix.part->graph(), error.where());
      if (node == nullptr || !refused.emplace(node->name(), error.what()).second) throw;
    }
  }
}

}  // namespace octet

#include "octet/targets/engine/placement/placement.h"

#include <ATen/core/grad_mode.h>

#include <set>

#include "octet/formats/dtype.h"
#include "octet/graph/constant_value.h"
#include "octet/graph/match.h"
#include "octet/lowering/layout.h"
#include "octet/lowering/program_graph.h"
#include "octet/lowering/stats.h"
#include "octet/quantize/qdq.h"
#include "octet/support/error.h"
#include "octet/targets/engine/placement/clusters.h"
#include "octet/targets/engine/placement/operator_view.h"
#include "octet/targets/engine/placement/partitioner.h"

namespace octet::targets {
namespace {

struct Verdict {
  std::string reason;
  std::string way_out;
};

Verdict verdict(const Refusal& refusal) {
  return {octet::str(refusal.what, ": expected ", refusal.expected, ", got ", refusal.got), refusal.way_out};
}

class Placer {
 public:
  Placer(const GraphModule& module, const Target& target, bool scales_known)
      : module_(module),
        graph_(module.graph()),
        target_(target),
        scales_known_(scales_known),
        clusters_(graph_),
        channels_first_(lowering::channels_first_values(graph_)) {}

  Placement run() {
    for (const Node* node : graph_.nodes()) {
      if (is_operator(*node)) judge(*node);
    }
    std::unordered_map<const Node*, int64_t> groups;
    // Each round takes at least one operator off the NPU, or ends.
    do {
      const auto stands = [&](const Node& node) { return refused_.count(&node) == 0; };
      const std::unordered_set<const Node*> on_npu = clusters_.nodes_of(stands);
      groups = partition(graph_, [&](const Node& node) { return on_npu.count(&node) > 0 && stands(node); });
    } while (!partitions_stand(groups));
    return describe(groups);
  }

 private:
  OperatorView view(const Node& node) const {
    return {module_, clusters_, node, channels_first_.count(&node) > 0, scales_known_};
  }

  void refuse(const Node& node, Verdict why) { refused_.emplace(&node, std::move(why)); }

  void judge(const Node& node) {
    if (node.notes().contains(kInFloatNote)) return refuse(node, why_float_in_file(node));
    if (clusters_.owners(node).empty()) return refuse(node, why_float(node));
    const bool is_own = has_own_cluster(node);
    const OperatorRule* rule = target_.rules.find(node);
    if (rule == nullptr) return refuse(node, no_rule(node.op()));
    if (!is_own) return;  // goes with the operator that it is computed with
    const OperatorView subject = view(node);
    if (auto wrong = wrong_type(subject, *rule)) return refuse(node, *wrong);
    for (const Constraint& constraint : rule->constraints) apply(node, subject, constraint);
  }

  bool has_own_cluster(const Node& node) const {
    const auto owners = clusters_.owners(node);
    return std::find(owners.begin(), owners.end(), &node) != owners.end();
  }

  // True where it holds. Before calibration what needs scales is a condition.
  bool apply(const Node& node, const OperatorView& subject, const Constraint& constraint) {
    if (constraint.needs_scales && !scales_known_) {
      conditions_[&node].insert(constraint.text);
      return true;
    }
    const auto refusal = constraint.check(subject);
    if (!refusal) return true;
    refuse(node, verdict(*refusal));
    return false;
  }

  std::string substitute(const Op& op) const {
    return target_.substitute_for ? target_.substitute_for(op.short_name()) : "";
  }

  // Biases have constraints of their own.
  std::optional<Verdict> wrong_type(const OperatorView& subject, const OperatorRule& rule) const {
    const std::vector<std::string>& types = target_.value_types;
    const auto is_known = [&](const std::optional<QuantRecord>& grid) {
      return grid && std::find(types.begin(), types.end(), grid->dtype) != types.end();
    };
    for (const InputRule& input : rule.inputs) {
      if (family(input.role) == Role::kBias) continue;
      for (const auto& grid : subject.input_grids(input.argument)) {
        if (!is_known(grid)) {
          return Verdict{
              octet::str(input.argument, ": expected ", types.front(), ", got ", grid ? grid->dtype : "float"), ""};
        }
      }
    }
    const auto output = subject.output_grid();
    if (is_known(output) || rule.output == Role::kFloat) return std::nullopt;
    return Verdict{octet::str("result: expected ", types.front(), ", got ", output ? output->dtype : "float"), ""};
  }

  Verdict no_rule(const Op& op) const {
    return {octet::str("no rule of ", target_.name, " knows ", op.text()), substitute(op)};
  }

  // The operator that a node stands for: of a file that says it, the one that the node is a part of.
  static Op whole_op(const Node& node) {
    const std::string* whole = node.notes().find(kPartOfOpNote);
    const std::optional<Op> op = whole != nullptr ? Op::try_find(*whole) : std::nullopt;
    return op ? *op : node.op();
  }

  // Of a result that no grid is for: whole numbers, bools.
  static std::optional<at::ScalarType> type_off_grids(const Node& node) {
    if (!node.meta() || at::isFloatingType(node.meta()->dtype) || node.meta()->dtype == at::kChar) return std::nullopt;
    return node.meta()->dtype;
  }
  static Verdict whole_numbers(at::ScalarType type) {
    return {octet::str("its result is ", dtype_name(type), ", which is never quantized"), ""};
  }

  // What a .tflite computes in float stays so.
  Verdict why_float_in_file(const Node& node) const {
    const Op op = whole_op(node);
    const OperatorRule* rule = target_.rules.find(op.name());
    if (rule == nullptr) return no_rule(op);
    if (rule->qat_only) {
      for (const Constraint& constraint : rule->constraints) {
        if (const auto refusal = constraint.check(view(node))) return verdict(*refusal);
      }
    }
    if (const auto type = type_off_grids(node)) return whole_numbers(*type);
    return {"it computes in float in this file", ""};
  }

  Verdict why_float(const Node& node) const {
    const OperatorRule* rule = target_.rules.find(node);
    if (rule == nullptr) {
      if (target_.rules.find(whole_op(node).name()) == nullptr) return no_rule(node.op());
      return {octet::str("in this file it is ", node.op().short_name(), ", which no rule of ", target_.name, " knows"),
              ""};
    }
    if (rule->qat_only) {
      for (const Constraint& constraint : rule->constraints) {
        if (const auto refusal = constraint.check(view(node))) return verdict(*refusal);
      }
    }
    if (const auto type = type_off_grids(node)) return whole_numbers(*type);
    const FloatEdge edge = clusters_.float_edge(node);
    if (edge.producer != nullptr && is_constant_value(*edge.producer)) {
      // A weight or bias in float: its own rule says more, and what to do.
      for (const Constraint& constraint : rule->constraints) {
        if (const auto refusal = constraint.check(view(node))) return verdict(*refusal);
      }
    }
    if (edge.producer != nullptr) {
      return {octet::str("inputs: expected all quantized, got float from ", edge.producer->where()), ""};
    }
    if (edge.reader != nullptr) {
      return {octet::str("result: expected quantized, got float for ",
                         edge.reader->kind() == NodeKind::kOutput ? "the program's result" : edge.reader->where()),
              ""};
    }
    return {"it is not quantized", ""};
  }

  bool partitions_stand(const std::unordered_map<const Node*, int64_t>& groups) {
    std::map<int64_t, std::vector<const Node*>> members;
    for (const Node* node : graph_.nodes()) {
      const auto group = groups.find(node);
      if (group != groups.end() && is_operator(*node)) members[group->second].push_back(node);
    }
    bool stands = true;
    for (const auto& [group, operators] : members) {
      if (std::all_of(operators.begin(), operators.end(), [&](const Node* node) { return is_no_op(*node); })) {
        for (const Node* node : operators) {
          refuse(*node, {"its partition: expected an operator that computes, got none that changes a value",
                         "leave it out, or join it to other operators on the NPU"});
        }
        stands = false;
        continue;
      }
      if (operators.size() != 1) continue;
      const OperatorRule* rule = target_.rules.find(*operators.front());
      for (const Constraint& constraint : rule->alone) {
        if (!apply(*operators.front(), view(*operators.front()), constraint)) stands = false;
      }
    }
    return stands;
  }

  bool is_no_op(const Node& node) const {
    const OperatorRule* rule = target_.rules.find(node);
    if (rule == nullptr || rule->no_op == NoOp::kAlways) return true;
    if (rule->no_op == NoOp::kIfOneInput) return view(node).producers(rule->inputs.front().argument).size() == 1;
    return rule->no_op == NoOp::kIfIdentity && gives_its_input(node);
  }

  // Computes the operator on random numbers.
  bool gives_its_input(const Node& node) const {
    at::Tensor input;
    torch::jit::Stack stack;
    for (const Arg& arg : node.args()) {
      if (arg.is_constant()) {
        stack.push_back(arg.constant());
      } else if (!arg.is_node()) {
        return false;
      } else if (const at::Tensor constant = constant_value(module_, *arg.node()); constant.defined()) {
        stack.emplace_back(constant);
      } else {
        if (input.defined() || !arg.node()->meta()) return false;
        const TensorMeta& meta = *arg.node()->meta();
        if (!at::isFloatingType(meta.dtype)) return false;
        input = at::rand(meta.sizes, at::TensorOptions(meta.dtype)) * 10 - 5;
        stack.emplace_back(input.clone());
      }
    }
    if (!input.defined()) return false;
    const at::NoGradGuard no_grad;
    node.op().handle().callBoxed(&stack);
    return stack.front().isTensor() && at::equal(stack.front().toTensor(), input);
  }

  Placement describe(const std::unordered_map<const Node*, int64_t>& groups) const {
    Placement placement;
    placement.target = target_.name;
    std::unordered_map<int64_t, int64_t> numbers;
    std::unordered_map<const Node*, std::optional<int64_t>> places;
    std::unordered_map<std::string, size_t> wholes;  // rows of operators that a file has in parts
    for (const Node* node : graph_.nodes()) {
      if (!is_operator(*node)) continue;
      OperatorPlacement row;
      row.op = node->target();
      row.name = node->name();
      row.where = node->where();
      row.macs = macs(module_, *node);
      row.bytes = static_bytes(module_, *node);
      if (const std::string* whole = node->notes().find(kPartOfNodeNote); whole && groups.count(node) == 0) {
        const auto [known, is_first] = wholes.try_emplace(*whole, placement.operators.size());
        if (!is_first) {
          placement.operators[known->second].macs += row.macs;
          placement.operators[known->second].bytes += row.bytes;
          places[node] = std::nullopt;
          continue;
        }
        const Op op = whole_op(*node);
        row.op = op.text();
        row.name = *whole;
        row.where = octet::str(op.short_name(), " '", *whole, "'");
      }
      const auto group = groups.find(node);
      if (group != groups.end()) {
        row.partition = numbers.emplace(group->second, static_cast<int64_t>(numbers.size())).first->second;
        const auto conditions = conditions_.find(node);
        if (conditions != conditions_.end())
          row.conditions.assign(conditions->second.begin(), conditions->second.end());
      } else {
        const Verdict why = why_refused(*node);
        row.reason = octet::str("[", row.where, "] ", why.reason);
        row.way_out = why.way_out;
      }
      places[node] = row.partition;
      placement.operators.push_back(std::move(row));
    }
    placement.partitions = static_cast<int64_t>(numbers.size());
    for (const Node* node : graph_.nodes()) {
      if (!is_operator(*node)) continue;
      for (const Node* reader : operators_behind(*node)) {
        if (places.at(node) != places.at(reader)) placement.transitions.push_back({node->where(), reader->where()});
      }
    }
    return placement;
  }

  Verdict why_refused(const Node& node) const {
    const auto found = refused_.find(&node);
    if (found != refused_.end()) return found->second;
    for (const Node* owner : clusters_.owners(node)) {
      if (owner != &node && refused_.count(owner) > 0) {
        return {octet::str("it is computed with ", owner->where(), ", which is not on the NPU"), ""};
      }
    }
    return {"it is not quantized", ""};
  }

  // Operators that read a value, quantize, dequantize and getitem looked through.
  static std::vector<Node*> operators_behind(const Node& node) {
    std::vector<Node*> readers = readers_through(
        node, [](const Node& reader) { return !is_operator(reader) && reader.kind() != NodeKind::kOutput; });
    std::erase_if(readers, [](const Node* reader) { return !is_operator(*reader); });
    return readers;
  }

  const GraphModule& module_;
  const Graph& graph_;
  const Target& target_;
  bool scales_known_;
  Clusters clusters_;
  std::unordered_set<const Node*> channels_first_;
  std::unordered_map<const Node*, Verdict> refused_;
  std::unordered_map<const Node*, std::set<std::string>> conditions_;
};

template <typename Value>
int64_t sum(const std::vector<OperatorPlacement>& operators, Value value) {
  int64_t total = 0;
  for (const OperatorPlacement& row : operators) total += value(row);
  return total;
}

}  // namespace

int64_t Placement::macs() const {
  return sum(operators, [](const OperatorPlacement& row) { return row.macs; });
}
int64_t Placement::npu_macs() const {
  return sum(operators, [](const OperatorPlacement& row) { return row.partition ? row.macs : 0; });
}
int64_t Placement::bytes() const {
  return sum(operators, [](const OperatorPlacement& row) { return row.bytes; });
}
int64_t Placement::npu_bytes() const {
  return sum(operators, [](const OperatorPlacement& row) { return row.partition ? row.bytes : 0; });
}
int64_t Placement::on_cpu() const {
  return sum(operators, [](const OperatorPlacement& row) { return row.partition ? 0 : 1; });
}

int64_t static_bytes(const GraphModule& module, const Node& node) {
  int64_t bytes = 0;
  for (const Node* input : node.inputs()) {
    if (!is_constant_value(*input)) continue;
    const Node* source = input;
    while (source->is_call() && !source->inputs().empty()) source = source->inputs().front();
    if (source->is_get_attr()) bytes += static_cast<int64_t>(module.attr(source->target()).nbytes());
  }
  return bytes;
}

Placement place(const GraphModule& quantized, const Target& target, bool scales_known) {
  return Placer(quantized, target, scales_known).run();
}

}  // namespace octet::targets

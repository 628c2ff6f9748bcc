#include <algorithm>
#include <map>
#include <numeric>
#include <unordered_set>

#include "octet/targets/engine/passes/passes.h"
#include "octet/targets/engine/passes/rewrite.h"

namespace octet::targets {
namespace {

bool always_nothing(const Node&) { return true; }

bool keeps_shape(const Node& node) { return node.meta()->sizes == node.args()[0].node()->meta()->sizes; }

// Sizes that the program computes may grow with the batch.
bool expands_nothing(const Node& node) {
  const Arg& to = node.arg(size_t{1});
  return keeps_shape(node) && (to.is_node() || to.is_constant());
}

// At another batch, a part of dimension 0 may be less than all of it.
bool slices_nothing(const Node& node) {
  const Arg& start = node.arg("start");
  const Arg& end = node.arg("end");
  if (!keeps_shape(node) || node.arg("step").to_int() != 1) return false;
  if (!start.is_constant() || !end.is_constant() || (!start.is_none() && start.to_int() != 0)) return false;
  const int64_t dim = positive_dim(node.arg("dim").to_int(), node.meta()->rank());
  return dim != 0 || end.is_none() || end.to_int() >= std::numeric_limits<int32_t>::max();
}

bool permutes_nothing(const Node& node) {
  const std::vector<int64_t> dims = node.arg("dims").to_ints();
  std::vector<int64_t> same(dims.size());
  std::iota(same.begin(), same.end(), 0);
  return std::equal(dims.begin(), dims.end(), same.begin(), [&](int64_t dim, int64_t wanted) {
    return positive_dim(dim, static_cast<int64_t>(dims.size())) == wanted;
  });
}

bool transposes_nothing(const Node& node) {
  const int64_t rank = node.meta()->rank();
  return positive_dim(node.arg("dim0").to_int(), rank) == positive_dim(node.arg("dim1").to_int(), rank);
}

bool repeats_nothing(const Node& node) {
  if (!node.arg(size_t{1}).is_constant() || !keeps_shape(node)) return false;
  const std::vector<int64_t> times = node.arg(size_t{1}).to_ints();
  return std::all_of(times.begin(), times.end(), [](int64_t each) { return each == 1; });
}

bool pads_nothing(const Node& node) {
  if (!node.arg("pad").is_constant()) return false;
  const std::vector<int64_t> pad = node.arg("pad").to_ints();
  return std::all_of(pad.begin(), pad.end(), [](int64_t each) { return each == 0; });
}

struct NoOpRow {
  OpName op;
  bool (*does_nothing)(const Node&);  // given that the type of the value stays
};

constexpr NoOpRow kNoOps[] = {
    {"aten.alias.default", always_nothing},
    {"aten.detach.default", always_nothing},
    {"aten.lift.default", always_nothing},
    {"aten.lift_fresh.default", always_nothing},
    {"aten.lift_fresh_copy.default", always_nothing},
    {"aten.clone.default", always_nothing},
    {"aten.contiguous.default", always_nothing},
    {"aten._to_copy.default", always_nothing},
    {"aten.to.dtype", always_nothing},
    {"aten.to.dtype_layout", always_nothing},
    {"aten.to.device", always_nothing},
    {"aten.to.other", always_nothing},
    {"aten.type_as.default", always_nothing},
    {"aten.expand.default", expands_nothing},
    {"aten.expand_as.default", expands_nothing},
    {"aten.slice.Tensor", slices_nothing},
    {"aten.permute.default", permutes_nothing},
    {"aten.transpose.int", transposes_nothing},
    {"aten.repeat.default", repeats_nothing},
    {"aten.tile.default", repeats_nothing},
    {"aten.pad.default", pads_nothing},
};

bool gives_its_input_back(const Node& node) {
  if (node.args().empty() || !node.args()[0].is_node()) return false;
  const NoOpRow* row =
      std::find_if(std::begin(kNoOps), std::end(kNoOps), [&](const NoOpRow& each) { return node.is_call(each.op); });
  if (row == std::end(kNoOps)) return false;
  const Node* input = node.args()[0].node();
  return node.meta() && input->meta() && node.meta()->dtype == input->meta()->dtype && row->does_nothing(node);
}

// Which values lie in the same memory, and the last operator that writes there.
class Memory {
 public:
  explicit Memory(const Graph& graph) : graph_(graph) {
    for (const Node* node : graph.nodes()) {
      const Node* shared = shares_with(*node);
      owner_[node] = shared == nullptr ? node : owner_.at(shared);
      if (!node->is_call() || !node->op().mutates()) continue;
      for (size_t i = 0; i < node->args().size(); ++i) {
        if (!node->op().writes_argument(i)) continue;
        node->args()[i].for_each_node([&](const Node* written) { last_write_[owner_.at(written)] = node; });
      }
    }
  }

  bool is_written_behind(const Node& value, const Node& place) const {
    const auto write = last_write_.find(owner_.at(&value));
    return write != last_write_.end() && graph_.before(&place, write->second);
  }

 private:
  // The input whose memory a value may lie in.
  static const Node* shares_with(const Node& node) {
    if (node.kind() == NodeKind::kGetItem) return node.inputs().front();
    if (!node.is_call()) return nullptr;
    for (size_t i = 0; i < node.args().size(); ++i) {
      const bool gives_back =
          node.op().schema().arguments()[i].alias_info() != nullptr || (i == 0 && node.has_arg("train"));
      if (gives_back && node.args()[i].is_node()) return node.args()[i].node();
    }
    return nullptr;
  }

  const Graph& graph_;
  std::map<const Node*, const Node*> owner_;
  std::map<const Node*, const Node*> last_write_;
};

// A copy puts a value's elements in order, which view asks for. Without it, what reads them in another order reshapes.
void reshape_behind(const std::vector<Node*>& dropped, const Memory& memory) {
  std::unordered_set<const Node*> behind(dropped.begin(), dropped.end());
  if (behind.empty()) return;
  for (Node* node : dropped.front()->graph().nodes()) {
    const std::vector<Node*> inputs = node->inputs();
    if (std::none_of(inputs.begin(), inputs.end(), [&](const Node* input) { return behind.count(input) > 0; }))
      continue;
    behind.insert(node);
    if (!node->is_call("aten.view.default") || memory.is_written_behind(*node, *node)) continue;
    const auto here = node->graph().inserting_before(node);
    Node* reshape = node->graph().call("aten.reshape.default", node->args(), {}, node->name());
    reshape->set_meta(node->meta());
    copy_notes(*node, *reshape);
    behind.insert(reshape);
    replace_by_parts(node, reshape);
  }
}

}  // namespace

bool drop_no_ops(GraphModule& module) {
  const std::vector<Node*> found = calls_where(module.graph(), gives_its_input_back);
  if (found.empty()) return false;
  const Memory memory(module.graph());
  std::vector<Node*> dropped;
  for (Node* node : found) {
    // A copy that one side writes later is no copy for nothing.
    const bool is_one_memory =
        !memory.is_written_behind(*node, *node) && !memory.is_written_behind(*node->args()[0].node(), *node);
    if (is_one_memory) dropped.push_back(node);
  }
  reshape_behind(dropped, memory);
  for (Node* node : dropped) replace_node(node, node->args()[0].node());
  return !dropped.empty();
}

}  // namespace octet::targets

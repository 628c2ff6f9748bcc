#include <algorithm>
#include <numeric>
#include <unordered_set>

#include "octet/targets/engine/passes/memory.h"
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

enum class Result { kView, kCopy };

struct NoOpRow {
  OpName op;
  bool (*does_nothing)(const Node&);  // given that the type of the value stays
  Result result;                      // given that it does nothing: in its input's memory, or maybe in another
};

constexpr NoOpRow kNoOps[] = {
    {"aten.alias.default", always_nothing, Result::kView},
    {"aten.detach.default", always_nothing, Result::kView},
    {"aten.lift.default", always_nothing, Result::kCopy},
    {"aten.lift_fresh.default", always_nothing, Result::kView},
    {"aten.lift_fresh_copy.default", always_nothing, Result::kCopy},
    {"aten.clone.default", always_nothing, Result::kCopy},
    {"aten.contiguous.default", always_nothing, Result::kCopy},
    {"aten._to_copy.default", always_nothing, Result::kCopy},
    {"aten.to.dtype", always_nothing, Result::kCopy},
    {"aten.to.dtype_layout", always_nothing, Result::kCopy},
    {"aten.to.device", always_nothing, Result::kCopy},
    {"aten.to.other", always_nothing, Result::kCopy},
    {"aten.type_as.default", always_nothing, Result::kCopy},
    {"aten.expand.default", expands_nothing, Result::kView},
    {"aten.expand_as.default", expands_nothing, Result::kView},
    {"aten.slice.Tensor", slices_nothing, Result::kView},
    {"aten.permute.default", permutes_nothing, Result::kView},
    {"aten.transpose.int", transposes_nothing, Result::kView},
    {"aten.repeat.default", repeats_nothing, Result::kCopy},
    {"aten.tile.default", repeats_nothing, Result::kCopy},
    {"aten.pad.default", pads_nothing, Result::kCopy},
};

const NoOpRow* no_op_row(const Node& node) {
  const NoOpRow* row =
      std::find_if(std::begin(kNoOps), std::end(kNoOps), [&](const NoOpRow& each) { return node.is_call(each.op); });
  return row == std::end(kNoOps) ? nullptr : row;
}

bool gives_its_input_back(const Node& node) {
  if (node.args().empty() || !node.args()[0].is_node()) return false;
  const NoOpRow* row = no_op_row(node);
  if (row == nullptr) return false;
  const Node* input = node.args()[0].node();
  return node.meta() && input->meta() && node.meta()->dtype == input->meta()->dtype && row->does_nothing(node);
}

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
  const std::unordered_set<const Node*> copies(found.begin(), found.end());
  std::vector<Node*> dropped;
  for (Node* node : found) {
    // A copy that one side writes later is no copy for nothing. A view is written with what it is a view of.
    const bool is_one_memory =
        no_op_row(*node)->result == Result::kView ||
        (!memory.is_written_behind(*node, *node) && !memory.is_written_behind(*node->args()[0].node(), *node)) ||
        memory.is_read_last_by(*node, copies);
    if (is_one_memory) dropped.push_back(node);
  }
  reshape_behind(dropped, memory);
  for (Node* node : dropped) replace_node(node, node->args()[0].node());
  return !dropped.empty();
}

}  // namespace octet::targets

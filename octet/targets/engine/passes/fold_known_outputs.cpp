#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>

#include "octet/support/error.h"
#include "octet/support/log.h"
#include "octet/targets/engine/passes/memory.h"
#include "octet/targets/engine/passes/passes.h"
#include "octet/targets/engine/passes/rewrite.h"

namespace octet::targets {
namespace {

std::string real_name(const GraphModule& module, const std::string& name) {
  const auto alias = module.aliases().find(name);
  return alias == module.aliases().end() ? name : alias->second;
}

// What the rest of the graph does with a tensor of the module.
struct Readers {
  size_t count = 0;
  bool written = false;
};

using AllReaders = std::unordered_map<std::string, Readers>;

void add_readers(const GraphModule& module, const Node& attr, AllReaders& readers) {
  Readers& of = readers[real_name(module, attr.target())];
  of.count += attr.user_count();
  for (const Node* user : attr.users()) {
    of.written |= user->is_call() && (user->op().mutates() || user->is(Trait::kBatchNorm));
  }
}

// Its result holds its input's own numbers, in another arrangement.
bool only_moves(const Node& node) {
  const auto& arguments = node.op().schema().arguments();
  return !arguments.empty() && arguments[0].alias_info() != nullptr;
}

// `keep_shared`: parameters will be trained, and what is computed from them through that computation. One that is only
// moved, for one reader, is trained in its new place.
bool can_fold(const GraphModule& module, const Node& node, const AllReaders& readers, bool keep_shared) {
  if (node.op().mutates() || node.user_count() == 0) return false;
  if (node.is(Trait::kDecomposed)) return false;  // an int8 constant stays one
  if (node.is(Trait::kRandom)) return false;
  if (!node.meta() && node.element_metas().empty()) return false;
  for (const Node* input : node.inputs()) {
    if (reads_type_alone(node, *input)) continue;
    if (!input->is_get_attr()) return false;
    const Readers& of = readers.at(real_name(module, input->target()));
    const bool trains = module.attr_kind(input->target()) == AttrKind::kParameter;
    if (of.written || (keep_shared && trains && (of.count > 1 || !only_moves(node)))) return false;
  }
  if (node.meta()) return true;
  for (const Node* user : node.users()) {
    if (user->kind() != NodeKind::kGetItem) return false;
  }
  return true;
}

// The node's results: one, or one for each getitem that reads it, in the order of users().
std::vector<at::Tensor> evaluate(const GraphModule& module, const Node& node) {
  const at::NoGradGuard no_grad;
  GraphModule small;
  std::unordered_map<const Node*, Node*> copies;
  for (const Node* input : node.inputs()) {
    const std::string name = small.free_name(input->name());
    const at::Tensor value = input->is_get_attr() ? module.attr(input->target()).detach()
                                                  : at::empty({0}, at::TensorOptions(input->meta()->dtype));
    small.set_attr(name, value, AttrKind::kConstant);
    copies[input] = small.graph().get_attr(name);
  }
  std::vector<Arg> args;
  for (const Arg& arg : node.args()) args.push_back(arg.map_nodes([&](Node* input) { return copies.at(input); }));
  Node* call = small.graph().call(node.op(), std::move(args));
  std::vector<Arg> results;
  if (node.meta()) {
    results.emplace_back(call);
  } else {
    for (const Node* item : node.users()) results.emplace_back(small.graph().get_item(call, item->args()[1].to_int()));
  }
  small.graph().output(std::move(results));
  return small.run({});
}

AttrKind kind_of_result(const GraphModule& module, const Node& node) {
  for (const Node* input : node.inputs()) {
    if (input->is_get_attr() && module.attr_kind(input->target()) == AttrKind::kParameter) return AttrKind::kParameter;
  }
  return AttrKind::kConstant;
}

void fold(GraphModule& module, Node* node, AllReaders& readers) {
  const std::vector<at::Tensor> values = evaluate(module, *node);
  const std::vector<Node*> results = node->meta() ? std::vector<Node*>{node} : node->users();
  for (size_t i = 0; i < results.size(); ++i) {
    const bool is_float = at::isFloatingType(values[i].scalar_type());
    const AttrKind kind = is_float ? kind_of_result(module, *node) : AttrKind::kConstant;
    const auto here = module.graph().inserting_before(node);
    Node* constant = add_attr(module, octet::str(results[i]->name(), "_folded"), values[i], kind);
    results[i]->replace_all_uses_with(constant);
    add_readers(module, *constant, readers);
  }
}

}  // namespace

bool fold_known_outputs(GraphModule& module, bool keep_shared) {
  AllReaders readers;
  for (const Node* node : module.graph().nodes()) {
    if (node->is_get_attr()) add_readers(module, *node, readers);
  }
  const Memory memory(module.graph());
  bool changed = false;
  // In graph order, so that a chain of constants goes in one walk. What is written later starts anew in each run.
  for (Node* node : calls_where(module.graph(), [&](const Node& each) { return !memory.is_written(each); })) {
    if (!can_fold(module, *node, readers, keep_shared)) continue;
    try {
      fold(module, node, readers);
      changed = true;
    } catch (const Error& error) {
      log::debug("stays computed: ", error.what());
    }
  }
  return changed;
}

}  // namespace octet::targets

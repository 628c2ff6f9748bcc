#include <ATen/InferSize.h>
#include <ATen/ScalarOps.h>
#include <ATen/TensorUtils.h>

#include <algorithm>
#include <atomic>

#include "octet/graph/call_check.h"
#include "octet/graph/fused_steps.h"
#include "octet/graph/graph_module.h"
#include "octet/graph/libtorch_error.h"
#include "octet/graph/run_listener.h"
#include "octet/support/error.h"

namespace octet {
namespace {

using c10::IValue;
using c10::TypeKind;

c10::TypePtr without_optional(const c10::TypePtr& type) {
  return type->kind() == TypeKind::OptionalType ? type->expectRef<c10::OptionalType>().getElementType() : type;
}

bool is_view_by_sizes(const Node& node) {
  return node.is_call("aten.view.default") || node.is_call("aten._unsafe_view.default");
}

// A program that was exported on images in rows may be run on images in channels last. Where their memory does not
// allow the view, it is one of a copy.
void allow_view(c10::Stack& arguments) {
  const at::Tensor viewed = arguments[0].toTensor();
  if (viewed.is_contiguous() || !arguments[1].isIntList()) return;
  const at::DimVector sizes = at::infer_size_dv(arguments[1].toIntVector(), viewed.numel());
  if (!at::detail::computeStride(viewed.sizes(), viewed.strides(), sizes)) arguments[0] = viewed.contiguous();
}

enum class ListKind { kTensors, kOptionalTensors, kInts };

ListKind list_kind(const c10::TypePtr& declared) {
  const c10::TypePtr type = without_optional(declared);
  if (type->kind() != TypeKind::ListType) throw Error("", "a list is given where the schema has " + type->repr_str());
  const c10::TypePtr element = type->expectRef<c10::ListType>().getElementType();
  switch (element->kind()) {
    case TypeKind::TensorType:
      return ListKind::kTensors;
    case TypeKind::OptionalType:
      return ListKind::kOptionalTensors;
    case TypeKind::IntType:
    case TypeKind::SymIntType:
      return ListKind::kInts;
    default:
      throw Error("", "a list of " + element->repr_str() + " cannot hold values of nodes");
  }
}

std::atomic<bool> fusing = true;

// One line, as errors of octet are.
std::string one_line(std::string text) {
  // libtorch's own words name a line of its allocator.
  constexpr std::string_view kAsked = "can't allocate memory: you tried to allocate ";
  if (const size_t at = text.find(kAsked); at != std::string::npos) {
    const std::string bytes = text.substr(at + kAsked.size(), text.find(' ', at + kAsked.size()) - at - kAsked.size());
    return "asks for " + bytes + " bytes of memory, which there are not";
  }
  for (char& c : text) {
    if (c == '\n') c = ' ';
  }
  while (!text.empty() && text.back() == ' ') text.pop_back();
  return text;
}

}  // namespace

// The graph flattened: slots instead of pointers, names looked up, and when each value is read for the last time.
struct GraphModule::Plan {
  struct Operand {
    enum class From { kConstant, kSlot, kTensors, kOptionalTensors, kInts };
    From from = From::kConstant;
    size_t slot = 0;
    IValue constant;
    std::vector<Operand> list;
  };
  struct Step {
    const Node* node = nullptr;
    NodeKind kind = NodeKind::kCall;
    std::vector<Operand> operands;
    std::vector<size_t> dies;  // slots whose last reader is this step
    const c10::OperatorHandle* op = nullptr;
    CallCheck check = nullptr;
    const at::Tensor* attr = nullptr;
    std::shared_ptr<CallableModule> callable;
    size_t index = 0;          // of kGetItem
    size_t group = kNoGroup;   // that this step belongs to
    bool opens_group = false;  // its first
    bool views = false;        // by sizes
  };
  // Steps that one call computes.
  struct Group {
    std::shared_ptr<FusedSteps> steps;
    std::vector<Operand> inputs;
    size_t result = 0;  // slot of the last step
  };
  static constexpr size_t kNoGroup = SIZE_MAX;
  using Slots = std::unordered_map<const Node*, size_t>;

  static Operand operand(const Arg& arg, const Slots& slots, const c10::TypePtr& type);
  static IValue value(const Operand& operand, const std::vector<IValue>& values);
  static std::vector<at::Tensor> tensors(const std::vector<Operand>& operands, const std::vector<IValue>& values);
  static IValue compute(const Step& step, const std::vector<IValue>& values, c10::Stack& stack);
  void add_group(const GraphModule& module, FusesSteps& last, const Node& node, const Slots& slots);

  int64_t version = -1;
  std::vector<Step> steps;
  std::vector<Group> groups;
  std::vector<RunListener*> listeners;  // among the callables of the steps
  size_t inputs = 0;
};

GraphModule::Plan::Operand GraphModule::Plan::operand(const Arg& arg, const Slots& slots, const c10::TypePtr& type) {
  Operand made;
  if (arg.is_node()) {
    made.from = Operand::From::kSlot;
    made.slot = slots.at(arg.node());
  } else if (arg.is_list()) {
    const ListKind kind = list_kind(type);
    made.from = kind == ListKind::kTensors           ? Operand::From::kTensors
                : kind == ListKind::kOptionalTensors ? Operand::From::kOptionalTensors
                                                     : Operand::From::kInts;
    const c10::TypePtr element = without_optional(without_optional(type)->expectRef<c10::ListType>().getElementType());
    for (const Arg& item : arg.list()) made.list.push_back(operand(item, slots, element));
  } else {
    made.constant = arg.constant();
    if (without_optional(type)->kind() == TypeKind::TensorType && made.constant.isScalar()) {
      made.constant = at::native::wrapped_scalar_tensor(made.constant.toScalar());
    }
  }
  return made;
}

IValue GraphModule::Plan::value(const Operand& operand, const std::vector<IValue>& values) {
  switch (operand.from) {
    case Operand::From::kConstant:
      return operand.constant;
    case Operand::From::kSlot:
      return values[operand.slot];
    case Operand::From::kTensors: {
      c10::List<at::Tensor> tensors;
      tensors.reserve(operand.list.size());
      for (const Operand& item : operand.list) tensors.push_back(value(item, values).toTensor());
      return tensors;
    }
    case Operand::From::kOptionalTensors: {
      c10::List<std::optional<at::Tensor>> tensors;
      tensors.reserve(operand.list.size());
      for (const Operand& item : operand.list) {
        IValue element = value(item, values);
        tensors.push_back(element.isNone() ? std::optional<at::Tensor>() : std::move(element).toTensor());
      }
      return tensors;
    }
    case Operand::From::kInts: {
      std::vector<int64_t> ints;
      ints.reserve(operand.list.size());
      for (const Operand& item : operand.list) ints.push_back(value(item, values).toInt());
      return ints;
    }
  }
  return {};
}

std::vector<at::Tensor> GraphModule::Plan::tensors(const std::vector<Operand>& operands,
                                                   const std::vector<IValue>& values) {
  std::vector<at::Tensor> all;
  all.reserve(operands.size());
  for (const Operand& each : operands) {
    IValue held = value(each, values);
    all.push_back(held.isNone() ? at::Tensor() : std::move(held).toTensor());
  }
  return all;
}

// What a step gives that neither takes an input of the program nor is its end. `stack` saves an allocation.
IValue GraphModule::Plan::compute(const Step& step, const std::vector<IValue>& values, c10::Stack& stack) {
  switch (step.kind) {
    case NodeKind::kGetAttr:
      return *step.attr;
    case NodeKind::kGetItem: {
      const IValue& whole = values[step.operands[0].slot];
      if (!whole.isTuple() && !whole.isList()) throw Error(step.node->where(), "reads an element of what is no tuple");
      const size_t size = whole.isTuple() ? whole.toTupleRef().elements().size() : whole.toListRef().size();
      if (step.index >= size) {
        throw expected(step.node->where(), "element", str("below ", size),
                       std::to_string(static_cast<int64_t>(step.index)));
      }
      return whole.isTuple() ? whole.toTupleRef().elements()[step.index] : IValue(whole.toListRef()[step.index]);
    }
    case NodeKind::kCall:
      stack.clear();
      for (const Operand& operand : step.operands) stack.push_back(value(operand, values));
      if (step.check != nullptr) step.check(step.node->op(), stack);
      if (step.views) allow_view(stack);
      step.op->callBoxed(stack);
      if (stack.size() == 1) return std::move(stack[0]);
      if (stack.empty()) return {};
      return c10::ivalue::Tuple::create(std::vector<IValue>(stack.begin(), stack.end()));
    case NodeKind::kCallModule:
      return step.callable->call(tensors(step.operands, values));
    default:
      return {};
  }
}

// Where nothing that computes stands between the steps, they may as well run at the place of the first.
void GraphModule::Plan::add_group(const GraphModule& module, FusesSteps& last, const Node& node, const Slots& slots) {
  const std::optional<FusedGroup> found = last.fuse(module, node);
  if (!found) return;
  const size_t first = slots.at(found->nodes.front());
  const size_t end = slots.at(&node);
  for (size_t slot = first; slot <= end; ++slot) {
    const Step& step = steps[slot];
    const bool is_member = std::count(found->nodes.begin(), found->nodes.end(), step.node) > 0;
    if (step.group != kNoGroup || (!is_member && step.kind != NodeKind::kGetAttr)) return;
  }
  Group group{found->steps, {}, end};
  for (const Arg& input : found->inputs) {
    if (input.is_node() && slots.at(input.node()) >= first) return;
    group.inputs.push_back(operand(input, slots, c10::TensorType::get()));
  }
  for (const Node* member : found->nodes) steps[slots.at(member)].group = groups.size();
  steps[first].opens_group = true;
  groups.push_back(std::move(group));
}

const GraphModule::Plan& GraphModule::plan() {
  if (plan_ && plan_->version == graph_->version()) return *plan_;
  auto fresh = std::make_shared<Plan>();
  fresh->version = graph_->version();
  Plan::Slots slots;
  std::vector<size_t> last_reader;
  const c10::TypePtr any_tensor = c10::TensorType::get();
  for (const Node* node : graph_->nodes()) {
    const size_t slot = fresh->steps.size();
    Plan::Step step;
    step.node = node;
    step.kind = node->kind();
    try {
      switch (node->kind()) {
        case NodeKind::kPlaceholder:
          ++fresh->inputs;
          break;
        case NodeKind::kGetAttr:
          step.attr = find_attr(node->target());
          if (step.attr == nullptr) {
            throw Error(node->where(), "the module has no parameter, buffer or constant '" + node->target() + "'");
          }
          break;
        case NodeKind::kCallModule:
          step.callable = callable(node->target());
          if (auto* listener = dynamic_cast<RunListener*>(step.callable.get())) fresh->listeners.push_back(listener);
          break;
        case NodeKind::kGetItem:
          step.index = static_cast<size_t>(node->args()[1].to_int());
          break;
        case NodeKind::kCall:
          step.op = &node->op().handle();
          step.check = call_check(node->op());
          step.views = is_view_by_sizes(*node);
          break;
        case NodeKind::kOutput:
          break;
      }
      if (node->kind() == NodeKind::kOutput) {
        for (const Arg& arg : node->args()[0].list()) step.operands.push_back(Plan::operand(arg, slots, any_tensor));
      } else {
        for (size_t i = 0; i < node->args().size(); ++i) {
          const c10::TypePtr& type = node->is_call() ? node->op().schema().arguments()[i].real_type() : any_tensor;
          step.operands.push_back(Plan::operand(node->args()[i], slots, type));
        }
      }
    } catch (const Error& error) {
      throw error.where().empty() ? Error(node->where(), error.what()) : error;
    } catch (const std::out_of_range&) {
      throw Error(node->where(), "reads a value that is computed later");
    }
    slots[node] = slot;
    last_reader.push_back(slot);
    for (const Node* input : node->inputs()) last_reader[slots.at(input)] = slot;
    fresh->steps.push_back(std::move(step));
    if (auto* last = dynamic_cast<FusesSteps*>(fresh->steps.back().callable.get())) {
      fresh->add_group(*this, *last, *node, slots);
    }
  }
  for (size_t slot = 0; slot < last_reader.size(); ++slot) fresh->steps[last_reader[slot]].dies.push_back(slot);
  plan_ = std::move(fresh);
  return *plan_;
}

std::vector<IValue> GraphModule::execute(const std::vector<at::Tensor>& inputs, const Observer* observer) {
  plan();
  const std::shared_ptr<const Plan> current = plan_;  // an observer may edit the graph
  if (inputs.size() != current->inputs) {
    throw expected("model", "inputs", std::to_string(current->inputs), std::to_string(inputs.size()));
  }
  for (RunListener* listener : current->listeners) listener->begin_run();
  std::vector<IValue> values(current->steps.size());
  std::vector<IValue> results;
  size_t next_input = 0;
  size_t computed = Plan::kNoGroup;  // the group whose value is there already
  const bool fuse = observer == nullptr && fuses_steps();
  c10::Stack stack;
  for (size_t i = 0; i < current->steps.size(); ++i) {
    const Plan::Step& step = current->steps[i];
    try {
      if (fuse && step.opens_group) {
        const Plan::Group& group = current->groups[step.group];
        if (auto value = group.steps->run(Plan::tensors(group.inputs, values))) {
          values[group.result] = *std::move(value);
          computed = step.group;
        }
      }
      const bool is_done = step.group != Plan::kNoGroup && step.group == computed;
      if (step.kind == NodeKind::kPlaceholder) {
        values[i] = inputs[next_input++];
        if (!values[i].toTensor().defined()) throw Error(step.node->where(), "is given an undefined tensor");
      } else if (step.kind == NodeKind::kOutput) {
        for (const Plan::Operand& operand : step.operands) results.push_back(Plan::value(operand, values));
      } else if (!is_done) {
        values[i] = Plan::compute(step, values, stack);
      }
    } catch (const Error& error) {
      throw error.where().empty() ? Error(step.node->where(), error.what()) : error;
    } catch (const std::exception& error) {
      throw Error(step.node->where(), one_line(plain_message(error)));
    }
    if (observer != nullptr) (*observer)(*step.node, values[i]);
    for (const size_t slot : step.dies) values[slot] = IValue();
  }
  return results;
}

bool fuses_steps() { return fusing.load(std::memory_order_relaxed); }
void set_fuses_steps(bool on) { fusing.store(on, std::memory_order_relaxed); }

std::vector<at::Tensor> GraphModule::run_observed(const std::vector<at::Tensor>& inputs, const Observer& observer) {
  std::vector<at::Tensor> tensors;
  for (const IValue& value : execute(inputs, &observer))
    tensors.push_back(value.isTensor() ? value.toTensor() : at::Tensor());
  return tensors;
}

std::vector<at::Tensor> GraphModule::run(const std::vector<at::Tensor>& inputs) {
  std::vector<at::Tensor> tensors;
  for (const IValue& value : execute(inputs, nullptr)) {
    if (!value.isTensor()) throw Error("model", "gives a result that is not a tensor");
    tensors.push_back(value.toTensor());
  }
  return tensors;
}

at::Tensor GraphModule::forward(const at::Tensor& input) {
  std::vector<at::Tensor> results = run({input});
  if (results.size() != 1) throw expected("model", "results", "1", std::to_string(results.size()));
  return results[0];
}

}  // namespace octet

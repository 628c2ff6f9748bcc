#include "octet/graph/graph_module.h"
#include "octet/support/error.h"

namespace octet {
namespace {

using c10::IValue;
using c10::TypeKind;

// A list argument that holds node values, as the typed list that the kernel takes.
IValue typed_list(const std::vector<IValue>& elements, const c10::TypePtr& declared) {
  c10::TypePtr type = declared;
  if (type->kind() == TypeKind::OptionalType) type = type->expectRef<c10::OptionalType>().getElementType();
  if (type->kind() != TypeKind::ListType) throw Error("", "a list is given where the schema has " + type->repr_str());
  const c10::TypePtr element = type->expectRef<c10::ListType>().getElementType();
  if (element->kind() == TypeKind::TensorType) {
    c10::List<at::Tensor> tensors;
    for (const IValue& value : elements) tensors.push_back(value.toTensor());
    return tensors;
  }
  if (element->kind() == TypeKind::OptionalType) {
    c10::List<std::optional<at::Tensor>> tensors;
    for (const IValue& value : elements) {
      tensors.push_back(value.isNone() ? std::optional<at::Tensor>() : value.toTensor());
    }
    return tensors;
  }
  if (element->kind() == TypeKind::IntType || element->kind() == TypeKind::SymIntType) {
    std::vector<int64_t> ints;
    for (const IValue& value : elements) ints.push_back(value.toInt());
    return ints;
  }
  throw Error("", "a list of " + element->repr_str() + " cannot hold values of nodes");
}

}  // namespace

// The graph flattened: slots instead of pointers, and when each value is read for the last time.
struct GraphModule::Plan {
  struct Step {
    const Node* node;
    std::vector<size_t> dies;  // slots whose last reader is this step
    std::shared_ptr<CallableModule> callable;
  };
  int64_t version = -1;
  std::vector<Step> steps;
  std::unordered_map<const Node*, size_t> slots;
};

const GraphModule::Plan& GraphModule::plan() {
  if (plan_ && plan_->version == graph_->version()) return *plan_;
  auto fresh = std::make_shared<Plan>();
  fresh->version = graph_->version();
  std::unordered_map<const Node*, size_t> last_reader;
  for (const Node* node : graph_->nodes()) {
    const size_t slot = fresh->steps.size();
    fresh->slots[node] = slot;
    Plan::Step step{node, {}, nullptr};
    if (node->kind() == NodeKind::kCallModule) step.callable = callable(node->target());
    fresh->steps.push_back(std::move(step));
    last_reader[node] = slot;
    for (const Node* input : node->inputs()) last_reader[input] = slot;
  }
  for (const auto& [node, reader] : last_reader) fresh->steps[reader].dies.push_back(fresh->slots.at(node));
  plan_ = std::move(fresh);
  return *plan_;
}

std::vector<IValue> GraphModule::execute(const std::vector<at::Tensor>& inputs, const Observer* observer) {
  const std::vector<Node*> placeholders = graph_->placeholders();
  if (inputs.size() != placeholders.size()) {
    throw expected("model", "inputs", std::to_string(placeholders.size()), std::to_string(inputs.size()));
  }
  const Plan& current = plan();
  std::vector<IValue> values(current.steps.size());
  const std::function<IValue(const Arg&)> resolve = [&](const Arg& arg) -> IValue {
    if (arg.is_node()) return values[current.slots.at(arg.node())];
    if (arg.is_constant()) return arg.constant();
    std::vector<IValue> elements;
    for (const Arg& element : arg.list()) elements.push_back(resolve(element));
    return c10::ivalue::Tuple::create(std::move(elements));
  };
  std::vector<IValue> results;
  size_t next_input = 0;
  c10::Stack stack;
  for (size_t i = 0; i < current.steps.size(); ++i) {
    const Plan::Step& step = current.steps[i];
    const Node& node = *step.node;
    try {
      switch (node.kind()) {
        case NodeKind::kPlaceholder: values[i] = inputs[next_input++]; break;
        case NodeKind::kGetAttr: values[i] = attr(node.target()); break;
        case NodeKind::kGetItem: {
          const IValue& whole = values[current.slots.at(node.args()[0].node())];
          const int64_t index = node.args()[1].to_int();
          const size_t size = whole.isTuple() ? whole.toTupleRef().elements().size() : whole.toListRef().size();
          if (index < 0 || static_cast<size_t>(index) >= size) {
            throw expected(node.where(), "element", str("below ", size), std::to_string(index));
          }
          values[i] = whole.isTuple() ? whole.toTupleRef().elements()[static_cast<size_t>(index)]
                                      : IValue(whole.toListRef()[static_cast<size_t>(index)]);
          break;
        }
        case NodeKind::kCall: {
          stack.clear();
          const auto& arguments = node.op().schema().arguments();
          for (size_t a = 0; a < node.args().size(); ++a) {
            IValue value = resolve(node.args()[a]);
            if (node.args()[a].is_list()) {
              const auto& elements = value.toTupleRef().elements();
              value = typed_list(std::vector<IValue>(elements.begin(), elements.end()), arguments[a].real_type());
            }
            stack.push_back(std::move(value));
          }
          node.op().handle().callBoxed(stack);
          if (stack.size() == 1) {
            values[i] = std::move(stack[0]);
          } else if (stack.size() > 1) {
            values[i] = c10::ivalue::Tuple::create(std::vector<IValue>(stack.begin(), stack.end()));
          }
          break;
        }
        case NodeKind::kCallModule: {
          std::vector<at::Tensor> tensors;
          for (const Arg& arg : node.args()) {
            const IValue value = resolve(arg);
            tensors.push_back(value.isNone() ? at::Tensor() : value.toTensor());
          }
          values[i] = step.callable->call(tensors);
          break;
        }
        case NodeKind::kOutput:
          for (const Arg& arg : node.args()[0].list()) results.push_back(resolve(arg));
          break;
      }
    } catch (const Error&) {
      throw;
    } catch (const c10::Error& error) {
      throw Error(node.where(), error.what_without_backtrace());
    }
    if (observer != nullptr) (*observer)(node, values[i]);
    for (const size_t slot : step.dies) values[slot] = IValue();
  }
  return results;
}

std::vector<at::Tensor> GraphModule::run_observed(const std::vector<at::Tensor>& inputs, const Observer& observer) {
  std::vector<at::Tensor> tensors;
  for (const IValue& value : execute(inputs, &observer)) tensors.push_back(value.isTensor() ? value.toTensor() : at::Tensor());
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

#include "octet/graph/recorder.h"

#include <ATen/core/stack.h>
#include <ATen/ops/alias.h>
#include <c10/core/impl/LocalDispatchKeySet.h>
#include <torch/library.h>

#include "octet/graph/call_check.h"
#include "octet/graph/dialect.h"

namespace octet {
namespace {

using c10::IValue;

// A key above autograd that nothing else uses; a kernel on it sees operators before they are taken apart.
constexpr c10::DispatchKey kKey = c10::DispatchKey::TESTING_ONLY_GenericMode;

void fallback(const c10::OperatorHandle& op, c10::Stack* stack) {
  const c10::impl::ExcludeDispatchKeyGuard below(kKey);
  if (Recorder* recorder = Recorder::current()) {
    recorder->dispatched(op, stack);
  } else {
    op.callBoxed(stack);
  }
}

const c10::StorageImpl* storage_of(const at::Tensor& tensor) {
  return tensor.defined() && tensor.has_storage() ? tensor.storage().unsafeGetStorageImpl() : nullptr;
}

bool same_geometry(const at::Tensor& a, const at::Tensor& b) {
  return a.sizes() == b.sizes() && a.strides() == b.strides() && a.storage_offset() == b.storage_offset() &&
         a.scalar_type() == b.scalar_type();
}

void each_tensor(const IValue& value, const std::function<void(const at::Tensor&)>& visit) {
  if (value.isTensor()) {
    if (value.toTensor().defined()) visit(value.toTensor());
  } else if (value.isTensorList() || value.isOptionalTensorList() || (value.isList() && !value.isIntList())) {
    for (const IValue& element : value.toListRef()) each_tensor(element, visit);
  }
}

bool holds_tensor(const IValue& value) {
  bool found = false;
  each_tensor(value, [&](const at::Tensor&) { found = true; });
  return found;
}

// Memory without values: what fills it decides whether it is a constant (std::memcpy) or part of the program (fill_).
bool is_empty_factory(const Op& op) {
  static constexpr OpName kNames[] = {"aten.empty",     "aten.empty_like",        "aten.empty_strided",
                                      "aten.new_empty", "aten.new_empty_strided", "aten.empty_permuted"};
  return std::ranges::count(kNames, op.packet_name()) > 0 && !op.mutates();
}

}  // namespace

Recorder*& Recorder::current() {
  thread_local Recorder* recorder = nullptr;
  return recorder;
}

void Recorder::name(const NamedTensor& named) {
  const at::Tensor& tensor = named.tensor;
  if (!tensor.defined()) return;
  const auto [known, fresh] = names_.emplace(tensor.unsafeGetTensorImpl(), named.name);
  if (!fresh) return module_.tie_attr(named.name, known->second);
  const bool learns = named.kind == AttrKind::kParameter && tensor.requires_grad();
  module_.set_attr(named.name, tensor.detach().clone().set_requires_grad(learns), named.kind);
  alive_.push_back(tensor);
  if (const auto* storage = storage_of(tensor)) {
    named_storage_[storage].emplace_back(tensor, named.name);
    varying_.insert(storage);
  }
}

at::Tensor Recorder::input(const std::string& name, const at::Tensor& sample) {
  const at::Tensor copy = sample.detach().clone();
  Node* node = module_.graph().placeholder(name);
  node->set_meta(TensorMeta{copy.scalar_type(), copy.sizes().vec()});
  bind(copy, node);
  mark_varying(copy);
  return copy;
}

Tensors Recorder::run(const ForwardFunction& forward, const Tensors& inputs) {
  // Another recording may be under way on this thread; it does not see what happens here.
  Recorder* const outer = std::exchange(current(), this);
  struct Restore {
    Recorder* outer;
    ~Restore() { current() = outer; }
  } const restore{outer};
  const c10::impl::LocalDispatchKeySet keys = c10::impl::tls_local_dispatch_key_set();
  const c10::DispatchKeySet key(kKey);
  const c10::impl::ForceDispatchKeyGuard listen(keys.included_ | key, keys.excluded_ - key);
  try {
    Tensors results = forward(inputs);
    if (failure_) throw *failure_;
    return results;
  } catch (...) {
    if (failure_) throw *failure_;  // as it was thrown, whatever the caller's code made of it
    throw;
  }
}

void Recorder::finish(const Tensors& results) {
  std::vector<Arg> args;
  for (const at::Tensor& result : results) {
    if (!result.defined()) throw Error("export_module", "the module gives an undefined tensor");
    args.push_back(tensor_arg(result));
    if (!args.back().is_node()) args.back() = Arg(constant(result));
  }
  if (args.empty()) throw Error("export_module", "the module gives no tensor");
  module_.graph().output(std::move(args));
}

void Recorder::bind(const at::Tensor& tensor, Node* node) {
  nodes_[tensor.unsafeGetTensorImpl()] = node;
  alive_.push_back(tensor);
  if (const auto* storage = storage_of(tensor)) by_storage_[storage].push_back(tensor);
}

Node* Recorder::attr_node(const std::string& name, const at::Tensor& tensor) {
  Node*& node = attr_nodes_[name];
  if (node == nullptr) {
    node = module_.graph().get_attr(name);
    node->set_meta(TensorMeta{tensor.scalar_type(), tensor.sizes().vec()});
  }
  return node;
}

Node* Recorder::constant(const at::Tensor& tensor) {
  std::string name;
  do {
    name = "_tensor_constant" + std::to_string(next_constant_++);
  } while (module_.has_attr(name));
  module_.set_attr(name, tensor.detach().clone(), AttrKind::kConstant);
  Node* node = attr_node(name, tensor);
  bind(tensor, node);
  return node;
}

// A view that no recorded operator made: made before the recording began, or from memory that was no part of it yet.
Node* Recorder::view_of(Node* base, const at::Tensor& view) {
  Node* node = write(Op::find("aten.as_strided.default"),
                     {base, view.sizes().vec(), view.strides().vec(), view.storage_offset()});
  node->set_meta(TensorMeta{view.scalar_type(), view.sizes().vec()});
  bind(view, node);
  return node;
}

// True where the value is part of the program: an input, a parameter, or what a recorded operator gave.
bool Recorder::is_recorded(const at::Tensor& tensor) const {
  const auto* storage = storage_of(tensor);
  return storage == nullptr || by_storage_.count(storage) > 0 || named_storage_.count(storage) > 0;
}

Arg Recorder::tensor_arg(const at::Tensor& tensor) {
  if (!tensor.defined()) return Arg();
  const c10::TensorImpl* impl = tensor.unsafeGetTensorImpl();
  if (const auto known = nodes_.find(impl); known != nodes_.end()) return Arg(known->second);
  if (const auto named = names_.find(impl); named != names_.end()) return Arg(attr_node(named->second, tensor));
  if (impl->is_wrapped_number()) {
    const at::Scalar number = tensor.item();
    if (number.isIntegral(false)) return Arg(number.toLong());
    if (number.isFloatingPoint()) return Arg(number.toDouble());
    if (number.isBoolean()) return Arg(number.toBool());
  }
  const c10::StorageImpl* storage = storage_of(tensor);
  if (const auto named = named_storage_.find(storage); storage != nullptr && named != named_storage_.end()) {
    for (const auto& [known, name] : named->second) {
      if (same_geometry(known, tensor)) return Arg(attr_node(name, known));
    }
    const auto& [known, name] = named->second.front();
    if (known.scalar_type() == tensor.scalar_type()) return Arg(view_of(attr_node(name, known), tensor));
  }
  if (const auto shared = by_storage_.find(storage); storage != nullptr && shared != by_storage_.end()) {
    for (auto known = shared->second.rbegin(); known != shared->second.rend(); ++known) {
      if (same_geometry(*known, tensor)) {
        Node* node = nodes_.at(known->unsafeGetTensorImpl());
        bind(tensor, node);
        return Arg(node);
      }
    }
    const at::Tensor known = shared->second.back();
    if (known.scalar_type() == tensor.scalar_type())
      return Arg(view_of(nodes_.at(known.unsafeGetTensorImpl()), tensor));
    throw Error("export_module", "a tensor that shares memory with '" + nodes_.at(known.unsafeGetTensorImpl())->name() +
                                     "' was made past libtorch's operators and cannot be recorded");
  }
  return Arg(constant(tensor));
}

Arg Recorder::to_arg(const IValue& value) {
  if (value.isTensor()) return tensor_arg(value.toTensor());
  if (value.isSymInt()) return Arg(value.toSymInt().expect_int());
  if (value.isList() && holds_tensor(value)) {
    std::vector<Arg> list;
    for (const IValue& element : value.toListRef()) list.push_back(to_arg(element));
    return Arg(std::move(list));
  }
  return Arg(value);
}

bool Recorder::varies(const IValue& value) const {
  bool found = false;
  each_tensor(value, [&](const at::Tensor& tensor) {
    const auto* storage = storage_of(tensor);
    found = found || storage == nullptr || varying_.count(storage) > 0;
  });
  return found;
}

void Recorder::mark_varying(const IValue& value) {
  each_tensor(value, [&](const at::Tensor& tensor) {
    if (const auto* storage = storage_of(tensor)) varying_.insert(storage);
  });
}

// Operators whose result, or its shape, Python's control flow could not know at export.
void Recorder::refuse_data_dependence(const Op& op, const std::vector<IValue>& args) {
  static constexpr OpName kReadsValues[] = {
      "aten.item",     "aten._local_scalar_dense", "aten.is_nonzero",   "aten.equal", "aten.allclose",
      "aten.argwhere", "aten.nonzero_numpy",       "aten.where.default"};
  const bool named =
      std::ranges::any_of(kReadsValues, [&](OpName name) { return name == op.packet_name() || name == op.name(); });
  bool refused =
      named || op.handle().hasTag(at::Tag::data_dependent_output) || op.handle().hasTag(at::Tag::dynamic_output_shape);
  if (refused && op.packet_name() == OpName("aten.index")) {  // only masks make its shape depend on values
    refused = false;
    each_tensor(args[1], [&](const at::Tensor& index) {
      refused = refused || index.scalar_type() == at::kBool || index.scalar_type() == at::kByte;
    });
  }
  if (!refused || std::none_of(args.begin(), args.end(), [&](const IValue& arg) { return varies(arg); })) return;
  std::string value;
  for (const IValue& arg : args) {
    each_tensor(arg, [&](const at::Tensor& tensor) {
      const Arg read = tensor_arg(tensor);
      if (value.empty() && read.is_node()) value = read.node()->name();
    });
  }
  failure_ =
      Error(str(op.short_name(), " of '", value, "'"),
            "control flow or a shape depends on the values of this tensor, and a recording would freeze what they "
            "are for the sample input")
          .hint("use tensor operators (where, clamp, masks), or keep the decision outside of forward");
  throw *failure_;
}

// Memory that only now becomes part of the program: as the factory made it, or as a copy of the constant in it.
void Recorder::materialize(const at::Tensor& written) {
  const auto found = fresh_.find(storage_of(written));
  if (storage_of(written) == nullptr || found == fresh_.end()) return;
  Fresh made = std::move(found->second);
  fresh_.erase(found);
  Node* node = nullptr;
  if (made.touched) {
    const at::Tensor values = made.tensor.clone();
    node = write(Op::find("aten.clone.default"), {constant(values)});
  } else {
    node = write(made.op, std::move(made.args));
  }
  node->set_meta(TensorMeta{made.tensor.scalar_type(), made.tensor.sizes().vec()});
  bind(made.tensor, node);
}

Node* Recorder::write(const Op& op, std::vector<Arg> args) {
  dialect::Call call = dialect::as_exported(op, std::move(args));
  Node* node = module_.graph().call(call.op, std::move(call.args));
  for (const Node* input : node->inputs()) {
    const size_t dot = input->is_get_attr() ? input->target().rfind('.') : std::string::npos;
    if (dot == std::string::npos) continue;
    node->notes()[kModulePathNote] = input->target().substr(0, dot);
    break;
  }
  return node;
}

void Recorder::bind_result(IValue& value, Node* node, bool mutates) {
  if (value.isTensor()) {
    at::Tensor tensor = value.toTensor();
    if (!tensor.defined()) return;
    node->set_meta(TensorMeta{tensor.scalar_type(), tensor.sizes().vec()});
    const c10::TensorImpl* impl = tensor.unsafeGetTensorImpl();
    if (!mutates && (nodes_.count(impl) > 0 || names_.count(impl) > 0)) {
      // It gave its input back, as dropout does in eval mode. A name of its own keeps the two values apart.
      tensor = at::alias(tensor);
      value = tensor;
    }
    bind(tensor, node);
  } else if (value.isList() && holds_tensor(value)) {
    std::vector<TensorMeta> metas;
    const std::vector<at::Tensor> elements = value.toTensorVector();
    for (size_t i = 0; i < elements.size(); ++i) {
      metas.push_back(TensorMeta{elements[i].scalar_type(), elements[i].sizes().vec()});
      Node* element = module_.graph().get_item(node, static_cast<int64_t>(i));
      element->set_meta(metas.back());
      bind(elements[i], element);
    }
    node->set_element_metas(std::move(metas));
  }
}

void Recorder::dispatched(const c10::OperatorHandle& handle, c10::Stack* stack) {
  const Op op(handle);
  const size_t argument_count = op.schema().arguments().size();
  const std::vector<IValue> given(stack->end() - static_cast<int64_t>(argument_count), stack->end());
  check_call(op, given, std::string(op.short_name()));
  refuse_data_dependence(op, given);
  const bool mutates = op.mutates();
  const auto each_written = [&](const std::function<void(const at::Tensor&)>& visit) {
    for (size_t i = 0; i < given.size() && mutates; ++i) {
      if (op.writes_argument(i)) each_tensor(given[i], visit);
    }
  };
  const bool empties = is_empty_factory(op);
  const bool chance = op.is(Trait::kRandom);
  bool reads_tensors = false;
  bool reads_program = false;
  for (const IValue& value : given) {
    each_tensor(value, [&](const at::Tensor& tensor) {
      reads_tensors = true;
      reads_program = reads_program || is_recorded(tensor);
    });
  }
  if (reads_tensors && !reads_program && !chance) {  // arithmetic of constants: its result is one
    each_written([&](const at::Tensor& tensor) {
      const auto fresh = fresh_.find(storage_of(tensor));
      if (fresh != fresh_.end()) fresh->second.touched = true;
    });
    return handle.callBoxed(stack);
  }
  each_written([&](const at::Tensor& tensor) { materialize(tensor); });
  bool varying = chance;
  std::vector<Arg> args;
  for (const IValue& value : given) {
    args.push_back(to_arg(value));
    varying = varying || varies(value);
  }
  handle.callBoxed(stack);
  const size_t results = op.schema().returns().size();
  const auto first = stack->end() - static_cast<int64_t>(results);
  const bool gives_tensors = std::any_of(first, stack->end(), holds_tensor);
  if (!gives_tensors && !mutates) return;  // sizes, types, checks: plain numbers of this recording
  if (empties && first->isTensor()) {
    const at::Tensor tensor = first->toTensor();
    alive_.push_back(tensor);
    fresh_.emplace(storage_of(tensor), Fresh{op, std::move(args), tensor, false});
    return;
  }
  Node* node = write(op, std::move(args));
  if (varying) {
    for (auto result = first; result != stack->end(); ++result) mark_varying(*result);
    each_written([&](const at::Tensor& tensor) { mark_varying(tensor); });
  }
  if (results == 1) return bind_result(*first, node, mutates);
  std::vector<TensorMeta> metas;
  for (size_t i = 0; i < results; ++i) {
    IValue& value = first[static_cast<int64_t>(i)];
    if (!holds_tensor(value)) {
      metas.emplace_back();
      continue;
    }
    Node* element = module_.graph().get_item(node, static_cast<int64_t>(i));
    bind_result(value, element, mutates);
    metas.push_back(element->meta().value_or(TensorMeta{}));
  }
  node->set_element_metas(std::move(metas));
}

TORCH_LIBRARY_IMPL(_, TESTING_ONLY_GenericMode, m) {
  m.fallback(torch::CppFunction::makeFromBoxedFunction<&fallback>());
}

}  // namespace octet

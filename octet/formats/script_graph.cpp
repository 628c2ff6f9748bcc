#include "octet/formats/script_graph.h"

#include <torch/csrc/jit/passes/inliner.h>
#include <torch/csrc/jit/runtime/custom_operator.h>
#include <torch/csrc/jit/runtime/operator.h>

#include <sstream>
#include <unordered_map>

#include "octet/support/error.h"

namespace octet {
namespace {

namespace jit = torch::jit;
namespace prim = c10::prim;

// Overloads of operators that libtorch's dispatcher does not know. None reads a tensor's values or prints; those that
// make lists longer are counted while they run.
constexpr std::string_view kScriptOperators = R"(
Bool.Tensor Bool.float Bool.int Float.Scalar Float.Tensor Float.bool Float.int Float.str FloatImplicit.default
Int.Scalar Int.Tensor Int.bool Int.float Int.str IntImplicit.default ScalarImplicit.default Size.default
__contains__.bool __contains__.float __contains__.float_list __contains__.int __contains__.int_list __contains__.str
__contains__.str_list __getitem__.Dict_bool __getitem__.Dict_float __getitem__.Dict_int __getitem__.Dict_str
__getitem__.str __getitem__.t __interpolate.default __interpolate.scale_list __interpolate.size_list
__interpolate.size_list_scale_list __is__.default __isnot__.default __upsample.default __upsample.size_list
__upsample_bilinear.default __upsample_bilinear.scale_list __upsample_bilinear.size_list
__upsample_bilinear.size_list_scale_list __upsample_nearest.default __upsample_nearest.size_list __not__.default
__range_length.default __derive_index.default _infer_size.default _list_to_tensor.default _set_item.bool
_set_item.float _set_item.int _set_item.str _set_item.t _size_if_not_equal.default _tensor_to_list.default
_unwrap_optional.default _get_tracing_state.default _index_put_impl_.hacked_twin _unsafe_index.Tensor_hacked_twin
_unsafe_index_put.hacked_twin index.Tensor_hacked_twin index_put.hacked_twin index_put_.hacked_twin _grad_sum_to_size.default
_ncf_unsqueeze.default _ncf_view.default _no_grad_fill_.default _no_grad_normal_.default _no_grad_uniform_.default
_no_grad_zero_.default add.str add.t add_.t all.bool all.float all.int any.bool any.float
any.int append.t as_tensor.default as_tensor.list broadcast_shapes.default clear.t copy.t copy.Dict_str copy.Dict_int
copy_.Tensor copy_.float copy_.int cpu.default cuda.default device.default device.with_index dict.default dict.int dict.str
divmod.float divmod.float_int divmod.int divmod.int_float element_size.default endswith.default eq.bool
eq.bool_list eq.complex eq.device eq.float eq.float_int eq.float_list eq.int eq.int_float eq.int_list eq.str
eq.str_list extend.t floordiv.float floordiv.float_int floordiv.int floordiv.int_float floordiv.default format.default
get.bool get.default_bool get.default_float get.default_int get.default_str get.float get.int get.str
get_autocast_dtype.default has_torch_function.default index.list_bool index.list_float index.list_int index.list_str insert.t
is_autocast_cpu_enabled.default is_autocast_enabled.default is_grad_enabled.default is_non_overlapping_and_dense.default
is_scripting.default items.bool items.float items.int items.str keys.bool keys.float keys.int keys.str len.Dict_bool
len.Dict_float len.Dict_int len.Dict_str len.Tensor len.any len.str len.t list.t lower.default mT.a mH.a matrix_H.a numpy_T.a
mul.left_t mul_.t ne.bool ne.bool_list ne.device ne.float ne.float_int ne.float_list ne.int ne.int_float ne.int_list
ne.str ne.str_list percentFormat.default pop.Dict_int pop.Dict_str pop.t remove.bool remove.float remove.int
remove.str reverse.t select.t setdefault.int setdefault.str size.default slice.str slice.t sort.bool sort.float sort.int
sort.str sorted.bool sorted.float sorted.int sorted.str split.default startswith.default str.default stride.default
sum.bool sum.float sum.int sym_size.default tensor.default tensor.bool tensor.float tensor.int tensor.complex
to.prim_Device to.prim_dtype to.prim_other update.int update.str values.bool values.float values.int values.str
warn.default
)";

// Numbers alone in and out: any overload of these.
constexpr std::string_view kNumberOperators = R"(
add sub mul div floordiv mod pow neg abs round floor ceil remainder fmod exp log log10 log1p log2 sqrt sin cos tan asin
acos atan atan2 sinh cosh tanh gcd lt gt le ge eq ne __and__ __or__ __xor__ __lshift__ __rshift__ bitwise_not isnan
isinf isfinite copysign degrees radians expm1 fabs erf erfc lgamma gamma factorial hypot ldexp modf frexp mathremainder
asinh acosh atanh Complex complex polar real imag angle
)";

constexpr std::string_view kStatements = R"(
Constant If Loop TupleConstruct TupleUnpack TupleIndex TupleSlice ListConstruct ListUnpack DictConstruct GetAttr
NumToTensor Uninitialized RaiseException unchecked_cast unchecked_unwrap_optional isinstance annotate min max abs device
dtype layout is_cpu is_cuda is_meta is_mkldnn is_mps is_mtia is_nested is_quantized is_sparse is_sparse_csr is_vulkan is_xla
is_xpu is_ipu is_maia itemsize nbytes index name type rangelist requires_grad data StringIndex
)";

constexpr size_t kMostNodes = 1'000'000;
constexpr int kMostCalls = 200;  // of functions that call functions
// What a program may spend: some millions of steps outside of tensors, a hundred thousand tensor operators in loops.
constexpr int64_t kMostSteps = 100'000'000;
constexpr int64_t kTensorCost = 1000;
constexpr int64_t kStepCost = 10;
constexpr int64_t kElementCost = 100;

thread_local int64_t steps_left = -1;  // below 0: none

std::unordered_set<std::string> words_of(std::string_view text, const std::string& prefix) {
  std::unordered_set<std::string> words;
  std::istringstream stream{std::string(text)};
  for (std::string word; stream >> word;) words.insert(prefix + word);
  return words;
}

void spend_steps(int64_t cost) {
  if (steps_left < 0) return;
  steps_left = cost > steps_left ? 0 : steps_left - cost;
  if (steps_left == 0) throw Error("", "runs for too long, or makes lists too long, for a program to be recorded");
}

int64_t saturated(int64_t a, int64_t b) {
  int64_t product = 0;
  return __builtin_mul_overflow(a, b, &product) ? INT64_MAX : product;
}

// Elements that a copy of the value takes; lists of lists are taken to be alike.
int64_t elements_of(const c10::IValue& value, int depth = 0) {
  if (value.isString()) return static_cast<int64_t>(value.toStringRef().size()) / 16 + 1;
  if (value.isGenericDict()) return static_cast<int64_t>(value.toGenericDict().size()) * 4 + 1;
  if (!value.isList() || depth > 100) return 1;
  const auto& items = value.toListRef();
  if (items.empty()) return 1;
  if (items[0].isString()) {  // of any lengths
    int64_t sum = 0;
    for (const c10::IValue& item : items) sum += elements_of(item, depth + 1);
    return sum;
  }
  return std::max<int64_t>(1, saturated(static_cast<int64_t>(items.size()), elements_of(items[0], depth + 1)));
}

void charge_steps(jit::Stack& stack) { spend_steps(jit::pop(stack).toInt()); }
void charge_value(jit::Stack& stack) {
  const int64_t times = std::max<int64_t>(1, jit::pop(stack).toInt());
  spend_steps(saturated(saturated(elements_of(jit::pop(stack)), times), kElementCost));
}

// Counters that judged graphs hold; no file may name them.
const jit::RegisterOperators kCounters({
    jit::Operator("octet_script::steps(int cost) -> ()", charge_steps, c10::AliasAnalysisKind::CONSERVATIVE),
    jit::Operator("octet_script::value(t item, int times) -> ()", charge_value, c10::AliasAnalysisKind::CONSERVATIVE),
});

std::string text_of(const jit::Node& node) {
  std::string text = node.kind().toQualString();
  text.replace(text.find("::"), 2, ".");
  if (const c10::FunctionSchema* schema = node.maybeSchema(); schema != nullptr && node.kind().is_prim() == false) {
    text += "." + (schema->overload_name().empty() ? std::string("default") : schema->overload_name());
  }
  return text;
}

std::string place_of(const jit::Node& node, const std::string& where) {
  const auto position = node.sourceRange().file_line_col();
  if (!position) return where;
  const auto& [file, line, column] = *position;
  return str(where, ": ", file, " line ", line + 1);
}

bool is_plain_number(const c10::TypePtr& type) {
  switch (type->kind()) {
    case c10::TypeKind::IntType:
    case c10::TypeKind::FloatType:
    case c10::TypeKind::BoolType:
    case c10::TypeKind::NumberType:
    case c10::TypeKind::ComplexType:
      return true;
    default:
      return false;
  }
}

bool is_of_numbers(const jit::Node& node) {
  static const std::unordered_set<std::string> names = words_of(kNumberOperators, "aten::");
  const auto plain = [](const jit::Value* value) {
    return is_plain_number(value->type()) || (value->type()->kind() == c10::TypeKind::TupleType &&
                                              std::all_of(value->type()->containedTypes().begin(),
                                                          value->type()->containedTypes().end(), is_plain_number));
  };
  return names.count(node.kind().toQualString()) > 0 &&
         std::all_of(node.inputs().begin(), node.inputs().end(), plain) &&
         std::all_of(node.outputs().begin(), node.outputs().end(), plain);
}

bool holds_class(const c10::TypePtr& type) {
  if (type->kind() == c10::TypeKind::ClassType || type->kind() == c10::TypeKind::InterfaceType ||
      type->kind() == c10::TypeKind::AnyType || type->kind() == c10::TypeKind::AnyClassType) {
    return true;
  }
  for (const c10::TypePtr& part : type->containedTypes()) {
    if (holds_class(part)) return true;
  }
  return false;
}

// A cast only takes an Optional off: an object taken for one of another class would be read past its end.
bool is_honest_cast(const jit::Node& node) {
  const c10::TypePtr& to = node.output()->type();
  const c10::TypePtr& from = node.input()->type();
  if (!holds_class(to)) return true;
  if (to->isSubtypeOf(*from) && from->kind() == c10::TypeKind::OptionalType) return true;
  return *to == *from;
}

// What a text is made of: formatting a list of lists that share their elements has no end.
bool is_short(const c10::TypePtr& type) {
  if (type->kind() == c10::TypeKind::OptionalType) return is_short(type->containedTypes()[0]);
  if (type->kind() == c10::TypeKind::ListType || type->kind() == c10::TypeKind::TupleType) {
    return std::all_of(type->containedTypes().begin(), type->containedTypes().end(), [](const c10::TypePtr& part) {
      return is_plain_number(part) || part->kind() == c10::TypeKind::StringType;
    });
  }
  return is_plain_number(type) || type->kind() == c10::TypeKind::StringType ||
         type->kind() == c10::TypeKind::NoneType || type->kind() == c10::TypeKind::DeviceObjType ||
         type->kind() == c10::TypeKind::TensorType;
}

bool is_writing_of_texts(const jit::Node& node) {
  static const std::unordered_set<std::string> names = {"aten::format", "aten::percentFormat", "aten::str",
                                                        "aten::warn"};
  return names.count(node.kind().toQualString()) > 0;
}

class ScriptJudge {
 public:
  ScriptJudge(const AllowedOperators& operators, std::string where) : operators_(operators), where_(std::move(where)) {}

  std::shared_ptr<jit::Graph> run(jit::Function& function) {
    auto* forward = jit::tryToGraphFunction(function);
    if (forward == nullptr) throw Error(where_, "forward is no function of TorchScript");
    weigh(*forward, 0);
    std::shared_ptr<jit::Graph> graph = forward->graph()->copy();
    jit::Inline(*graph);
    block(*graph->block());
    count(*graph->block());
    return graph;
  }

 private:
  // How many nodes the function has with all that it calls in place, before that is done.
  size_t weigh(jit::GraphFunction& function, int calls) {
    if (calls > kMostCalls) throw Error(where_, "calls functions that call functions without end");
    if (const auto known = weights_.find(&function); known != weights_.end()) {
      if (known->second == 0) throw Error(where_, "has the function '" + function.name() + "', which calls itself");
      return known->second;
    }
    weights_[&function] = 0;
    size_t nodes = 1;
    weigh(*function.graph()->block(), calls, nodes);
    return weights_[&function] = nodes;
  }

  void weigh(const jit::Block& block, int calls, size_t& nodes) {
    for (const jit::Node* node : block.nodes()) {
      ++nodes;
      if (jit::Function* callee = callee_of(*node)) {
        auto* graph = jit::tryToGraphFunction(*callee);
        if (graph == nullptr) refuse(*node, "calls '" + callee->name() + "', which is no function of TorchScript");
        nodes += weigh(*graph, calls + 1);
      }
      if (nodes > kMostNodes) throw Error(where_, str("has more than ", kMostNodes, " steps"));
      for (const jit::Block* inner : node->blocks()) weigh(*inner, calls, nodes);
    }
  }

  static jit::Function* callee_of(const jit::Node& node) {
    if (node.kind() == prim::CallFunction) {
      const auto type = node.input(0)->type()->cast<c10::FunctionType>();
      return type ? type->function() : nullptr;
    }
    if (node.kind() == prim::CallMethod) {
      const auto type = node.input(0)->type()->cast<c10::ClassType>();
      return type ? type->findMethod(node.s(c10::attr::name)) : nullptr;
    }
    return nullptr;
  }

  [[noreturn]] void refuse(const jit::Node& node, const std::string& what) const {
    throw Error(place_of(node, where_), what);
  }

  void block(const jit::Block& block) const {
    for (const jit::Node* node : block.nodes()) {
      judge(*node);
      for (const jit::Block* inner : node->blocks()) this->block(*inner);
    }
  }

  void judge(const jit::Node& node) const {
    const std::string text = text_of(node);
    if (node.kind() == prim::CallMethod || node.kind() == prim::CallFunction) {
      refuse(node, "calls something that cannot be looked through: an interface, or code of another kind");
    }
    if (node.kind().is_prim()) {
      if (allowed_script_statements().count(text) == 0) {
        const std::string_view what = reaches_out(text);
        refuse(node, str("holds '", text, "'", what.empty() ? "" : str(", which ", what), "; no file may hold it"));
      }
      if (node.kind() == prim::unchecked_cast && !is_honest_cast(node)) {
        refuse(node, str("takes ", node.input()->type()->repr_str(), " for ", node.output()->type()->repr_str()));
      }
      return;
    }
    if (is_writing_of_texts(node)) {
      for (const jit::Value* input : node.inputs()) {
        if (!is_short(input->type())) refuse(node, str("writes out a value of type ", input->type()->repr_str()));
      }
    }
    if (allowed_script_operators().count(text) > 0 || is_of_numbers(node)) return;
    const auto op = Op::try_find(text);
    if (!op) refuse(node, "holds '" + text + "', which no file may hold");
    operators_.check(*op, place_of(node, where_));
  }

  // Counters before what takes time or memory.
  void count(jit::Block& block) const {
    int64_t cost = 0;
    for (jit::Node* node : block.nodes()) {
      const bool tensors = !node->kind().is_prim() && allowed_script_operators().count(text_of(*node)) == 0;
      cost += tensors && !is_of_numbers(*node) ? kTensorCost : kStepCost;
    }
    for (auto it = block.nodes().begin(); it != block.nodes().end(); ++it) {
      jit::Node* node = *it;
      for (jit::Block* inner : node->blocks()) count(*inner);
      if (node->kind().is_prim() && node->kind() != prim::rangelist) continue;
      if (allowed_script_operators().count(text_of(*node)) == 0 && node->kind() != prim::rangelist) continue;
      count_values(*node);
    }
    jit::Graph& graph = *block.owningGraph();
    jit::WithInsertPoint guard(block.nodes().front() == block.return_node() ? block.return_node()
                                                                            : *block.nodes().begin());
    graph.insertNode(graph.create(c10::Symbol::fromQualString("octet_script::steps"), {graph.insertConstant(cost)}, 0));
  }

  void count_values(jit::Node& node) const {
    const bool ranges = node.kind() == prim::rangelist;
    const std::string name = node.kind().toUnqualString();
    const bool repeats = name == "mul" || name == "mul_";
    static const std::unordered_set<std::string> kCheap = {
        "len", "__getitem__", "append", "_set_item", "select", "__is__", "__isnot__", "_unwrap_optional", "pop"};
    if (kCheap.count(name) > 0) return;
    jit::Graph& graph = *node.owningGraph();
    jit::WithInsertPoint guard(&node);
    for (jit::Value* input : node.inputs()) {
      const c10::TypeKind kind = input->type()->kind();
      const bool grows =
          kind == c10::TypeKind::ListType || kind == c10::TypeKind::StringType || kind == c10::TypeKind::DictType;
      if (!grows && !ranges) continue;
      jit::Value* times = ranges ? input : repeats ? node.input(1) : graph.insertConstant(int64_t{1});
      graph.insertNode(graph.create(c10::Symbol::fromQualString("octet_script::value"), {input, times}, 0));
    }
  }

  const AllowedOperators& operators_;
  std::string where_;
  std::unordered_map<const jit::Function*, size_t> weights_;
};

}  // namespace

const std::unordered_set<std::string>& allowed_script_operators() {
  static const std::unordered_set<std::string> names = words_of(kScriptOperators, "aten.");
  return names;
}

const std::unordered_set<std::string>& allowed_script_statements() {
  static const std::unordered_set<std::string> names = words_of(kStatements, "prim.");
  return names;
}

bool script_may_name(const std::string& name_space, const std::string& name, const AllowedOperators& operators) {
  static const std::unordered_set<std::string> packets = [] {
    std::unordered_set<std::string> all = words_of(kNumberOperators, "aten.");
    for (const auto* names : {&allowed_script_operators(), &allowed_operator_names()}) {
      for (const std::string& full : *names) all.insert(full.substr(0, full.rfind('.')));
    }
    all.insert(allowed_script_statements().begin(), allowed_script_statements().end());
    return all;
  }();
  const std::string packet = name_space + "." + name;
  return packets.count(packet) > 0 || operators.adds_packet(packet);
}

std::shared_ptr<jit::Graph> judged_script_graph(jit::Function& function, const AllowedOperators& operators,
                                                const std::string& where) {
  return ScriptJudge(operators, where).run(function);
}

ScriptBudget::ScriptBudget() : outer_(steps_left) { steps_left = kMostSteps; }
ScriptBudget::~ScriptBudget() { steps_left = outer_; }

}  // namespace octet

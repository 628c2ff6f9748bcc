#include "octet/formats/pt2_builder.h"

#include <array>
#include <optional>
#include <unordered_map>
#include <unordered_set>

#include "octet/formats/dtype.h"
#include "octet/formats/pt2.h"
#include "octet/formats/raw_tensor.h"
#include "octet/support/error.h"
#include "octet/support/log.h"

namespace octet::pt2 {
namespace {

constexpr std::string_view kOpPrefix = "torch.ops.";
constexpr const char* kBatchNormFunctional = "aten._native_batch_norm_legit_functional.default";

// Checks of what was true while the model was traced; they compute nothing, and another batch may break them.
constexpr std::array<std::string_view, 7> kAssertions = {
    "aten._assert_tensor_metadata.default",      "aten._assert_scalar.default", "aten.sym_constrain_range.default",
    "aten.sym_constrain_range_for_size.default", "aten._assert_async.default",  "aten._assert_async.msg",
    "aten._functional_assert_scalar.default",
};

bool is_symbolic(const Argument& argument) {
  return argument.kind == ArgumentKind::kSymbol || argument.kind == ArgumentKind::kSymbols;
}

class Builder {
 public:
  Builder(const Program& program, const EnteredBlocks& blocks, const Archive& archive, const Symbols& symbols,
          const AllowedOperators& operators)
      : program_(program),
        blocks_(blocks),
        archive_(archive),
        symbols_(symbols),
        operators_(operators),
        module_(std::make_shared<GraphModule>()) {}

  std::shared_ptr<GraphModule> run() {
    count_uses();
    plan_mutations();
    for (size_t i = 0; i < program_.inputs.size(); ++i) add_input(program_.inputs[i], program_.input_specs[i]);
    for (const ProgramNode& node : program_.nodes) add_node(node);
    add_outputs();
    in_category(ErrorCategory::kFile, [&] { graph().verify(); });
    module_->torch::nn::Module::train(trains_);
    return module_;
  }

 private:
  Graph& graph() { return module_->graph(); }

  void count_uses() {
    const auto count = [&](const Argument& argument) {
      for (const std::string& name : argument.names) ++uses_[name];
    };
    for (const ProgramNode& node : program_.nodes) {
      for (const auto& [name, argument] : node.inputs) count(argument);
      for (const Argument& output : node.outputs) reserved_.insert(output.names.begin(), output.names.end());
    }
    for (const Argument& output : program_.outputs) count(output);
    for (const Argument& input : program_.inputs) reserved_.insert(input.names.begin(), input.names.end());
  }

  // The decomposed dialect returns the new values of buffers: buffer_mutation results.
  void plan_mutations() {
    for (size_t i = 0; i < program_.inputs.size(); ++i) {
      const Spec& spec = program_.input_specs[i];
      if (spec.target.empty() || program_.inputs[i].kind != ArgumentKind::kTensor) continue;
      attr_inputs_[program_.inputs[i].names[0]] = spec.target;
    }
    for (size_t i = 0; i < program_.outputs.size(); ++i) {
      const Spec& spec = program_.output_specs[i];
      if (spec.kind != "buffer_mutation" && spec.kind != "parameter_mutation") continue;
      if (program_.outputs[i].kind != ArgumentKind::kTensor)
        throw Error(program_.outputs[i].where, "a mutation without a tensor");
      mutations_[program_.outputs[i].names[0]] = spec.target;
    }
  }

  // True where `value` is computed only to become the new value of the buffer that `input` reads, and nothing else
  // reads either.
  bool only_updates(const std::string& value, const Argument& input) const {
    if (input.kind != ArgumentKind::kTensor) return false;
    const auto mutation = mutations_.find(value);
    const auto buffer = attr_inputs_.find(input.names[0]);
    return mutation != mutations_.end() && buffer != attr_inputs_.end() && mutation->second == buffer->second &&
           uses(value) == 1 && uses(input.names[0]) == 1;
  }
  int uses(const std::string& name) const {
    const auto found = uses_.find(name);
    return found == uses_.end() ? 0 : found->second;
  }

  void define(const std::string& name, Node* node, const std::string& where) {
    if (!values_.emplace(name, node).second) throw Error(where, "the value '" + name + "' is defined twice");
    const std::optional<TensorMeta> meta = symbols_.meta(name);
    if (meta) checked_bytes(meta->sizes, meta->dtype, where + ": '" + name + "'");
    node->set_meta(meta);
  }
  Node* value(const std::string& name, const std::string& where) const {
    const auto found = values_.find(name);
    if (found == values_.end()) throw Error(where, "the value '" + name + "' is not defined before its use");
    return found->second;
  }

  void add_input(const Argument& argument, const Spec& spec) {
    if (spec.kind == "user_input") {
      if (argument.kind == ArgumentKind::kTensor) {
        Node* input = graph().placeholder(argument.names[0]);
        define(argument.names[0], input, argument.where);
        check_input_size(*input, argument.where);
      } else if (argument.kind == ArgumentKind::kTensors || argument.kind == ArgumentKind::kOther) {
        throw Error(argument.where, "an input of kind " + argument.tag + " is not supported");
      }
      return;  // numbers and None were built into the program when it was traced
    }
    if (spec.kind == "constant_input") return;
    const bool is_tensor = spec.kind == "parameter" || spec.kind == "buffer" || spec.kind == "tensor_constant";
    if (!is_tensor || argument.kind != ArgumentKind::kTensor || spec.target.empty()) {
      throw Error(spec.where, "an input of kind '" + spec.kind + "' is not supported");
    }
    add_attr(spec, argument);
    if (uses(argument.names[0]) > 0) {
      Node* read = graph().get_attr(spec.target, argument.names[0]);
      if (!spec.persistent) read->notes()[kNonPersistentNote] = true;
      define(argument.names[0], read, argument.where);
    }
  }

  void add_attr(const Spec& spec, const Argument& argument) {
    const std::string where = spec.where + ": '" + spec.target + "'";
    auto found = archive_.weights.find(spec.target);
    if (found == archive_.weights.end()) {
      found = archive_.constants.find(spec.target);
      if (found == archive_.constants.end()) throw Error(where, "the file holds no data for this " + spec.kind);
    }
    charge_name(*archive_.budget, spec.target);
    const Weight& weight = found->second;
    check_attr(weight.tensor, argument.names[0], where);
    if (module_->has_attr(spec.target)) return;  // read under two names
    const auto tied = owners_.find(weight.tensor.unsafeGetTensorImpl());
    if (tied != owners_.end()) return module_->tie_attr(spec.target, tied->second);
    at::Tensor tensor = weight.tensor;
    AttrKind kind = AttrKind::kConstant;
    if (spec.kind == "parameter") {
      kind = AttrKind::kParameter;
      const bool learns = weight.requires_grad && blocks_.without_gradients.count(argument.names[0]) == 0;
      tensor.set_requires_grad(learns && tensor.is_floating_point());
    } else if (spec.kind == "buffer") {
      kind = AttrKind::kBuffer;
    }
    module_->set_attr(spec.target, tensor, kind);
    owners_[weight.tensor.unsafeGetTensorImpl()] = spec.target;
  }

  void check_attr(const at::Tensor& tensor, const std::string& name, const std::string& where) const {
    const std::optional<TensorMeta> meta = symbols_.meta(name);
    if (!meta) throw Error(where, "the program does not say its shape");
    const TensorMeta got{tensor.scalar_type(), tensor.sizes().vec()};
    if (got != *meta) throw expected(where, "shape and type of the data", meta->text(), got.text());
  }

  // --- nodes

  void add_node(const ProgramNode& node) {
    const bool gives_sizes =
        !node.outputs.empty() && std::all_of(node.outputs.begin(), node.outputs.end(), is_symbolic);
    if (gives_sizes && node.target.compare(0, kOpPrefix.size(), kOpPrefix) != 0) return;  // Python's own arithmetic
    const Op op = find_op(node);
    if (gives_sizes) return;
    if (std::find(kAssertions.begin(), kAssertions.end(), op.text()) != kAssertions.end() && node.outputs.empty())
      return;
    if (std::find(kAssertions.begin(), kAssertions.end(), op.text()) != kAssertions.end()) {
      throw Error(node.where, op.text() + " gives a value that orders side effects, which is not supported");
    }
    try {
      if (!add_in_place(op, node)) add_call(op, node);
    } catch (const Error& error) {
      if (error.where().find(node.where) == 0) throw;
      throw Error(node.where, error.what());
    }
  }

  Op find_op(const ProgramNode& node) const {
    std::string text = node.target;
    if (text.compare(0, kOpPrefix.size(), kOpPrefix) == 0) {
      text = text.substr(kOpPrefix.size());
      if (text.compare(0, 13, "higher_order.") == 0) {
        throw Error(node.where, "the higher-order operator '" + text.substr(13) + "' is not supported")
            .hint("export the model without control flow");
      }
      return operators_.find(text, name_in_file(node));
    }
    throw Error(node.where, "unknown operator '" + text + "'");
  }

  // Where a node stands, and its name, under which its author knows it.
  static std::string name_in_file(const ProgramNode& node) {
    std::string name = node.name;
    if (name.empty() && !node.outputs.empty() && !node.outputs[0].names.empty()) name = node.outputs[0].names[0];
    return name.empty() ? node.where : node.where + ": '" + name + "'";
  }

  Arg to_arg(const Argument& argument) const {
    switch (argument.kind) {
      case ArgumentKind::kConstant:
        return Arg(argument.constant);
      case ArgumentKind::kTensor:
        return Arg(value(argument.names[0], argument.where));
      case ArgumentKind::kTensors: {
        std::vector<Arg> list;
        for (const std::string& name : argument.names)
          list.push_back(name.empty() ? Arg() : Arg(value(name, argument.where)));
        return Arg(std::move(list));
      }
      case ArgumentKind::kSymbol:
        return Arg(symbols_.evaluate(argument.symbols[0], argument.where));
      case ArgumentKind::kSymbols: {
        std::vector<Arg> list;
        for (const Symbol& symbol : argument.symbols) list.push_back(Arg(symbols_.evaluate(symbol, argument.where)));
        return Arg(std::move(list));
      }
      case ArgumentKind::kGraph:
      case ArgumentKind::kOther:
        break;
    }
    throw Error(argument.where, "an argument of kind " + argument.tag + " is not supported");
  }

  Node* call(const Op& op, const ProgramNode& node, const std::string& name) {
    std::vector<Arg> positional;
    NamedArgs named;
    for (const auto& [argument_name, argument] : node.inputs) {
      if (argument_name.empty()) {
        positional.push_back(to_arg(argument));
      } else {
        named.emplace_back(argument_name, to_arg(argument));
      }
    }
    return finish(graph().call(op, std::move(positional), std::move(named), name), node);
  }

  Node* finish(Node* made, const ProgramNode& node) {
    check_file_arguments(*made, name_in_file(node));
    if (!node.module_path.empty()) made->notes()[kModulePathNote] = node.module_path;
    for (const auto& [key, text] : node.metadata) made->notes().set_saved(kTorchNotePrefix + key, text);
    for (const char* flag : {"training", "train"}) {
      if (made->has_arg(flag) && made->arg(flag).is_constant() && made->arg(flag).constant().isBool()) {
        trains_ = trains_ || made->arg(flag).to_bool();
      }
    }
    return made;
  }

  void add_call(const Op& op, const ProgramNode& node) {
    const size_t returns = op.schema().returns().size();
    if (node.outputs.size() > returns) {
      throw expected(node.where, "outputs of " + op.text(), str("at most ", returns),
                     std::to_string(node.outputs.size()));
    }
    if (node.outputs.size() == 1 && returns == 1 && node.outputs[0].kind == ArgumentKind::kTensor) {
      const std::string& name = node.outputs[0].names[0];
      return define(name, call(op, node, name), node.where);
    }
    Node* whole = call(op, node, whole_name(op, node));
    if (node.outputs.empty()) return;
    if (returns == 1 && node.outputs[0].kind == ArgumentKind::kTensors)
      return add_items(whole, node.outputs[0].names, node);
    std::vector<std::string> names;
    for (const Argument& output : node.outputs) {
      if (output.kind != ArgumentKind::kTensor && !output.constant.isNone()) {
        throw Error(output.where, "an output of kind " + output.tag + " among several is not supported");
      }
      names.push_back(output.kind == ArgumentKind::kTensor ? output.names[0] : "");
    }
    add_items(whole, names, node);
  }

  // One get_item for each element that somebody reads.
  void add_items(Node* whole, const std::vector<std::string>& names, const ProgramNode& node) {
    std::vector<TensorMeta> metas;
    for (size_t i = 0; i < names.size(); ++i) {
      if (const auto meta = symbols_.meta(names[i])) metas.push_back(*meta);
      if (uses(names[i]) > 0) define(names[i], graph().get_item(whole, static_cast<int64_t>(i), names[i]), node.where);
    }
    if (metas.size() == names.size()) whole->set_element_metas(std::move(metas));
  }

  // A name for a call that gives several values, none of which is it.
  std::string whole_name(const Op& op, const ProgramNode& node) {
    std::string name = node.name.empty() ? std::string(op.short_name()) : node.name;
    while (reserved_.count(name)) name += "_all";
    return name;
  }

  // --- updates of buffers

  // Puts the functional updates of a decomposed training graph back in place, so that training, autograd and the switch
  // to eval mode work on them as on the training dialect. False where `node` is no such update.
  bool add_in_place(const Op& op, const ProgramNode& node) {
    const auto input = [&](std::string_view name) -> const Argument* {
      for (const auto& [argument_name, argument] : node.inputs) {
        if (argument_name == name) return &argument;
      }
      return nullptr;
    };
    const auto output = [&](size_t i) {
      return node.outputs[i].kind == ArgumentKind::kTensor ? node.outputs[i].names[0] : "";
    };
    if (op.text() == "aten.add.Tensor" && node.outputs.size() == 1 && input("self") != nullptr &&
        only_updates(output(0), *input("self"))) {
      call(Op::find("aten.add_.Tensor"), node, output(0))->set_meta(symbols_.meta(output(0)));
      in_place_.insert(output(0));
      return true;
    }
    if (op.text() != kBatchNormFunctional || node.outputs.size() != 5) return false;
    const Argument* mean = input("running_mean");
    const Argument* variance = input("running_var");
    if (mean == nullptr || variance == nullptr || uses(output(1)) > 0 || uses(output(2)) > 0 ||
        !only_updates(output(3), *mean) || !only_updates(output(4), *variance)) {
      return false;
    }
    NamedArgs named = {{"cudnn_enabled", Arg(true)}};
    for (const auto& [name, argument] : node.inputs) named.emplace_back(name, to_arg(argument));
    Node* norm = graph().call(Op::find("aten.batch_norm.default"), {}, std::move(named), whole_name(op, node));
    define(output(0), finish(norm, node), node.where);
    in_place_.insert({output(3), output(4)});
    return true;
  }

  void add_outputs() {
    std::vector<Arg> results;
    for (size_t i = 0; i < program_.outputs.size(); ++i) {
      const Argument& output = program_.outputs[i];
      const std::string& kind = program_.output_specs[i].kind;
      if (kind == "user_output" || kind == "loss_output") {
        if (output.kind == ArgumentKind::kTensor) {
          results.push_back(Arg(value(output.names[0], output.where)));
        } else {
          log::warn(output.where, ": a result that is no tensor (", output.tag, ") is left out");
        }
      } else if (kind == "buffer_mutation" || kind == "parameter_mutation") {
        write_back(output, program_.output_specs[i]);
      } else if (kind != "user_input_mutation" && kind != "token") {
        throw Error(program_.output_specs[i].where, "an output of kind '" + kind + "' is not supported");
      }
    }
    if (results.empty())
      throw Error(program_.outputs.empty() ? archive_.program_where : program_.outputs[0].where,
                  "the program returns no tensor");
    keep_call_signature(results.size());
    graph().output(std::move(results));
  }

  // How Python calls the program, where that is more than tensors in order.
  void keep_call_signature(size_t results) {
    std::vector<std::string> names;
    for (const Node* input : graph().placeholders()) names.push_back(input->name());
    const CallSignature& signature = program_.call_signature;
    if (signature == plain_call_signature(names, results) || !fits(signature, names.size(), results)) return;
    module_->facts()[kCallSignatureFact] = call_signature_text(signature);
  }

  void write_back(const Argument& output, const Spec& spec) {
    if (in_place_.count(output.names[0])) return;
    if (!module_->has_attr(spec.target))
      throw Error(spec.where, "updates '" + spec.target + "', which the program does not read");
    Node* target = graph().get_attr(spec.target, spec.target);
    graph().call("aten.copy_.default", {Arg(target), Arg(value(output.names[0], output.where))});
  }

  const Program& program_;
  const EnteredBlocks& blocks_;
  const Archive& archive_;
  const Symbols& symbols_;
  const AllowedOperators& operators_;
  std::shared_ptr<GraphModule> module_;
  std::unordered_map<std::string, Node*> values_;
  std::unordered_map<std::string, int> uses_;
  std::unordered_set<std::string> reserved_;
  std::unordered_map<std::string, std::string> attr_inputs_;  // value -> attribute that it reads
  std::unordered_map<std::string, std::string> mutations_;    // value -> attribute that it becomes
  std::unordered_set<std::string> in_place_;                  // values that are written in place already
  std::unordered_map<const c10::TensorImpl*, std::string> owners_;
  bool trains_ = false;
};

}  // namespace

std::shared_ptr<GraphModule> build_module(const Program& program, const EnteredBlocks& blocks, const Archive& archive,
                                          const Symbols& symbols, const AllowedOperators& operators) {
  return Builder(program, blocks, archive, symbols, operators).run();
}

}  // namespace octet::pt2

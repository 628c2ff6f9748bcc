#include "octet/formats/pt2_bodies.h"

#include <algorithm>
#include <unordered_map>
#include <unordered_set>

#include "octet/support/error.h"

namespace octet::pt2 {
namespace {

constexpr std::string_view kPrefix = "torch.ops.higher_order.";
constexpr int kDepth = 16;  // of bodies in bodies

// A higher-order operator that computes what its body does.
struct Wrapper {
  std::string_view name;
  size_t before;  // arguments in front of the body
  size_t behind;  // and between it and what the body reads
};
constexpr Wrapper kWrappers[] = {
    {"wrap_with_set_grad_enabled", 1, 0},
    {"wrap_with_autocast", 4, 0},
    {"wrap", 0, 0},
    {"wrap_activation_checkpoint", 0, 0},
    {"tag_activation_checkpoint", 0, 0},
    {"strict_mode", 0, 0},
    {"invoke_subgraph", 0, 1},
};

const Wrapper* wrapper_of(const ProgramNode& node) {
  const std::string_view target = node.target;
  if (target.substr(0, kPrefix.size()) != kPrefix) return nullptr;
  const auto* found = std::find_if(std::begin(kWrappers), std::end(kWrappers), [&](const Wrapper& wrapper) {
    return wrapper.name == target.substr(kPrefix.size());
  });
  return found != std::end(kWrappers) ? found : nullptr;
}

// One argument for each element: lists of tensors and symbols taken apart.
void flatten(const Argument& argument, std::vector<Argument>& into) {
  const bool is_list = argument.kind == ArgumentKind::kTensors || argument.kind == ArgumentKind::kSymbols;
  if (!is_list) return into.push_back(argument);
  for (size_t i = 0; i < std::max(argument.names.size(), argument.symbols.size()); ++i) {
    Argument element;
    element.where = argument.where;
    if (argument.kind == ArgumentKind::kSymbols) {
      element.kind = ArgumentKind::kSymbol;
      element.symbols = {argument.symbols[i]};
    } else if (!argument.names[i].empty()) {
      element.kind = ArgumentKind::kTensor;
      element.names = {argument.names[i]};
    }
    into.push_back(std::move(element));
  }
}

std::vector<Argument> flattened(const std::vector<Argument>& arguments) {
  std::vector<Argument> flat;
  for (const Argument& argument : arguments) flatten(argument, flat);
  return flat;
}

using Names = std::unordered_map<std::string, std::string>;

class Entering {
 public:
  explicit Entering(Program& program) : program_(program) {
    for (const auto& [name, value] : program.tensor_values) taken_.insert(name);
    for (const auto& [name, value] : program.symbol_values) taken_.insert(name);
  }

  EnteredBlocks run() {
    const bool any = std::any_of(program_.nodes.begin(), program_.nodes.end(),
                                 [](const ProgramNode& node) { return wrapper_of(node) != nullptr; });
    if (!any) return {};
    std::vector<ProgramNode> nodes = std::move(program_.nodes);
    program_.nodes.clear();
    for (ProgramNode& node : nodes) add(std::move(node), true, 0);
    for (Argument& output : program_.outputs) rename(output, outer_);
    judge_gradients();
    return std::move(entered_);
  }

 private:
  void add(ProgramNode node, bool with_gradients, int depth) {
    for (auto& [name, argument] : node.inputs) rename(argument, outer_);
    if (const Wrapper* wrapper = wrapper_of(node)) return enter(node, *wrapper, with_gradients, depth);
    auto& reads = with_gradients ? read_with_gradients_ : read_without_;
    for (const auto& [name, argument] : node.inputs) reads.insert(argument.names.begin(), argument.names.end());
    program_.nodes.push_back(std::move(node));
  }

  void enter(const ProgramNode& node, const Wrapper& wrapper, bool with_gradients, int depth) {
    const std::string where = node.name.empty() ? node.where : node.where + ": '" + node.name + "'";
    if (depth >= kDepth) throw Error(where, str("blocks are nested deeper than ", kDepth));
    std::vector<Argument> given;
    for (const auto& [name, argument] : node.inputs) {
      if (name.empty()) given.push_back(argument);  // what has a name is the wrapper's
    }
    if (given.size() <= wrapper.before || given[wrapper.before].kind != ArgumentKind::kGraph) {
      throw Error(where, octet::str("argument ", wrapper.before, " of ", node.target, ": expected its body"));
    }
    if (wrapper.name == "wrap_with_set_grad_enabled") with_gradients = truth(given[0]);
    if (wrapper.name == "wrap_with_autocast" && truth(given[2])) note_autocast(given[1]);
    const std::shared_ptr<ProgramGraph> body = given[wrapper.before].graph;
    given.erase(given.begin(),
                given.begin() + static_cast<ptrdiff_t>(std::min(given.size(), wrapper.before + 1 + wrapper.behind)));
    const Names inner = names_of_values(*body, flattened(given), where);
    for (ProgramNode& step : body->nodes) {
      for (auto& [name, argument] : step.inputs) rename(argument, inner);
      for (Argument& output : step.outputs) rename(output, inner);
      add(std::move(step), with_gradients, depth + 1);
    }
    const std::vector<Argument> results = flattened(body->outputs);
    const std::vector<Argument> wanted = flattened(node.outputs);
    if (wanted.size() > results.size()) {
      throw expected(where, "results of its body", str("at least ", wanted.size()), str(results.size()));
    }
    for (size_t i = 0; i < wanted.size(); ++i) give(wanted[i], results[i], inner, where);
  }

  static bool truth(const Argument& argument) {
    if (!argument.constant.isBool()) throw Error(argument.where, "expected true or false");
    return argument.constant.toBool();
  }

  // Without a type autocast takes the device's.
  void note_autocast(const Argument& type) {
    if (type.tag == "as_scalar_type") {
      entered_.autocast.insert(static_cast<at::ScalarType>(type.constant.toInt()));
    } else {
      entered_.autocast.insert({at::kHalf, at::kBFloat16});
    }
  }

  // The body's names as the program's: of its inputs, what the wrapper is given; of its own values, free ones.
  Names names_of_values(ProgramGraph& body, const std::vector<Argument>& given, const std::string& where) {
    const std::vector<Argument> inputs = flattened(body.inputs);
    if (inputs.size() != given.size()) {
      throw expected(where, "arguments for its body", str(inputs.size()), str(given.size()));
    }
    Names inner;
    for (size_t i = 0; i < inputs.size(); ++i) {
      if (inputs[i].kind == ArgumentKind::kTensor) {
        if (given[i].kind != ArgumentKind::kTensor) throw Error(given[i].where, "expected a tensor for the body");
        inner[inputs[i].names[0]] = given[i].names[0];
      } else if (inputs[i].kind == ArgumentKind::kSymbol && !inputs[i].symbols[0].name.empty()) {
        const bool named = given[i].kind == ArgumentKind::kSymbol && !given[i].symbols[0].name.empty();
        // A size that the program knows as a constant keeps what the body says of it.
        inner[inputs[i].symbols[0].name] = named ? given[i].symbols[0].name : own_name(inputs[i].symbols[0].name);
      }
    }
    const auto adopt = [&](auto& values, auto& into) {
      for (auto& [name, value] : values) {
        const auto known = inner.find(name);
        const std::string& own = known != inner.end() ? known->second : (inner[name] = own_name(name));
        into.emplace(own, std::move(value));
      }
    };
    adopt(body.tensor_values, program_.tensor_values);
    adopt(body.symbol_values, program_.symbol_values);
    return inner;
  }

  std::string own_name(const std::string& name) {
    std::string own = name;
    for (int64_t& i = next_[name]; !taken_.insert(own).second;) own = octet::str(name, '_', ++i);
    return own;
  }

  // The wrapper's result is the body's.
  void give(const Argument& wanted, const Argument& result, const Names& inner, const std::string& where) {
    if (wanted.kind == ArgumentKind::kConstant) return;
    Argument renamed = result;
    rename(renamed, inner);
    rename(renamed, outer_);
    if (wanted.kind == ArgumentKind::kSymbol) {
      if (renamed.kind == ArgumentKind::kSymbol) outer_[wanted.symbols[0].name] = renamed.symbols[0].name;
      return;
    }
    if (wanted.kind != ArgumentKind::kTensor || renamed.kind != ArgumentKind::kTensor) {
      throw Error(where, "gives a result of kind " + wanted.tag + ", which is not supported");
    }
    if (wanted.names[0] == renamed.names[0]) return;
    if (!outer_.emplace(wanted.names[0], renamed.names[0]).second) {
      throw Error(where, "the value '" + wanted.names[0] + "' is defined twice");
    }
  }

  static void rename(Argument& argument, const Names& names) {
    const auto replace = [&](std::string& name) {
      if (const auto found = names.find(name); found != names.end()) name = found->second;
    };
    for (std::string& name : argument.names) replace(name);
    for (Symbol& symbol : argument.symbols) replace(symbol.name);
  }

  void judge_gradients() {
    bool any_learns = false;
    for (size_t i = 0; i < std::min(program_.inputs.size(), program_.input_specs.size()); ++i) {
      if (program_.input_specs[i].kind != "parameter" || program_.inputs[i].kind != ArgumentKind::kTensor) continue;
      const std::string& name = program_.inputs[i].names[0];
      any_learns = any_learns || read_with_gradients_.count(name) > 0;
      if (read_without_.count(name) > 0 && read_with_gradients_.count(name) == 0) {
        entered_.without_gradients.insert(name);
      }
    }
    if (!any_learns) entered_.without_gradients.clear();
  }

  Program& program_;
  EnteredBlocks entered_;
  Names outer_;  // values that wrappers gave, as they are called now
  std::unordered_set<std::string> taken_;
  std::unordered_map<std::string, int64_t> next_;
  std::unordered_set<std::string> read_with_gradients_;
  std::unordered_set<std::string> read_without_;
};

}  // namespace

EnteredBlocks enter_bodies(Program& program) { return Entering(program).run(); }

}  // namespace octet::pt2

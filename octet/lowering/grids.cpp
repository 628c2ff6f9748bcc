#include "octet/lowering/grids.h"

#include "octet/graph/constant_value.h"
#include "octet/lowering/clip.h"
#include "octet/lowering/constant_data.h"
#include "octet/lowering/constants.h"
#include "octet/lowering/rule.h"
#include "octet/quantize/qdq.h"
#include "octet/support/error.h"

namespace octet::lowering {
namespace {

class GridFinder {
 public:
  GridFinder(const GraphModule& module, const LoweringOptions& options) : module_(module), options_(options) {}

  std::unordered_map<const Node*, Grid> find() {
    look_behind();
    for (const Node* node : module_.graph().nodes()) {
      if (const std::optional<Grid> grid = grid_of(*node)) grids_[node] = *grid;
    }
    return std::move(grids_);
  }

 private:
  // The operator that reads what a quantize gives; the quantize itself where none does.
  static const Node& reader_of(const Node& quantize) {
    const Node* reader = &quantize;
    while (reader->is(Trait::kQuantize) || reader->is(Trait::kDequantize)) {
      if (reader->users().empty()) return quantize;
      reader = reader->users().front();
    }
    return *reader;
  }

  Grid stated(const Node& node) const {
    const QuantRecord record = grid_at(module_, node);
    const tflite::Type type = type_of(static_cast<at::ScalarType>(node.arg("dtype").to_int()), node.where());
    if (!integer::is_level_type(type)) {
      throw expected(node.where(), "type of an activation", "int8, uint8 or int16", record.dtype);
    }
    if (record.scale.size() != 1 || record.zero_point.size() != 1) {
      throw Error(reader_of(node).where(), octet::str("reads a computed value on a grid of ", record.scale.size(),
                                                      " scales, which TFLite has for constants alone"))
          .hint("replace it in the model, or write the part in front of it: --largest-prefix, or --to NODE");
    }
    if (type == tflite::Type::kInt16 && record.zero_point.front() != 0) {
      throw expected(node.where(), "zero point of an activation in int16", "0, as TFLite has it",
                     std::to_string(record.zero_point.front()));
    }
    Grid grid = Grid::of_type(type, static_cast<float>(record.scale.front()), record.zero_point.front());
    if (record.quant_min < record.quant_max) grid.range = {record.quant_min, record.quant_max};
    // A symmetric range leaves the lowest level out.
    const tflite::LevelRange whole = *tflite::level_range(type);
    if (grid.range.low > whole.low + 1 || grid.range.high < whole.high) {
      throw expected(node.where(), "range of an activation",
                     octet::str("that of ", tflite::type_name(type), ", ", whole.low, " to ", whole.high),
                     octet::str(grid.range.low, " to ", grid.range.high))
          .hint("TFLite's operators saturate at the bounds of the type");
    }
    return grid;
  }

  std::optional<Grid> grid_of(const Node& node) const {
    if (is_constant_value(node)) return std::nullopt;
    if (node.is(Trait::kQuantize) || node.is(Trait::kDequantize)) return stated(node);
    if (node.kind() == NodeKind::kGetItem) return known(*node.inputs().front());
    if (node.kind() == NodeKind::kPlaceholder) {
      return options_.float_io || !is_read_by_quantizes_alone(node) ? std::nullopt : grid_behind(node);
    }
    if (!node.is_call()) return std::nullopt;
    const OperatorRow* rule = find_lowering_rule(node);
    if (rule == nullptr || rule->arithmetic == Arithmetic::kFloat || !reads_levels(node)) return std::nullopt;
    if (moves_values(node)) return known(*first_activation(node));
    if (!behind_.at(&node).quantized) return std::nullopt;
    return grid_behind(node);
  }

  std::optional<Grid> known(const Node& node) const {
    const auto found = grids_.find(&node);
    return found != grids_.end() ? std::optional(found->second) : std::nullopt;
  }

  // Whole numbers and bools, places and conditions, are on no grid.
  static bool may_be_on_grid(const Node& value) { return !value.meta() || at::isFloatingType(value.meta()->dtype); }

  const Node* first_activation(const Node& node) const {
    for (const Node* input : node.inputs()) {
      if (!is_constant_value(*input) && may_be_on_grid(*input)) return input;
    }
    throw Error(node.where(), "reads nothing but constants");
  }

  // Every activation is on a grid, and every constant but a bias, which is rounded to the grid of the accumulator.
  bool reads_levels(const Node& node) const {
    if (node.has_arg("alpha") && node.arg("alpha").is_constant() && node.arg("alpha").to_double() != 1.0 &&
        node.has_arg("other")) {
      return false;
    }
    bool any = false;
    for (size_t i = 0; i < node.args().size(); ++i) {
      const std::string& name = node.op().schema().arguments()[i].name();
      const bool is_bias = name == "bias" || (name == "self" && node.is_call("aten.addmm.default"));
      if (name == "other" && node.arg(i).is_constant()) return false;  // a number that never got a grid
      bool fits = true;
      node.arg(i).for_each_node([&](const Node* input) {
        if (!may_be_on_grid(*input)) {  // of an operator that computes, it becomes floats
          fits = fits && moves_values(node);
          return;
        }
        if (!is_constant_value(*input)) {
          any = true;
          fits = fits && known(*input).has_value();
          return;
        }
        if (is_bias || !input->meta()) return;
        const std::optional<Constant> constant = constant_of(module_, *input);
        fits = fits && constant && constant->is_quantized();
      });
      if (!fits) return false;
    }
    return any;
  }

  static bool is_read_by_quantizes_alone(const Node& node) {
    const std::vector<Node*> users = node.users();
    return !users.empty() &&
           std::all_of(users.begin(), users.end(), [](const Node* user) { return user->is(Trait::kQuantize); });
  }

  // What stands behind a value. Either both are null, or one says the grid.
  struct Behind {
    bool quantized = false;              // all that reads it is a quantize, auxiliary nodes looked through
    const Node* quantize = nullptr;      // the first
    const OperatorRow* reach = nullptr;  // of an activation in front of that, which reads no further than its reach
  };

  // Readers stand behind what they read: backwards, each node is looked at once.
  void look_behind() {
    const std::vector<Node*> nodes = module_.graph().nodes();
    for (auto it = nodes.rbegin(); it != nodes.rend(); ++it) {
      const std::vector<Node*> users = (*it)->users();
      Behind& behind = behind_[*it];
      behind.quantized = !users.empty();
      for (const Node* user : users) {
        const bool quantizes = user->is(Trait::kQuantize);
        behind.quantized &= quantizes || (is_auxiliary(*user) && behind_.at(user).quantized);
        if (quantizes && behind.quantize == nullptr) behind.quantize = user;
      }
      for (const Node* user : users) {
        if (behind.quantize != nullptr || behind.reach != nullptr) break;
        const OperatorRow* rule = find_lowering_rule(*user);
        if (!options_.is_plain() && rule != nullptr && rule->reach > 0.0) {
          behind.reach = rule;
        } else {
          behind.quantize = behind_.at(user).quantize;
          behind.reach = behind_.at(user).reach;
        }
      }
    }
  }

  // The grid of the first quantize behind a value. An activation in between gets its own result's grid: a clip cuts
  // nothing else off. What a sigmoid or a tanh reads needs another.
  std::optional<Grid> grid_behind(const Node& node) const {
    const Behind& behind = behind_.at(&node);
    if (behind.quantize != nullptr) return stated(*behind.quantize);
    if (behind.reach != nullptr) {
      return Grid::of_type(tflite::Type::kInt8, static_cast<float>(2.0 * behind.reach->reach / 256.0), 0);
    }
    return std::nullopt;
  }

  const GraphModule& module_;
  const LoweringOptions& options_;
  std::unordered_map<const Node*, Grid> grids_;
  std::unordered_map<const Node*, Behind> behind_;
};

}  // namespace

std::unordered_map<const Node*, Grid> values_on_grids(const GraphModule& module, const LoweringOptions& options) {
  return GridFinder(module, options).find();
}

}  // namespace octet::lowering

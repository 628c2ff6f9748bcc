#include "octet/targets/engine/placement/warnings.h"

#include <array>
#include <cmath>
#include <cstdio>
#include <set>

#include "octet/formats/dtype.h"
#include "octet/graph/constant_value.h"
#include "octet/quantize/accumulator.h"
#include "octet/quantize/qdq.h"
#include "octet/support/error.h"

namespace octet::targets {
namespace {

constexpr double kUnevenChannels = 100.0;

struct Range {
  double low;
  double high;
};

std::optional<Range> range(const QuantRecord& grid) {
  if (grid.scale.size() != 1 || grid.zero_point.size() != 1) return std::nullopt;
  const auto zero_point = static_cast<double>(grid.zero_point.front());
  return Range{(static_cast<double>(grid.quant_min) - zero_point) * grid.scale.front(),
               (static_cast<double>(grid.quant_max) - zero_point) * grid.scale.front()};
}

// "2^-12" for a power of two.
std::string scale_text(double scale) {
  int exponent = 0;
  return std::frexp(scale, &exponent) == 0.5 ? octet::str("2^", exponent - 1) : octet::str(scale);
}

// The operator that reads a quantize node's value.
std::string reader_of(const Node& quantize) {
  for (const Node* dequantize : quantize.users()) {
    for (const Node* reader : dequantize->users()) {
      if (reader->is_call()) return reader->where();
    }
  }
  return quantize.where();
}

std::string list(const std::vector<int64_t>& numbers) {
  constexpr size_t kShown = 8;
  std::string text;
  for (size_t i = 0; i < std::min(numbers.size(), kShown); ++i) text += octet::str(i > 0 ? ", " : "", numbers[i]);
  return numbers.size() > kShown ? octet::str(text, ", ... (", numbers.size(), " in all)") : text;
}

// The grids with a way out that a choice among the target's settings fixes for operands of mul, whatever they are: a
// program does not say with which it was quantized.
std::vector<FixedGrid> narrow_grids(const Target& target) {
  std::vector<FixedGrid> grids;
  const auto collect = [&](QuantizerOptions options) {
    const QuantizationConfig config = target.config("", completed(std::move(options), target, target.name));
    const RoleConfig* half = config.find(Role::kHalf);
    if (half != nullptr && half->fixed) grids.push_back(*half->fixed);
  };
  collect({});
  for (const Setting& setting : target.settings) {
    for (const Setting::Choice& choice : setting.choices) collect({.settings = {{setting.name, choice.value}}});
  }
  return grids;
}

class Finder {
 public:
  Finder(const GraphModule& module, const Target& target, bool scales_known)
      : module_(module),
        rules_(target.rules),
        config_(target.config("", completed({}, target, target.name))),
        narrow_(narrow_grids(target)),
        scales_known_(scales_known) {}

  std::vector<Warning> run() {
    for (const Node* node : module_.graph().nodes()) {
      if (node->is(Trait::kQuantize)) {
        cut_off(*node);
        if (scales_known_) unseen(*node);
      } else if (const OperatorRule* rule = rules_.find(*node)) {
        for (const InputRule& input : rule->inputs) operand(*node, input);
        accumulator(*node);
      }
    }
    return std::move(warnings_);
  }

 private:
  void warn(std::string where, std::string text, std::string way_out = "") {
    if (!known_.emplace(where, text).second) return;  // both inputs of one operator
    warnings_.push_back({std::move(where), std::move(text), std::move(way_out)});
  }

  // The fixed grid of mul's operands that this is, or nullptr.
  const FixedGrid* narrow(const QuantRecord& grid) const {
    const auto found = std::find_if(narrow_.begin(), narrow_.end(), [&](const FixedGrid& fixed) {
      return grid.scale == std::vector<double>{fixed.scale} &&
             grid.zero_point == std::vector<int64_t>{fixed.zero_point};
    });
    return found != narrow_.end() ? &*found : nullptr;
  }

  // A value on one grid that goes over to another.
  void cut_off(const Node& quantize) {
    const Node* source = quantize.args()[0].node();
    if (source == nullptr || !source->is(Trait::kDequantize)) return;
    const QuantRecord grid = grid_at(module_, quantize);
    const auto held = range(grid);
    const auto values = range(grid_at(module_, *source));
    if (!held || !values) return;
    const FixedGrid* fixed = narrow(grid);
    const std::string way_out = fixed != nullptr ? fixed->way_out : "";
    if (!scales_known_) {
      if (fixed != nullptr) {
        warn(reader_of(quantize), octet::str("values beyond ", held->low, " to ", held->high, " will be cut off"),
             way_out);
      }
      return;
    }
    const double step = grid.scale.front();
    if (values->low >= held->low - step && values->high <= held->high + step) return;
    warn(
        reader_of(quantize),
        octet::str("values in ", values->low, " to ", values->high, " are cut off at ", held->low, " and ", held->high),
        way_out);
  }

  void unseen(const Node& quantize) {
    const QuantRecord grid = grid_at(module_, quantize);
    const RoleConfig* activation = config_.find(Role::kActivation);
    if (activation == nullptr || grid.scale.size() != 1 || grid.dtype != dtype_name(activation->dtype)) return;
    if (!quantize.args()[0].is_node()) return;
    const std::string where = quantize.args()[0].node()->where();
    if (grid.scale.front() == 1.0 && grid.zero_point.front() == 0) {
      warn(where, "scale 1, zero point 0: its observer saw no data", "calibrate with samples that reach it");
    } else if (grid.scale.front() <= activation->eps) {
      const double range = activation->eps * static_cast<double>(grid.quant_max - grid.quant_min + 1);
      warn(where,
           octet::str("the least scale, ", scale_text(activation->eps),
                      ": its observer saw a constant 0, or a range below ",
                      range < 1.0 ? octet::str("1/", std::llround(1.0 / range)) : octet::str(range)),
           "calibrate with samples that reach it");
    }
  }

  void operand(const Node& node, const InputRule& input) {
    if (!node.has_arg(input.argument)) return;
    const Node* value = node.arg(input.argument).node();
    if (value == nullptr || !value->is(Trait::kDequantize)) return;
    const Node* stored = value->args()[0].node();
    if (stored == nullptr) return;
    const at::Tensor levels = constant_value(module_, *stored);
    if (!levels.defined()) return;
    switch (family(input.role)) {
      case Role::kBias:
        return;
      case Role::kWeight:
        return weight(node, *value, levels, input.channel_axis);
      default:
        return constant(node, *value, levels);
    }
  }

  // octet's own convert leaves room; programs from elsewhere may not.
  void accumulator(const Node& node) {
    const auto excess = accumulator_excess(module_, node);
    if (!excess) return;
    warn(node.where(),
         octet::str("bias and sum of products may leave int32 in ", excess->beyond, " of ", excess->channels,
                    " channels, and wrap around"),
         "quantize the float model with octet, which enlarges the scales of weights near zero");
  }

  void weight(const Node& node, const Node& dequantize, const at::Tensor& levels, int64_t axis) {
    if (levels.scalar_type() != at::kChar || levels.dim() < 2 || levels.numel() == 0) return;
    const at::Tensor largest =
        levels.to(at::kInt).abs().transpose(0, axis).reshape({levels.size(axis), -1}).amax(1).to(at::kLong);
    std::vector<int64_t> dead;
    for (int64_t channel = 0; channel < largest.size(0); ++channel) {
      if (largest[channel].item<int64_t>() == 0) dead.push_back(channel);
    }
    if (!dead.empty()) {
      warn(node.where(), "channels without a weight other than 0: " + list(dead), "prune them, or train them again");
    }
    const QuantRecord grid = grid_at(module_, dequantize);
    if (grid.axis || !grid.block_size.empty()) return;
    const int64_t most = largest.max().item<int64_t>();
    const at::Tensor alive = largest.masked_select(largest.gt(0));
    if (alive.numel() == 0) return;
    const int64_t least = alive.min().item<int64_t>();
    if (static_cast<double>(most) <= kUnevenChannels * static_cast<double>(least)) return;
    warn(node.where(),
         octet::str("one grid for channels whose weights differ ", most / least, " times: the small ones have ", least,
                    " of ", most, " levels"),
         "equalize the channels, or train quantization-aware");
  }

  void constant(const Node& node, const Node& dequantize, const at::Tensor& levels) {
    const QuantRecord grid = grid_at(module_, dequantize);
    const FixedGrid* fixed = narrow(grid);
    if (fixed == nullptr) return;
    const at::Tensor wide = levels.to(at::kLong);
    if (!wide.ge(grid.quant_max).any().item<bool>() && !wide.le(grid.quant_min).any().item<bool>()) return;
    const auto held = range(grid);
    warn(node.where(), octet::str("its constant lies at the end of ", held->low, " to ", held->high, " and is cut off"),
         fixed->way_out);
  }

  const GraphModule& module_;
  const RuleTable& rules_;
  QuantizationConfig config_;
  std::vector<FixedGrid> narrow_;
  bool scales_known_;
  std::vector<Warning> warnings_;
  std::set<std::pair<std::string, std::string>> known_;  // places and texts
};

constexpr double kClippedShare = 0.01;
constexpr double kLeastSqnr = 10.0;
constexpr double kInherited = 3.0;    // dB: what an operator adds to what its inputs lack already
constexpr double kMovedShare = 0.05;  // of the places that an operator finds
constexpr int64_t kFewMoved = 2;      // one may be chance
constexpr double kHarmless = 20.0;    // dB that what reads a value has in spite of what that lacks

// Three figures, as people read them.
std::string figures(double value) {
  std::array<char, 32> text;
  std::snprintf(text.data(), text.size(), "%.3g", value);
  return text.data();
}

std::string name_in(const std::string& where) {
  const size_t first = where.find('\'');
  return first == std::string::npos ? where : where.substr(first + 1, where.rfind('\'') - first - 1);
}

Warning clipping(const ValueLoss& loss, const std::vector<FixedGrid>& narrow) {
  const auto held = range(*loss.grid);
  const std::string whose = loss.reader == loss.where ? "its values" : octet::str("the values of ", loss.where);
  std::string way_out = "calibrate with more samples, or by \"activation_observer\": \"min_max\" in a --config";
  for (const FixedGrid& fixed : narrow) {
    const bool same = loss.grid->scale.front() == fixed.scale && loss.grid->zero_point.front() == fixed.zero_point;
    if (same) way_out = fixed.way_out;
  }
  return {loss.reader,
          octet::str(figures(100 * loss.clipped), " % of ", whose, ", ", figures(loss.low), " to ", figures(loss.high),
                     ", are cut off at ", figures(held->low), " and ", figures(held->high)),
          way_out};
}

Warning noise(const ValueLoss& loss) {
  const std::string lost = octet::str("alone it has ", figures(loss.sqnr_db), " dB of SQNR");
  const double reach = std::max(std::abs(loss.low), std::abs(loss.high));
  const bool coarse = loss.grid && loss.grid->scale.front() * 16 > reach;
  if (!coarse) {
    return {loss.where, lost + ": the grids that it reads are too coarse for it",
            octet::str("--leave-float '", loss.name, "', or training quantization-aware")};
  }
  const std::string values = octet::str(lost, ": its values, ", figures(loss.low), " to ", figures(loss.high),
                                        ", have a grid with a step of ", figures(loss.grid->scale.front()));
  if (loss.shares_with.empty()) {
    return {loss.where, values, "calibrate with samples as these, or look for outliers in what shares its grid"};
  }
  return {loss.where, octet::str(values, ", which it shares with ", loss.shares_with),
          octet::str("a grid of its own: give the model an output each in place of ", name_in(loss.shares_with),
                     ", scale the inputs alike, or --leave-float '", name_in(loss.shares_with), "'")};
}

// Scores on one level are equal, and the first of them counts.
Warning ties(const ValueLoss& loss) {
  const double share = static_cast<double>(loss.moved_places) / static_cast<double>(loss.places);
  std::string text =
      octet::str(figures(100 * share), " % of the places that it finds are not those of the float model");
  if (!loss.grid) return {loss.where, text, octet::str("--leave-float '", loss.name, "'")};
  text += octet::str(": its scores, ", figures(loss.low), " to ", figures(loss.high), ", have a grid with a step of ",
                     figures(loss.grid->scale.front()), ", and of equal ones the first counts");
  return {loss.where, text,
          octet::str("--leave-float '", name_in(loss.scores),
                     "', which computes them, or compare what stands in front of a sigmoid or softmax")};
}

}  // namespace

std::string text(const Warning& warning) {
  return octet::str('[', warning.where, "] ", warning.text, warning.way_out.empty() ? "" : "; ", warning.way_out);
}

std::vector<Warning> loss_warnings(const std::vector<ValueLoss>& losses, const Target& target) {
  const std::vector<FixedGrid> narrow = narrow_grids(target);
  std::vector<Warning> found;
  std::set<std::string> clipped;  // readers: what they lack is said
  for (const ValueLoss& loss : losses) {
    if (loss.moved_places >= kFewMoved && loss.moved_places > kMovedShare * static_cast<double>(loss.places)) {
      found.push_back(ties(loss));
    } else if (loss.grid && loss.clipped > kClippedShare && range(*loss.grid)) {
      if (clipped.insert(loss.reader).second) found.push_back(clipping(loss, narrow));
    } else if (loss.sqnr_db < kLeastSqnr && loss.sqnr_db < loss.inputs_sqnr_db - kInherited &&
               loss.readers_sqnr_db < kHarmless && clipped.count(loss.where) == 0) {
      found.push_back(noise(loss));
    }
  }
  return found;
}

std::vector<Warning> find_warnings(const GraphModule& quantized, const Target& target, bool scales_known) {
  std::vector<Warning> found = Finder(quantized, target, scales_known).run();
  if (!target.warnings) return found;
  for (Warning& each : target.warnings(quantized)) found.push_back(std::move(each));
  return found;
}

}  // namespace octet::targets

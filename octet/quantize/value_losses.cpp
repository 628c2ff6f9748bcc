#include <ATen/core/grad_mode.h>

#include <cmath>
#include <limits>
#include <unordered_map>

#include "octet/graph/found_places.h"
#include "octet/quantize/compare.h"
#include "octet/quantize/qdq.h"
#include "octet/quantize/reading.h"
#include "octet/support/error.h"

namespace octet {
namespace {

constexpr double kUnbounded = std::numeric_limits<double>::infinity();

double decibel(double signal, double noise) {
  if (!std::isfinite(noise)) return -kUnbounded;
  return noise == 0 ? kUnbounded : 10 * std::log10(signal / noise);
}

double energy(const at::Tensor& x) { return x.square().sum().item<double>(); }

// The value on a grid of one scale, and the share of it that is cut off.
struct OnGrid {
  at::Tensor rounded;
  int64_t cut_off;
};

OnGrid on_grid(const at::Tensor& value, const QuantRecord& grid) {
  const auto least = static_cast<double>(grid.quant_min);
  const auto most = static_cast<double>(grid.quant_max);
  const auto zero_point = static_cast<double>(grid.zero_point.front());
  const at::Tensor levels = (value / grid.scale.front()).round() + zero_point;
  const at::Tensor beyond = levels.lt(least - 1).logical_or(levels.gt(most + 1));
  return {(levels.clamp(least, most) - zero_point) * grid.scale.front(), beyond.sum().item<int64_t>()};
}

// A grid that a value goes to: its quantize node, which may stand behind another grid.
struct Destination {
  QuantRecord grid;
  std::string reader;
  int64_t cut_off = 0;
};

struct WatchedValue {
  const Node* node = nullptr;
  std::string float_name;
  Reading reading = Reading::kPlain;   // what the float model makes of it
  std::optional<QuantRecord> read_on;  // the grid that all its readers see it on
  std::vector<Destination> destinations;
  std::vector<const WatchedValue*> inputs, readers;
  bool read_elsewhere = false;  // by what is not watched, or as a result of the model
  std::string shares_with;
  // Sums over the samples.
  double signal = 0, noise = 0, rounding = 0;
  double low = kUnbounded, high = -kUnbounded;
  int64_t elements = 0;
  int64_t places = 0, moved_places = 0;  // that it finds

  double db() const { return decibel(signal, noise); }
  double rounded_db() const { return read_on ? decibel(signal, rounding) : kUnbounded; }
};

std::optional<QuantRecord> one_grid(const GraphModule& module, const Node& quantize) {
  QuantRecord grid = grid_at(module, quantize);
  if (grid.scale.size() != 1 || grid.zero_point.size() != 1) return std::nullopt;
  return grid;
}

class WatchedValues {
 public:
  WatchedValues(const GraphModule& float_model, const GraphModule& quantized) : quantized_(quantized) {
    const FloatNodes sources(float_model);
    for (const Node* node : quantized.graph().nodes()) {
      const bool input = node->kind() == NodeKind::kPlaceholder;
      if (!input && !is_operator(*node)) continue;
      const Node* source = sources.of(*node);
      if (source == nullptr) continue;
      WatchedValue& watched = watched_[node];
      watched.node = node;
      watched.float_name = source->name();
      watched.reading = reading_of(*source);
      order_.push_back(node);
      for (const Node* user : node->users()) follow(watched, *user);
      read_on(watched);
      for (const Node* read : node->inputs()) {
        const Node* value = behind_grids(read);
        const auto found = watched_.find(value);
        if (value != read && found != watched_.end()) watched.inputs.push_back(&found->second);
      }
    }
    for (const Node* node : order_) {
      for (const Node* user : node->users()) note_reader(watched_.at(node), *user);
    }
  }

  const std::vector<const Node*>& order() const { return order_; }
  WatchedValue* find(const Node& node) {
    const auto found = watched_.find(&node);
    return found == watched_.end() ? nullptr : &found->second;
  }

 private:
  static const Node* behind_grids(const Node* node) {
    while (node != nullptr && (node->is(Trait::kQuantize) || node->is(Trait::kDequantize))) node = node->arg(0).node();
    return node;
  }

  void note_reader(WatchedValue& watched, const Node& user) {
    if (user.is(Trait::kQuantize) || user.is(Trait::kDequantize)) {
      for (const Node* next : user.users()) note_reader(watched, *next);
    } else if (const auto found = watched_.find(&user); found != watched_.end()) {
      watched.readers.push_back(&found->second);
    } else {
      watched.read_elsewhere = true;
    }
  }

  // Every quantize behind the value, dequantizes looked through.
  void follow(WatchedValue& watched, const Node& user) {
    if (user.is(Trait::kQuantize)) {
      const auto grid = one_grid(quantized_, user);
      if (grid) watched.destinations.push_back({*grid, reader_of(user)});
    } else if (!user.is(Trait::kDequantize)) {
      return;
    }
    for (const Node* next : user.users()) follow(watched, *next);
  }

  static std::string reader_of(const Node& quantize) {
    for (const Node* dequantize : quantize.users()) {
      for (const Node* reader : dequantize->users()) {
        if (reader->is_call() && is_operator(*reader)) return reader->where();
      }
    }
    return quantize.where();
  }

  void read_on(WatchedValue& watched) const {
    const std::vector<Node*> users = watched.node->users();
    for (const Node* user : users) {
      if (!user->is(Trait::kQuantize)) return;
    }
    if (users.empty()) return;
    watched.read_on = one_grid(quantized_, *users.front());
    if (!watched.read_on) return;
    for (const Node* dequantize : users.front()->users()) {
      for (const Node* reader : dequantize->users()) {
        if (!is_operator(*reader) || reader->inputs().size() < 2 || reader->user_count() == 0) continue;
        const Node* next = reader->users().front();
        if (next->is(Trait::kQuantize) && one_grid(quantized_, *next) == watched.read_on) {
          watched.shares_with = reader->where();
        }
      }
    }
  }

  const GraphModule& quantized_;
  std::unordered_map<const Node*, WatchedValue> watched_;
  std::vector<const Node*> order_;
};

// Finite elements, without those that only say "nothing here" to what reads them: no grid is to hold these.
at::Tensor counted(const at::Tensor& wanted, Reading reading) {
  const at::Tensor finite = at::isfinite(wanted);
  if (reading == Reading::kPlain || at::isnan(wanted).any().item<bool>()) return finite;
  SeenRange seen = seen_range("value_losses", wanted, reading);
  flatten(seen, reading);
  if (seen.elements.numel() == 0) return at::zeros_like(finite);
  return finite.logical_and(wanted.ge(seen.low)).logical_and(wanted.le(seen.high));
}

void measure(WatchedValue& watched, const at::Tensor& reference, const at::Tensor& alone) {
  const at::Tensor wanted = reference.to(at::kDouble);
  const at::Tensor counts = counted(reference.to(at::kFloat), watched.reading);
  if (!counts.any().item<bool>()) return;
  const at::Tensor kept = wanted.masked_select(counts);
  at::Tensor got = alone.to(at::kDouble).masked_select(counts);
  if (watched.read_on) {
    got = on_grid(got, *watched.read_on).rounded;
    watched.rounding += energy(on_grid(kept, *watched.read_on).rounded - kept);
  }
  watched.signal += energy(kept);
  watched.noise += energy(got - kept);
  watched.elements += kept.numel();
  watched.low = std::min(watched.low, kept.min().item<double>());
  watched.high = std::max(watched.high, kept.max().item<double>());
  for (Destination& destination : watched.destinations) {
    destination.cut_off += on_grid(kept, destination.grid).cut_off;
  }
}

// What a reader has, or what follows it. One that lays values side by side tells of the largest of them alone.
double db_from(const WatchedValue& reader, double behind) {
  const bool lays_side_by_side = reader.node->is_call("aten.cat.default") || reader.node->is_call("aten.stack.default");
  return lays_side_by_side ? behind : std::max(reader.db(), behind);
}

// The operator that put a value on its grid, in front of what only moves it.
const WatchedValue& origin(const WatchedValue& value) {
  const WatchedValue* found = &value;
  while (found->inputs.size() == 1 && found->inputs[0]->read_on == found->read_on) found = found->inputs[0];
  return *found;
}

ValueLoss place_loss_of(const WatchedValue& finder) {
  ValueLoss loss;
  loss.name = finder.node->name();
  loss.where = finder.node->where();
  loss.sqnr_db = loss.inputs_sqnr_db = kUnbounded;
  loss.moved_places = finder.moved_places;
  loss.places = finder.places;
  if (finder.inputs.empty()) return loss;
  const WatchedValue& scores = *finder.inputs[0];
  loss.grid = scores.read_on;
  loss.low = scores.low;
  loss.high = scores.high;
  loss.scores = origin(scores).node->where();
  return loss;
}

ValueLoss loss_of(const WatchedValue& watched) {
  ValueLoss loss;
  loss.name = watched.node->name();
  loss.where = watched.node->where();
  loss.sqnr_db = watched.db();
  loss.inputs_sqnr_db = kUnbounded;
  for (const WatchedValue* input : watched.inputs)
    loss.inputs_sqnr_db = std::min(loss.inputs_sqnr_db, input->rounded_db());
  loss.low = watched.low;
  loss.high = watched.high;
  loss.grid = watched.read_on;
  loss.reader = watched.node->where();
  loss.shares_with = watched.shares_with;
  for (const Destination& destination : watched.destinations) {
    const double share = static_cast<double>(destination.cut_off) / static_cast<double>(watched.elements);
    if (share <= loss.clipped) continue;
    loss.clipped = share;
    loss.grid = destination.grid;
    loss.reader = destination.reader;
  }
  return loss;
}

}  // namespace

std::vector<ValueLoss> value_losses(GraphModule& float_model, GraphModule& quantized,
                                    const std::vector<std::vector<at::Tensor>>& samples) {
  const at::NoGradGuard no_grad;
  WatchedValues watch(float_model, quantized);
  for (const std::vector<at::Tensor>& inputs : samples) {
    std::unordered_map<std::string, at::Tensor> references;
    for (const Node* node : watch.order()) references[watch.find(*node)->float_name] = at::Tensor();
    for (const Node* node : quantized.graph().nodes()) {
      if (node->kind() == NodeKind::kGetItem) references.emplace(node->name(), at::Tensor());
    }
    float_model.run_observed(inputs, [&](const Node& node, const c10::IValue& value) {
      const auto found = references.find(node.name());
      if (found != references.end() && value.isTensor()) found->second = value.toTensor().detach().clone();
    });
    quantized.run_observed(inputs, [&](const Node& node, const c10::IValue& value) {
      WatchedValue* watched = watch.find(node);
      const bool is_element = node.kind() == NodeKind::kGetItem;
      if ((watched == nullptr && !is_element) || !value.isTensor()) return;
      const at::Tensor& reference = references.at(watched != nullptr ? watched->float_name : node.name());
      const at::Tensor alone = value.toTensor();
      if (!reference.defined() || reference.sizes() != alone.sizes()) return;
      const bool is_float = reference.is_floating_point();  // what follows goes by the float model's places, too
      if (is_float && watched == nullptr) return;
      if (is_float) measure(*watched, reference, alone);
      const Node* finder = finder_of_places(node);
      WatchedValue* finds = finder != nullptr && !is_float ? watch.find(*finder) : nullptr;
      if (finds != nullptr) {
        finds->places += alone.numel();
        finds->moved_places += alone.ne(reference).sum().item<int64_t>();
      }
      // What follows reads the float model's value, so that each operator is measured by itself.
      const bool own = node.kind() != NodeKind::kPlaceholder && alone.is_non_overlapping_and_dense();
      if (own && alone.scalar_type() == reference.scalar_type()) alone.copy_(reference);
    });
  }
  // What an operator loses by the values that it reads shows in its own, or further behind.
  std::unordered_map<const WatchedValue*, double> behind;
  for (auto node = watch.order().rbegin(); node != watch.order().rend(); ++node) {
    const WatchedValue& watched = *watch.find(**node);
    double& worst = behind[&watched];
    worst = watched.read_elsewhere || watched.readers.empty() ? -kUnbounded : kUnbounded;
    for (const WatchedValue* reader : watched.readers) {
      worst = std::min(worst, reader->elements > 0 ? db_from(*reader, behind.at(reader)) : -kUnbounded);
    }
  }
  std::vector<ValueLoss> losses;
  for (const Node* node : watch.order()) {
    const WatchedValue& watched = *watch.find(*node);
    if (watched.places > 0) {
      losses.push_back(place_loss_of(watched));
      losses.back().readers_sqnr_db = behind.at(&watched);
      continue;
    }
    if (watched.elements == 0 || !(watched.signal > 0)) continue;
    losses.push_back(loss_of(watched));
    losses.back().readers_sqnr_db = behind.at(&watched);
  }
  return losses;
}

}  // namespace octet

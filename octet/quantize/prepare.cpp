#include "octet/quantize/prepare.h"

#include <array>
#include <cmath>

#include "octet/kernels/fake_quantize_kernel.h"
#include "octet/quantize/accumulator.h"
#include "octet/quantize/factories.h"
#include "octet/quantize/fake_quantize.h"
#include "octet/quantize/fold_batch_norm.h"
#include "octet/quantize/qat_rewrite.h"
#include "octet/quantize/quantize_pt2e.h"
#include "octet/quantize/sharing.h"
#include "octet/quantize/small_work.h"
#include "octet/support/error.h"
#include "octet/support/log.h"

namespace octet {
namespace {

// The values that are state which the model itself updates: a buffer, and no input of the model, leads to them.
std::unordered_set<const Node*> values_of_buffers_alone(const GraphModule& module) {
  std::unordered_set<const Node*> from_input;
  std::unordered_set<const Node*> from_buffer;
  for (const Node* node : module.graph().nodes()) {
    if (node->kind() == NodeKind::kPlaceholder) from_input.insert(node);
    if (node->is_get_attr() && module.attr_kind(node->target()) == AttrKind::kBuffer) from_buffer.insert(node);
    for (const Node* input : node->inputs()) {
      if (from_input.count(input)) from_input.insert(node);
      if (from_buffer.count(input)) from_buffer.insert(node);
    }
  }
  std::erase_if(from_buffer, [&](const Node* node) { return from_input.count(node) > 0; });
  return from_buffer;
}

bool is_float(const Node& node) { return !node.meta() || at::isFloatingType(node.meta()->dtype); }

class Inserter {
 public:
  Inserter(GraphModule& module, const SharingGroups& groups, const QatRewrite& rewrite, bool qat)
      : module_(module), groups_(groups), rewrite_(rewrite), qat_(qat), states_(values_of_buffers_alone(module)) {
    for (const SharingGroups::Group& group : groups.groups) {
      observers_.push_back({make(group, qat), ""});
      if (RangeObserver* range = range_observer(*observers_.back().module)) range->reading = reading_of_group(group);
    }
    for (size_t i = 0; i < observers_.size(); ++i) follow(i);
  }

  size_t run() {
    for (Node* node : module_.graph().nodes()) {
      if (rewrite_.is_rewritten(node)) rewrite_.attach(module_, node, finder());
    }
    for (Node* node : module_.graph().nodes()) {
      if (annotation(*node) == nullptr) continue;
      observe_inputs(node);
      observe_output(node);
    }
    if (qat_) make_room_in_accumulators();
    for (Node* node : module_.graph().nodes()) {
      // From here on only the fact counts.
      if (node->notes().erase(kAnnotationKey)) node->notes()[kAnnotatedNote] = true;
    }
    return inserted_;
  }

 private:
  struct Observer {
    std::shared_ptr<ObserverBase> module;
    std::string name;  // empty until it is part of the graph
  };

  struct Observed {
    Node* original;  // the value, whatever observers stand between
    size_t group;
  };

  // A maximum speaks for all that share its grid, since its result cannot be padding; a softmax for itself alone.
  static Reading reading_of_group(const SharingGroups::Group& group) {
    std::set<Reading> readings;
    std::set<const Node*> values;
    for (const EdgeOrNode& member : group.members) {
      values.insert(member.node);
      readings.insert(member.consumer == nullptr ? reading_of(*member.node)
                                                 : reading_of(*member.node, *member.consumer));
    }
    if (readings.count(Reading::kMaximum) > 0) return Reading::kMaximum;
    if (readings.size() != 1) return Reading::kPlain;
    const Reading reading = *readings.begin();
    const auto narrowed = [&](const Node* value) { return may_be_narrowed(*value, reading); };
    return flattens(reading) && !std::all_of(values.begin(), values.end(), narrowed) ? Reading::kPlain : reading;
  }

  // What reads in float may tell apart what lies on one level of a fixed grid. A relu that nothing is computed with on
  // the device has no other work than to clip its input's range.
  static bool may_be_narrowed(const Node& value, Reading reading) {
    const bool clips = reading == Reading::kRelu || reading == Reading::kRelu6;
    if (clips && !(value.is_call() && is_annotated(value))) return false;
    const auto users = value.users();
    return std::all_of(users.begin(), users.end(),
                       [](const Node* user) { return is_annotated(*user) && annotation(*user)->narrows_inputs; });
  }

  std::shared_ptr<ObserverBase> make(const SharingGroups::Group& group, bool qat) const {
    try {
      return make(group.spec, qat);
    } catch (const Error& error) {
      throw Error(group.members.front().text(), error.what());  // the observer does not know its place
    }
  }

  std::shared_ptr<ObserverBase> make(const AnySpec& spec, bool qat) const {
    if (const auto* plain = std::get_if<QuantizationSpec>(&spec)) return make_observer(*plain);
    if (const auto* fixed = std::get_if<FixedQParamsQuantizationSpec>(&spec)) return make_observer(*fixed, qat);
    const auto& derived = std::get<DerivedQuantizationSpec>(spec);
    std::vector<std::shared_ptr<ObserverBase>> sources;
    for (const EdgeOrNode& source : derived.derived_from) {
      sources.push_back(observers_.at(groups_.group_of.at(source)).module);
    }
    return make_observer(derived, std::move(sources), qat);
  }

  // Those of a group's observer that the spec names, once all are made.
  void follow(size_t leader) {
    const auto* spec = std::get_if<QuantizationSpec>(&groups_.groups[leader].spec);
    if (spec == nullptr || spec->followers.empty()) return;
    auto* range = dynamic_cast<RangeObserver*>(observers_[leader].module.get());
    if (range == nullptr) {
      throw Error(groups_.groups[leader].members.front().text(), "leads others and rounds: nothing follows it");
    }
    std::vector<std::shared_ptr<ObserverBase>> followers;
    for (const EdgeOrNode& place : spec->followers) {
      const SharingGroups::Group* group = groups_.find(place);
      const size_t index = group == nullptr ? leader : static_cast<size_t>(group - groups_.groups.data());
      const auto& follower = observers_[index].module;
      if (index == leader || std::count(followers.begin(), followers.end(), follower) > 0) continue;
      followers.push_back(follower);
    }
    range->set_followers(std::move(followers));
  }

  QatRewrite::FindObserver finder() const {
    return [this](const EdgeOrNode& place) -> std::shared_ptr<ObserverBase> {
      const auto group = groups_.group_of.find(place);
      return group == groups_.group_of.end() ? nullptr : observers_[group->second].module;
    };
  }

  // The value that the original producer `node` gives, whatever observers stand between.
  Node* original(Node* node) const {
    const auto found = observed_.find(node);
    return found == observed_.end() ? node : found->second.original;
  }

  void observe_inputs(Node* node) {
    // Derived parameters are computed from the observers of the other inputs, which must run first.
    for (const bool derived : {false, true}) {
      for (Node* arg : node->inputs()) {
        Node* producer = original(arg);
        const auto group = groups_.group_of.find(EdgeOrNode(producer, node));
        if (group == groups_.group_of.end() || is_derived(group->second) != derived) continue;
        if (rewrite_.keeps_inside(node, producer) || !is_float(*producer) || writes_own_state(node, producer)) continue;
        observe_edge(node, arg, group->second);
      }
    }
  }

  bool is_derived(size_t group) const {
    return std::holds_alternative<DerivedQuantizationSpec>(groups_.groups[group].spec);
  }

  // An average that goes by calls takes the values of its places in the order in which they come into being.
  bool sees_calls_in_order(size_t group) const {
    const auto* average = dynamic_cast<const MovingAverageMinMaxObserver*>(range_observer(*observers_[group].module));
    return average != nullptr && average->averaging() == Averaging::kEachCall && !is_derived(group);
  }

  bool writes_own_state(const Node* node, const Node* producer) const {
    return node->is_call() && node->op().writes_argument(0) && node->arg(0).node() != nullptr &&
           original(node->arg(0).node()) == producer && states_.count(producer) > 0;
  }

  void observe_edge(Node* node, Node* arg, size_t group) {
    const auto standing = observed_.find(arg);
    if (standing != observed_.end() && standing->second.group == group) return;
    // Nodes come in graph order: the first that was made of a value and a group stands before all that read it later.
    Node*& observer = observer_of_[{arg->id(), group}];
    if (observer == nullptr) {
      const bool behind = sees_calls_in_order(group) && arg->kind() != NodeKind::kPlaceholder;
      const auto point = behind ? module_.graph().inserting_after(arg) : module_.graph().inserting_before(node);
      observer = insert(arg, group);
    }
    node->replace_input(arg, observer);
  }

  void observe_output(Node* node) {
    const auto group = groups_.group_of.find(EdgeOrNode(node));
    if (group == groups_.group_of.end()) return;
    if (!node->element_metas().empty() || !is_float(*node)) {
      log::debug(node->where(), ": its value is not one float tensor and stays unquantized");
      return;
    }
    const auto point = module_.graph().inserting_after(node);
    Node* observer = insert(node, group->second);
    node->replace_all_uses_with(observer, [&](Node* user) { return user == observer; });
  }

  // In training: the bias of a product says how small the scales of its weight may be (accumulator.h), so that the
  // weight is rounded on the grid that convert writes. Behind a BatchNorm QatConvBn sees to it.
  void make_room_in_accumulators() {
    for (Node* node : module_.graph().nodes()) {
      const auto places = product_arguments(*node);
      if (!places || !places->bias) continue;
      Node* weight = node->arg(places->weight).node();
      const Node* bias = node->arg(*places->bias).node();
      const auto quantizer = std::dynamic_pointer_cast<DerivedFakeQuantize>(callable_of(bias));
      if (quantizer == nullptr || callable_of(weight) == nullptr) continue;
      const Node* value = bias->arg(0).node();
      if (!value->is_get_attr()) continue;
      const auto point = module_.graph().inserting_before(weight);
      const std::string name = module_.free_name("accumulator_room_0");
      module_.set_callable(name, std::make_shared<AccumulatorRoom>(quantizer->derived()->sources(), places->layout));
      Node* read = module_.graph().get_attr(value->target());
      read->set_meta(value->meta());
      Node* room = module_.graph().call_module(name, {weight->arg(0), Arg(read)});
      room->set_meta(weight->meta());
      weight->set_arg(0, Arg(room));
    }
  }

  std::shared_ptr<CallableModule> callable_of(const Node* node) const {
    const bool calls = node != nullptr && node->kind() == NodeKind::kCallModule;
    return calls ? module_.callable(node->target()) : nullptr;
  }

  Node* insert(Node* value, size_t group) {
    Observer& observer = observers_[group];
    if (observer.name.empty()) {
      observer.name = module_.free_name(octet::str("activation_post_process_", next_++));
      observer.module->train(module_.is_training());
      module_.set_callable(observer.name, observer.module);
    }
    Node* node = module_.graph().call_module(observer.name, {Arg(value)});
    node->set_meta(value->meta());
    observed_[node] = {original(value), group};
    ++inserted_;
    return node;
  }

  GraphModule& module_;
  const SharingGroups& groups_;
  const QatRewrite& rewrite_;
  const bool qat_;
  const std::unordered_set<const Node*> states_;
  std::vector<Observer> observers_;                          // one for each group
  std::unordered_map<const Node*, Observed> observed_;       // by observer node
  std::map<std::pair<int64_t, size_t>, Node*> observer_of_;  // of the edges from the node of this id, by group
  size_t next_ = 0;
  size_t inserted_ = 0;
};

void switch_to_eval(GraphModule& model) {
  const std::vector<const Node*> training = nodes_in_train_mode(model);
  if (!training.empty()) {
    const auto norms =
        std::count_if(training.begin(), training.end(), [](const Node* node) { return node->is(Trait::kBatchNorm); });
    log::warn("the model is in train mode: switched to eval for quantization after training, ", norms,
              " BatchNorm and ", static_cast<int64_t>(training.size()) - norms, " other nodes (dropout) with it");
  }
  model.train(false);
}

// Before anything is folded, so that it is named by where it lies: a NaN anywhere, infinity in a weight or bias.
void require_numbers(const GraphModule& model) {
  for (const Node* node : model.graph().nodes()) {
    const auto refuse = [&](const Node* value, bool infinity_too) {
      if (value == nullptr || !value->is_get_attr()) return;
      const at::Tensor tensor = model.attr(value->target());
      if (!tensor.is_floating_point() || tensor.numel() == 0) return;
      const auto [low, high] = min_max(tensor);  // NaN where one is
      const std::array<float, 2> ends = {low.item<float>(), high.item<float>()};
      for (const float end : ends) {
        if (std::isnan(end)) throw no_number(model, *value, "NaN");
        if (infinity_too && std::isinf(end)) throw no_number(model, *value, "infinity");
      }
    };
    if (node->is_get_attr()) refuse(node, false);
    const auto places = product_arguments(*node);
    if (!places) continue;
    refuse(node->arg(places->weight).node(), true);
    if (places->bias) refuse(node->arg(*places->bias).node(), true);
  }
}

std::shared_ptr<GraphModule> prepare_for(QuantizationMode mode, std::shared_ptr<GraphModule> model,
                                         Quantizer& quantizer) {
  const bool qat = mode == QuantizationMode::kQat;
  if (!model) throw Error("prepare", "is given no model");
  if (quantizer.mode().value_or(mode) != mode) {
    throw Error(qat ? "prepare_qat_pt2e" : "prepare_pt2e",
                octet::str("expected a quantizer made for ", text(mode), " quantization, got one for ",
                           text(*quantizer.mode())))
        .hint(octet::str("call ", qat ? "prepare_pt2e" : "prepare_qat_pt2e", ", or make the quantizer for this mode"));
  }
  const auto stage = model->facts().find(kStageFact);
  if (stage != model->facts().end() && stage->second != kConverted) {
    throw Error("prepare", octet::str("the model is already ", stage->second)).hint("start from the float model");
  }
  const SmallWork alone(*model);
  require_numbers(*model);
  if (!qat) {
    switch_to_eval(*model);
    if (quantizer.folds_batch_norms()) fold_batch_norms(*model);
  }
  quantizer.transform_for_annotation(*model);
  quantizer.annotate(*model);
  quantizer.validate(*model);
  QatRewrite rewrite(quantizer.rounds_folded_biases(), quantizer.joins_batch_norms());
  if (qat) rewrite.run(*model);
  const SharingGroups groups = resolve_sharing(
      model->graph(), [&](const EdgeOrNode& edge) { return rewrite.keeps_inside(edge.consumer, edge.node); });
  const size_t inserted = Inserter(*model, groups, rewrite, qat).run();
  if (inserted == 0) {
    log::warn("nothing of this model will be quantized: the quantizer annotated no value of its ",
              model->graph().size(), " nodes");
  }
  model->graph().eliminate_dead_code();
  model->erase_unused();
  model->graph().verify();
  model->facts()[kStageFact] = qat ? kPreparedQat : kPrepared;
  return model;
}

}  // namespace

Error no_number(const GraphModule& model, const Node& node, const char* holds) {
  const char* kind = model.attr_kind(node.target()) == AttrKind::kParameter ? "parameter '" : "buffer '";
  return Error(octet::str(kind, node.target(), "'"), octet::str("holds ", holds))
      .hint("a diverging loss leaves such; train again");
}

std::shared_ptr<GraphModule> prepare(std::shared_ptr<GraphModule> model, Quantizer& quantizer) {
  const auto mode = quantizer.mode();
  if (!mode) {
    throw Error("prepare", "the quantizer does not say whether it is made for training")
        .hint("call prepare_pt2e or prepare_qat_pt2e, or let its mode() say it");
  }
  return prepare_for(*mode, std::move(model), quantizer);
}

std::shared_ptr<GraphModule> prepare_pt2e(std::shared_ptr<GraphModule> model, Quantizer& quantizer) {
  return prepare_for(QuantizationMode::kPtq, std::move(model), quantizer);
}

std::shared_ptr<GraphModule> prepare_qat_pt2e(std::shared_ptr<GraphModule> model, Quantizer& quantizer) {
  return prepare_for(QuantizationMode::kQat, std::move(model), quantizer);
}

}  // namespace octet

#include "octet/quantize/qat_rewrite.h"

#include "octet/quantize/compare.h"
#include "octet/quantize/factories.h"
#include "octet/quantize/prepare.h"
#include "octet/quantize/qat_conv_bn.h"
#include "octet/support/error.h"
#include "octet/support/log.h"

namespace octet {
namespace {

// Where a place of an old pair lies once a structural node stands in for it.
class Moved {
 public:
  void add(const ConvBatchNorm& pair, Node* structural) {
    for (const Node* old : {pair.conv, pair.batch_norm, pair.value}) structural_[old->id()] = structural;
  }
  void apply(QuantizationAnnotation& note) const {
    for (auto& [producer, spec] : note.input_qspec_map) {
      producer = node(producer);
      for_each_place(spec, [&](EdgeOrNode& place) { move(place); });
    }
    if (note.output_qspec) for_each_place(*note.output_qspec, [&](EdgeOrNode& place) { move(place); });
  }

 private:
  // Old nodes are erased by now: asked by id.
  NodeRef node(const NodeRef& old) const {
    const auto found = structural_.find(old.id());
    return found == structural_.end() ? old : NodeRef(found->second);
  }
  void move(EdgeOrNode& place) const {
    const bool moved = structural_.count(place.node.id()) > 0;
    place.node = node(place.node);
    place.consumer = node(place.consumer);
    // An edge within the pair is no edge any more: what it carried is the pair's output.
    if (moved && place.consumer == place.node) place.consumer = {};
  }

  std::unordered_map<int64_t, Node*> structural_;  // by the id of the old node
};

QuantizationAnnotation joined_annotation(const ConvBatchNorm& pair) {
  QuantizationAnnotation joined = *annotation(*pair.conv);
  const std::optional<AnySpec> conv_output = std::exchange(joined.output_qspec, std::nullopt);
  bool decided = false;
  for (Node* node : {pair.batch_norm, pair.value}) {
    const QuantizationAnnotation* note = annotation(*node);
    if (note == nullptr) continue;
    decided = true;
    if (note->output_qspec) joined.output_qspec = note->output_qspec;
  }
  // A quantizer that knows nothing of the BatchNorm meant the pair's output when it annotated the convolution's.
  if (!decided) joined.output_qspec = conv_output;
  joined.annotated = true;
  return joined;
}

void erase_pair(Graph& graph, const ConvBatchNorm& pair) {
  if (pair.value != pair.batch_norm) {
    for (Node* element : pair.batch_norm->users()) graph.erase(element);
  }
  graph.erase(pair.batch_norm);
  graph.erase(pair.conv);
}

bool is_static_int(const ObserverBase& observer) {
  return !observer.is_dynamic && (observer.dtype == at::kChar || observer.dtype == at::kByte);
}

}  // namespace

void QatRewrite::run(GraphModule& module) {
  Moved moved;
  for (const ConvBatchNorm& pair : find_conv_batch_norms(module.graph())) {
    const QuantizationAnnotation* note = annotation(*pair.conv);
    if (note == nullptr || note->input(pair.conv->arg(1).node()) == nullptr) continue;
    // One that has grids of its own for what it reads is an operator of its own.
    const QuantizationAnnotation* norm = annotation(std::as_const(*pair.batch_norm));
    if (norm != nullptr && !norm->input_qspec_map.empty()) continue;
    if (!note->joins_batch_norm.value_or(joins_batch_norms_ || is_annotated(*pair.batch_norm))) continue;
    Node* structural = rewrite(module, pair);
    moved.add(pair, structural);
    erase_pair(module.graph(), pair);
  }
  for (Node* node : module.graph().nodes()) {
    if (QuantizationAnnotation* note = annotation(*node)) moved.apply(*note);
  }
}

bool QatRewrite::keeps_inside(const Node* consumer, const Node* producer) const {
  const auto found = inside_.find(consumer);
  return found != inside_.end() && found->second.count(producer) > 0;
}

Node* QatRewrite::rewrite(GraphModule& module, const ConvBatchNorm& pair) {
  Graph& graph = module.graph();
  auto simulated = std::make_shared<QatConvBn>(pair);
  simulated->train(pair.training());  // the model's mode stays as it was

  const std::string target = module.free_name(pair.conv->name() + "_bn");
  std::vector<Arg> args = {pair.conv->arg(0), pair.conv->arg(1), pair.conv->arg(2)};
  for (const char* name : {"weight", "bias", "running_mean", "running_var"}) args.push_back(pair.batch_norm->arg(name));
  const auto point = graph.inserting_before(pair.batch_norm);
  Node* structural = graph.call_module(target, std::move(args), target);
  module.set_callable(target, simulated);
  structural->set_meta(pair.value->meta());
  structural->notes() = pair.conv->notes();
  structural->notes()[kFloatNameNote] = pair.value->name();
  structural->notes()[kConvNameNote] = pair.conv->name();
  structural->notes()[kAnnotationKey] = joined_annotation(pair);

  pair.value->replace_all_uses_with(structural);
  for (const size_t index : {size_t{1}, size_t{2}}) {
    if (structural->arg(index).is_node()) inside_[structural].insert(structural->arg(index).node());
  }
  return structural;
}

void QatRewrite::attach(GraphModule& module, Node* node, const FindObserver& find) const {
  auto simulated = std::dynamic_pointer_cast<QatConvBn>(module.callable(node->target()));
  const auto weight = find(EdgeOrNode(node->arg(1).node(), node));
  std::shared_ptr<ObserverBase> bias;
  if (node->arg(2).is_node()) bias = find(EdgeOrNode(node->arg(2).node(), node));
  if (!bias && rounds_folded_biases_) {
    Node* x = node->arg(0).node();
    auto input = find(EdgeOrNode(x, node));
    if (!input) input = find(EdgeOrNode(x));
    bias = default_bias_fake_quant(input, weight, simulated->info());
  }
  const bool training = simulated->is_training();
  simulated->set_fake_quantizers(weight, bias);
  simulated->train(training);
}

void put_folded_convolution(GraphModule& module, Node* structural, const QatConvBn& simulated,
                            const std::function<Node*(Node* value, ObserverBase& quantizer)>& round) {
  std::vector<at::Tensor> inputs;
  for (size_t i = 0; i < 7; ++i) {
    const Arg& arg = structural->arg(i);
    inputs.push_back(i == 0 ? at::Tensor() : static_value(module, arg));
  }
  const QatConvBn::Folded folded = simulated.fold(inputs);
  const std::string* note = structural->notes().find(kConvNameNote);
  const std::string name = note == nullptr ? structural->name() : *note;
  Graph& graph = module.graph();
  Node* conv = nullptr;
  {
    const auto point = graph.inserting_before(structural);
    conv = simulated.emit(graph, name, structural->arg(0).node(), structural->arg(1).node(), structural->arg(2).node());
  }
  conv->set_meta(structural->meta());
  conv->notes() = structural->notes();
  conv->notes().erase(kConvNameNote);
  structural->replace_all_uses_with(conv);
  graph.erase(structural);
  set_folded_parameters(module, conv, folded.weight, folded.bias);
  const RoomMade made = simulated.make_room(folded.weight, folded.bias);
  if (made.enlarged > 0) log::warn(conv->where(), ": ", text(made));
  const auto point = graph.inserting_before(conv);
  const std::pair<size_t, ObserverBase*> quantizers[] = {{1, simulated.weight_fake_quant().get()},
                                                         {2, simulated.bias_fake_quant().get()}};
  for (const auto& [index, quantizer] : quantizers) {
    if (quantizer != nullptr) conv->set_arg(index, Arg(round(conv->arg(index).node(), *quantizer)));
  }
}

std::shared_ptr<ObserverBase> default_bias_fake_quant(const std::shared_ptr<ObserverBase>& input,
                                                      const std::shared_ptr<ObserverBase>& weight,
                                                      const ConvInfo& info) {
  if (!input || !weight || !is_static_int(*input) || !is_static_int(*weight)) return nullptr;
  Derivation derivation = bias_derivation();
  if (weight->is_per_channel() && info.is_transposed && info.groups > 1) {
    // The weight's channels are those of one group; every group uses the same scales.
    derivation = find_derivation(octet::str(derivation.name, ", tiled ", info.groups));
  }
  ObserverArgs args;
  args.dtype = at::kInt;
  args.quant_max = std::numeric_limits<int32_t>::max();
  args.quant_min = std::numeric_limits<int32_t>::min();
  if (weight->is_per_channel()) {
    args.quant_min = -*args.quant_max;
    args.qscheme = at::kPerChannelSymmetric;
  }
  const std::vector<std::shared_ptr<ObserverBase>> sources = {input, weight};
  return std::make_shared<DerivedFakeQuantize>(args, sources, derivation);
}

}  // namespace octet

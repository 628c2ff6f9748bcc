#include <ATen/core/grad_mode.h>

#include "octet/quantize/accumulator.h"
#include "octet/quantize/affine_ops.h"
#include "octet/quantize/compare.h"
#include "octet/quantize/constant_fold.h"
#include "octet/quantize/fake_quantize.h"
#include "octet/quantize/observers.h"
#include "octet/quantize/prepare.h"
#include "octet/quantize/qat_conv_bn.h"
#include "octet/quantize/qat_rewrite.h"
#include "octet/quantize/quantize_pt2e.h"
#include "octet/quantize/small_work.h"
#include "octet/support/error.h"
#include "octet/support/log.h"

namespace octet {
namespace {

bool is_integer_grid(at::ScalarType dtype) {
  switch (dtype) {
    case at::kByte:
    case at::kChar:
    case at::kShort:
    case at::kInt:
    case at::kUInt16:
      return true;
    default:
      return false;
  }
}

// Symmetric dynamic parameters keep the zero point at 0.
bool is_symmetric(const ObserverBase& observer) {
  return observer.qscheme == at::kPerTensorSymmetric || observer.qscheme == at::kPerChannelSymmetric;
}

class Converter {
 public:
  explicit Converter(GraphModule& module) : module_(module), graph_(module.graph()) {}

  void run() {
    make_room(module_);
    for (Node* node : graph_.nodes()) {
      if (node->kind() != NodeKind::kCallModule) continue;
      const auto callable = module_.callable(node->target());
      if (const auto* simulated = dynamic_cast<const QatConvBn*>(callable.get())) expand(node, *simulated);
    }
    for (Node* node : graph_.nodes()) {
      if (node->kind() != NodeKind::kCallModule) continue;
      const auto callable = module_.callable(node->target());
      auto* observer = dynamic_cast<ObserverBase*>(callable.get());
      if (observer == nullptr) throw Error(node->where(), "is a submodule that convert does not know");
      replace(node, converted(node->arg(0).node(), *observer, node, node->target()));
    }
    warn_of_empty_observers();
  }

 private:
  void replace(Node* old, Node* replacement) {
    old->replace_all_uses_with(replacement);
    graph_.erase(old);
  }

  // One convolution with folded parameters, each behind its own quantize and dequantize.
  void expand(Node* node, const QatConvBn& simulated) {
    put_folded_convolution(module_, node, simulated, [&](Node* value, ObserverBase& quantizer) {
      if (!quantizer.has_data()) quantizer.forward(module_.attr(value->target()));
      return quantize_dequantize(value, quantizer, value->target());
    });
  }

  // What stands in for an observer of `value`: a quantize and a dequantize, or `value` itself. `place` is the
  // observer's node.
  Node* converted(Node* value, ObserverBase& observer, Node* place, const std::string& name) {
    const auto point = graph_.inserting_before(place);
    if (observer.dtype == at::kHalf) return through_half(value);
    if (!is_integer_grid(observer.dtype) || observer.type_name() == "RecordingObserver") return value;
    if (observer.is_dynamic) return quantize_dynamically(value, observer);
    if (!observer.has_data() && value->is_get_attr()) observer.forward(module_.attr(value->target()));
    if (!observer.has_data() && !value->is_get_attr()) empty_.push_back(value->name());
    return quantize_dequantize(value, observer, value->is_get_attr() ? value->target() : name);
  }

  void warn_of_empty_observers() const {
    if (empty_.empty()) return;
    std::string names;
    for (size_t i = 0; i < std::min<size_t>(empty_.size(), 4); ++i) names += (i > 0 ? ", '" : "'") + empty_[i] + "'";
    if (empty_.size() > 4) names += octet::str(" and ", empty_.size() - 4, " more");
    log::warn("observers saw no data and get scale 1, zero point 0: those of ", names,
              "; run the prepared model on samples before convert");
  }

  Node* through_half(Node* value) {
    Node* half = graph_.call("quantized_decomposed.convert_element_type.no_fuse", {Arg(value), Arg(at::kHalf)});
    return graph_.call("quantized_decomposed.convert_element_type.no_fuse", {Arg(half), Arg(at::kFloat)});
  }

  Node* quantize_dequantize(Node* value, const ObserverBase& observer, const std::string& name) {
    const QParams grid = observer.calculate_qparams();
    if (!observer.block_size.empty()) {
      // torchao stores zero points as it stores levels.
      const at::Tensor zero_point = grid.zero_point.to(observer.dtype);
      return call_affine_pair(value, observer, Arg(buffer(name + "_scale", grid.scale)),
                              Arg(buffer(name + "_zero_point", zero_point)));
    }
    const bool per_channel = observer.is_per_channel();
    std::vector<Arg> parameters;
    if (per_channel) {
      parameters = {Arg(buffer(name + "_scale", grid.scale)), Arg(buffer(name + "_zero_point", grid.zero_point)),
                    Arg(observer.ch_axis)};
    } else {
      parameters = {Arg(static_cast<double>(grid.scale.item<float>())), Arg(grid.zero_point.item<int64_t>())};
    }
    for (const Arg& limit : {Arg(observer.quant_min), Arg(observer.quant_max), Arg(observer.dtype)}) {
      parameters.push_back(limit);
    }
    return call_pair(per_channel ? "per_channel.default" : "per_tensor.default", value, observer,
                     std::move(parameters));
  }

  Node* call_pair(const std::string& kind, Node* value, const ObserverBase& observer, std::vector<Arg> parameters) {
    std::vector<Arg> args = {Arg(value)};
    args.insert(args.end(), parameters.begin(), parameters.end());
    const std::string name = kind.substr(0, kind.find('.'));
    Node* quantize = graph_.call("quantized_decomposed.quantize_" + kind, args, {}, "quantize_" + name);
    args[0] = Arg(quantize);
    NamedArgs options;
    if (value->meta() && value->meta()->dtype != at::kFloat)
      options.emplace_back("out_dtype", Arg(value->meta()->dtype));
    Node* dequantize =
        graph_.call("quantized_decomposed.dequantize_" + kind, args, std::move(options), "dequantize_" + name);
    if (value->meta()) {
      quantize->set_meta(TensorMeta{observer.dtype, value->meta()->sizes});
      dequantize->set_meta(value->meta());
    }
    return dequantize;
  }

  // In blocks, in torchao's operators.
  Node* call_affine_pair(Node* value, const ObserverBase& observer, const Arg& scale, const Arg& zero_point) {
    const auto call = [&](const char* op, Node* input) {
      return graph_.call(octet::str(affine::kNamespace, '.', op, ".default"),
                         {Arg(input), Arg(observer.block_size), scale, zero_point, Arg(observer.dtype),
                          Arg(observer.quant_min), Arg(observer.quant_max)},
                         {}, op);
    };
    Node* quantize = call("quantize_affine", value);
    Node* dequantize = call("dequantize_affine", quantize);
    if (value->meta()) {
      quantize->set_meta(TensorMeta{observer.dtype, value->meta()->sizes});
      dequantize->set_meta(value->meta());
      if (value->meta()->dtype != at::kFloat) dequantize->set_arg("output_dtype", Arg(value->meta()->dtype));
    }
    return dequantize;
  }

  Node* quantize_dynamically(Node* value, const ObserverBase& observer) {
    if (observer.dtype != at::kChar && observer.dtype != at::kByte) {
      throw Error(value->where(), "dynamic quantization knows int8 and uint8 only");
    }
    const auto* placeholder = dynamic_cast<const PlaceholderObserver*>(&observer);
    const RangeObserver* range = range_observer(observer);
    const double eps = placeholder != nullptr ? placeholder->eps() : range != nullptr ? range->eps() : kDefaultEps;
    if (!observer.block_size.empty()) {
      const MappingType mapping = is_symmetric(observer) ? MappingType::kSymmetric : MappingType::kAsymmetric;
      const bool usual_eps = eps == std::numeric_limits<float>::min();  // what torchao takes where none is given
      Node* choose = graph_.call(
          octet::str(affine::kNamespace, ".choose_qparams_affine.default"),
          {Arg(value), Arg(text(mapping)), Arg(observer.block_size), Arg(observer.dtype), Arg(observer.quant_min),
           Arg(observer.quant_max), usual_eps ? Arg() : Arg(eps), Arg(), Arg(observer.dtype)});
      Node* scale = graph_.get_item(choose, 0);
      return call_affine_pair(value, observer, Arg(scale), Arg(graph_.get_item(choose, 1)));
    }
    Node* choose =
        graph_.call(is_symmetric(observer) ? "quantized_decomposed.choose_qparams_symmetric.tensor"
                                           : "quantized_decomposed.choose_qparams.tensor",
                    {Arg(value), Arg(observer.quant_min), Arg(observer.quant_max), Arg(eps), Arg(observer.dtype)});
    Node* scale = graph_.get_item(choose, 0);
    Node* zero_point = graph_.get_item(choose, 1);
    return call_pair(
        "per_tensor.tensor", value, observer,
        {Arg(scale), Arg(zero_point), Arg(observer.quant_min), Arg(observer.quant_max), Arg(observer.dtype)});
  }

  Node* buffer(const std::string& base, const at::Tensor& value) {
    int64_t& number = next_number_[base];
    std::string name;
    do {
      name = octet::str(base, "_", number++);
    } while (module_.has_attr(name));
    module_.set_attr(name, value.detach().clone(), AttrKind::kBuffer);
    Node* read = graph_.get_attr(name);
    read->set_meta(TensorMeta{value.scalar_type(), value.sizes().vec()});
    return read;
  }

  GraphModule& module_;
  Graph& graph_;
  std::vector<std::string> empty_;                        // values whose observers saw nothing
  std::unordered_map<std::string, int64_t> next_number_;  // of a buffer's name
};

bool has_computed_scale(const Node& dequantize) {
  const Arg& scale = dequantize.arg(dequantize.has_arg("scales") ? "scales" : "scale");
  return scale.is_node() && scale.node()->kind() == NodeKind::kGetItem;
}

// Every annotated reader gets a dequantize of its own, so that each operator stands between its own pairs.
void duplicate_dequantizes(Graph& graph) {
  for (Node* node : graph.nodes()) {
    if (!node->is(Trait::kDequantize) || node->user_count() < 2 || has_computed_scale(*node)) continue;
    const std::vector<Node*> users = node->users();
    for (size_t i = 1; i < users.size(); ++i) {
      if (!users[i]->notes().contains(kAnnotatedNote)) continue;
      const auto point = graph.inserting_before(users[i]);
      Node* twin = graph.call(node->op(), node->args(), {}, std::string(node->op().short_name()));
      twin->set_meta(node->meta());
      users[i]->replace_input(node, twin);
    }
  }
}

}  // namespace

std::shared_ptr<GraphModule> convert_pt2e(std::shared_ptr<GraphModule> prepared, const ConvertOptions& options) {
  if (!prepared) throw Error("convert", "is given no model");
  const auto stage = prepared->facts().find(kStageFact);
  if (stage == prepared->facts().end() || stage->second == kConverted) {
    throw Error("convert", "the model is not prepared").hint("call prepare_pt2e or prepare_qat_pt2e first");
  }
  const at::NoGradGuard no_grad;
  const SmallWork alone(*prepared);
  auto model = prepared->copy();
  model->eval();
  Converter(*model).run();
  drop_batch_counters(model->graph(), *model);
  model->graph().eliminate_dead_code();
  duplicate_dequantizes(model->graph());
  if (options.fold_quantize) fold_constant_quantizes(*model);
  model->erase_unused();
  model->graph().verify();
  check_accumulators(*model);
  model->facts()[kStageFact] = kConverted;
  return model;
}

std::shared_ptr<GraphModule> finish(std::shared_ptr<GraphModule> prepared, Quantizer& quantizer) {
  auto converted = convert_pt2e(move_exported_model_to_eval(std::move(prepared)));
  quantizer.transform_converted(*converted);
  return converted;
}

}  // namespace octet

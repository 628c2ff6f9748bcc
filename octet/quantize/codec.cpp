#include "octet/quantize/codec.h"

#include "octet/formats/allowed_operators.h"
#include "octet/formats/dtype.h"
#include "octet/graph/call_check.h"
#include "octet/quantize/accumulator.h"
#include "octet/quantize/fake_quantize.h"
#include "octet/quantize/histogram_observer.h"
#include "octet/quantize/kernel_grid_fake_quantize.h"
#include "octet/quantize/learned_scales.h"
#include "octet/quantize/observers.h"
#include "octet/quantize/qat_conv_bn.h"
#include "octet/quantize/spec_text.h"
#include "octet/support/error.h"

namespace octet {
namespace {

using nlohmann::json;

constexpr uint64_t kObserverBytes = 8192;  // a module with some ten small buffers

json literal_json(const c10::IValue& value) {
  if (value.isNone()) return nullptr;
  if (value.isBool()) return value.toBool();
  if (value.isInt()) return value.toInt();
  if (value.isString()) return value.toStringRef();
  if (value.isIntList()) return value.toIntVector();
  throw Error("conv-bn", octet::str("cannot save an argument of type ", value.tagKind()));
}

c10::IValue literal_from(const JsonCursor& cursor) {
  const json& value = cursor.json();
  if (value.is_null()) return {};
  if (value.is_boolean()) return cursor.to_bool();
  if (value.is_string()) return cursor.to_string();
  if (value.is_array()) return cursor.to_ints();
  return cursor.to_int();
}

json args_json(const ObserverBase& observer) {
  json config = {{"type", observer.type_name()},
                 {"dtype", dtype_name(observer.dtype)},
                 {"qscheme", qscheme_text(observer.qscheme)},
                 {"ch_axis", observer.ch_axis},
                 {"is_dynamic", observer.is_dynamic}};
  if (observer.custom_range) {
    config["quant_min"] = observer.quant_min;
    config["quant_max"] = observer.quant_max;
  }
  if (observer.given_zero_point) config["zero_point"] = *observer.given_zero_point;
  if (!observer.block_size.empty()) config["block_size"] = observer.block_size;
  return config;
}

ObserverArgs args_from(const JsonCursor& config) {
  ObserverArgs args;
  args.dtype = dtype_from_name(config.at("dtype").to_string(), config.at("dtype").where());
  try {
    args.qscheme = qscheme_from_text(config.at("qscheme").to_string());
  } catch (const Error& error) {
    throw Error(config.at("qscheme").where(), error.what());
  }
  args.ch_axis = config.at("ch_axis").to_int();
  args.is_dynamic = config.at("is_dynamic").to_bool();
  if (config.has("quant_min")) args.quant_min = config.at("quant_min").to_int();
  if (config.has("quant_max")) args.quant_max = config.at("quant_max").to_int();
  if (config.has("zero_point")) args.zero_point = config.at("zero_point").to_int();
  if (config.has("block_size")) args.block_size = config.at("block_size").to_ints();
  return args;
}

json names_json(const ObserverBase& observer, const std::vector<std::shared_ptr<ObserverBase>>& sources,
                const NameOfModule& name_of) {
  auto names = json::array();
  for (const auto& source : sources) {
    if (!name_of) throw Error(observer.type_name(), "its sources have no names outside of a graph");
    names.push_back(name_of(*source));
  }
  return names;
}

json room_json(const AccumulatorRoom& room, const NameOfModule& name_of) {
  return {{"type", room.type_name()},
          {"is_matrix", room.layout().is_matrix},
          {"axis", room.layout().axis},
          {"groups", room.layout().groups},
          {"sources", names_json(room, room.sources(), name_of)}};
}

std::shared_ptr<AccumulatorRoom> room_from(const JsonCursor& config) {
  ProductLayout layout{config.at("is_matrix").to_bool(), config.at("axis").to_int(), config.at("groups").to_int()};
  if (layout.axis < 0) throw expected(config.at("axis").where(), "axis", "0 or more", octet::str(layout.axis));
  if (layout.groups < 1) throw expected(config.at("groups").where(), "groups", "1 or more", octet::str(layout.groups));
  return std::make_shared<AccumulatorRoom>(std::vector<std::shared_ptr<ObserverBase>>(), layout);
}

json derived_json(const ObserverBase& observer, const DerivedObserver& derived, const NameOfModule& name_of) {
  json config = args_json(observer);
  config["derivation"] = derived.derivation().name;
  config["sources"] = names_json(observer, derived.sources(), name_of);
  return config;
}

json conv_bn_json(const QatConvBn& module, const NameOfModule& name_of) {
  json config = {{"type", "QatConvBn"},
                 {"op", module.op().text()},
                 {"eps", module.eps()},
                 {"momentum", module.momentum()},
                 {"literals", json::array()}};
  for (const c10::IValue& literal : module.literals()) config["literals"].push_back(literal_json(literal));
  if (module.weight_fake_quant()) config["weight"] = callable_config(*module.weight_fake_quant(), name_of);
  if (module.bias_fake_quant()) config["bias"] = callable_config(*module.bias_fake_quant(), name_of);
  return config;
}

std::shared_ptr<ObserverBase> observer_from(const JsonCursor& config, Budget& budget) {
  auto observer = std::dynamic_pointer_cast<ObserverBase>(callable_from_config(config, budget));
  if (!observer) throw expected(config.where(), "type", "an observer", config.at("type").to_string());
  return observer;
}

std::shared_ptr<CallableModule> conv_bn_from(const JsonCursor& config, Budget& budget) {
  const Op op = AllowedOperators().find(config.at("op").to_string(), config.at("op").where());
  std::vector<c10::IValue> literals;
  for (const JsonCursor& literal : config.at("literals").elements()) literals.push_back(literal_from(literal));
  if (literals.size() != op.schema().arguments().size() || literals.size() < 3) {
    throw expected(config.at("literals").where(), "arguments", octet::str(op.schema().arguments().size()),
                   octet::str(literals.size()));
  }
  check_call(op, literals, config.where());
  const std::optional<ConvInfo> info = conv_info(op, literals);
  if (!info) throw expected(config.at("op").where(), "operator", "a convolution or linear", op.text());
  auto module = std::make_shared<QatConvBn>(op, std::move(literals), *info, config.at("eps").to_double(),
                                            config.at("momentum").to_double());
  module->set_fake_quantizers(config.has("weight") ? observer_from(config.at("weight"), budget) : nullptr,
                              config.has("bias") ? observer_from(config.at("bias"), budget) : nullptr);
  return module;
}

std::shared_ptr<CallableModule> made(const std::string& type, const JsonCursor& config, Budget& budget) {
  budget.charge(kObserverBytes, "its observers");
  if (type == "QatConvBn") return conv_bn_from(config, budget);
  if (type == "AccumulatorRoom") return room_from(config);
  if (type == "FakeQuantize") return std::make_shared<FakeQuantize>(observer_from(config.at("observer"), budget));
  if (type == "FusedMovingAvgObsFakeQuantize") {
    return std::make_shared<FusedMovingAvgObsFakeQuantize>(observer_from(config.at("observer"), budget));
  }
  if (type == "KernelGridFakeQuantize") {
    return std::make_shared<KernelGridFakeQuantize>(observer_from(config.at("observer"), budget));
  }
  if (type == "LearnedFakeQuantize") {
    return std::make_shared<LearnedFakeQuantize>(observer_from(config.at("observer"), budget));
  }
  if (type == "FixedQParamsFakeQuantize") {
    return std::make_shared<FixedQParamsFakeQuantize>(observer_from(config.at("observer"), budget));
  }
  const ObserverArgs args = args_from(config);
  const auto eps = [&] { return config.at("eps").to_double(); };
  const auto constant = [&] { return config.at("averaging_constant").to_double(); };
  const auto derivation = [&] { return find_derivation(config.at("derivation").to_string()); };
  if (type == "MinMaxObserver") return std::make_shared<MinMaxObserver>(args, eps());
  if (type == "MovingAverageMinMaxObserver") {
    const bool each_run = config.has("each_run") && config.at("each_run").to_bool();
    return std::make_shared<MovingAverageMinMaxObserver>(args, constant(), eps(),
                                                         each_run ? Averaging::kEachRun : Averaging::kEachCall);
  }
  if (type == "PerChannelMinMaxObserver") return std::make_shared<PerChannelMinMaxObserver>(args, eps());
  if (type == "MovingAveragePerChannelMinMaxObserver") {
    return std::make_shared<MovingAveragePerChannelMinMaxObserver>(args, constant(), eps());
  }
  if (type == "BlockMinMaxObserver") {
    const JsonCursor mapping = config.at("mapping");
    return std::make_shared<BlockMinMaxObserver>(args, mapping_from_text(mapping.to_string(), mapping.where()), eps());
  }
  if (type == "HistogramObserver") {
    const int64_t bins = config.at("bins").to_int();
    if (bins > 0) budget.charge(static_cast<uint64_t>(bins), sizeof(float), "its histograms");
    return std::make_shared<HistogramObserver>(args, eps(), bins);
  }
  if (type == "FixedQParamsObserver") return std::make_shared<FixedQParamsObserver>(args, 1.0, 0);  // buffers tell
  if (type == "PlaceholderObserver") return std::make_shared<PlaceholderObserver>(args, eps());
  if (type == "NoopObserver") return std::make_shared<NoopObserver>(args);
  if (type == "RecordingObserver") return std::make_shared<RecordingObserver>(args);
  const std::vector<std::shared_ptr<ObserverBase>> unresolved;
  if (type == "DerivedObserver") return std::make_shared<DerivedObserver>(args, unresolved, derivation());
  if (type == "DerivedFakeQuantize") return std::make_shared<DerivedFakeQuantize>(args, unresolved, derivation());
  throw Error(config.at("type").where(), octet::str("unknown kind of module '", type, "'"));
}

void collect(const torch::nn::Module& module, const std::string& prefix, std::map<std::string, at::Tensor>& all) {
  for (const auto& item : module.named_buffers(/*recurse=*/true)) all.emplace(prefix + item.key(), item.value());
}

}  // namespace

json callable_config(const CallableModule& module, const NameOfModule& name_of) {
  if (const auto* pair = dynamic_cast<const QatConvBn*>(&module)) return conv_bn_json(*pair, name_of);
  const auto* observer = dynamic_cast<const ObserverBase*>(&module);
  if (observer == nullptr) throw Error(module.name(), "has no form to be saved in");
  if (const auto* room = dynamic_cast<const AccumulatorRoom*>(observer)) return room_json(*room, name_of);
  if (const auto* derived = dynamic_cast<const DerivedObserver*>(observer))
    return derived_json(*derived, *derived, name_of);
  if (const auto* derived = dynamic_cast<const DerivedFakeQuantize*>(observer)) {
    return derived_json(*derived, *derived->derived(), name_of);
  }
  if (const auto* fake = dynamic_cast<const FakeQuantize*>(observer)) {
    return {{"type", fake->type_name()}, {"observer", callable_config(*fake->observer(), name_of)}};
  }
  json config = args_json(*observer);
  if (const auto* range = dynamic_cast<const RangeObserver*>(observer)) {
    config["eps"] = range->eps();
    if (range->reading != Reading::kPlain) config["reading"] = text(range->reading);
    if (!range->followers().empty()) config["followers"] = names_json(*range, range->followers(), name_of);
  }
  if (const auto* placeholder = dynamic_cast<const PlaceholderObserver*>(observer)) config["eps"] = placeholder->eps();
  if (const auto* moving = dynamic_cast<const MovingAverageMinMaxObserver*>(observer)) {
    config["averaging_constant"] = moving->averaging_constant();
    config["each_run"] = moving->averaging() == Averaging::kEachRun;
  }
  if (const auto* moving = dynamic_cast<const MovingAveragePerChannelMinMaxObserver*>(observer)) {
    config["averaging_constant"] = moving->averaging_constant();
  }
  if (const auto* block = dynamic_cast<const BlockMinMaxObserver*>(observer))
    config["mapping"] = text(block->mapping());
  if (const auto* histogram = dynamic_cast<const HistogramObserver*>(observer)) config["bins"] = histogram->bins();
  return config;
}

std::shared_ptr<CallableModule> callable_from_config(const JsonCursor& config, Budget& budget) {
  std::shared_ptr<CallableModule> module = made(config.at("type").to_string(), config, budget);
  if (auto* range = dynamic_cast<RangeObserver*>(module.get()); range != nullptr && config.has("reading")) {
    range->reading = reading_from(config.at("reading").to_string());
  }
  return module;
}

namespace {

// The observers of these names, none of them `module` itself.
std::vector<std::shared_ptr<ObserverBase>> observers_of(const JsonCursor& names, const CallableModule& module,
                                                        const FindModule& find) {
  std::vector<std::shared_ptr<ObserverBase>> found;
  for (const JsonCursor& name : names.elements()) {
    auto observer = std::dynamic_pointer_cast<ObserverBase>(find(name.to_string()));
    if (!observer || observer.get() == &module) {
      throw Error(name.where(), octet::str("no observer is called '", name.to_string(), "'"));
    }
    found.push_back(std::move(observer));
  }
  return found;
}

}  // namespace

void resolve_sources(CallableModule& module, const JsonCursor& config, const FindModule& find) {
  if (auto* pair = dynamic_cast<QatConvBn*>(&module)) {
    if (config.has("weight")) resolve_sources(*pair->weight_fake_quant(), config.at("weight"), find);
    if (config.has("bias")) resolve_sources(*pair->bias_fake_quant(), config.at("bias"), find);
    return;
  }
  if (auto* range = dynamic_cast<RangeObserver*>(&module); range != nullptr && config.has("followers")) {
    range->set_followers(observers_of(config.at("followers"), module, find));
  }
  auto* derived = dynamic_cast<DerivedObserver*>(&module);
  auto* room = dynamic_cast<AccumulatorRoom*>(&module);
  if (auto* fake = dynamic_cast<DerivedFakeQuantize*>(&module)) derived = fake->derived().get();
  if (derived == nullptr && room == nullptr) return;
  std::vector<std::shared_ptr<ObserverBase>> sources = observers_of(config.at("sources"), module, find);
  if (room != nullptr) {
    room->set_sources(std::move(sources));
  } else {
    derived->set_sources(std::move(sources));
  }
}

std::map<std::string, at::Tensor> named_state(const torch::nn::Module& module) {
  std::map<std::string, at::Tensor> all;
  collect(module, "", all);
  return all;
}

void load_state(torch::nn::Module& module, const std::map<std::string, at::Tensor>& state, const std::string& where) {
  at::NoGradGuard no_grad;
  std::map<std::string, at::Tensor> own = named_state(module);
  for (auto& [name, buffer] : own) {
    const auto found = state.find(name);
    if (found == state.end()) throw Error(where, octet::str("buffer '", name, "' is missing"));
    const at::Tensor& value = found->second;
    if (value.scalar_type() != buffer.scalar_type()) {
      throw expected(where, octet::str("dtype of buffer '", name, "'"), dtype_name(buffer.scalar_type()),
                     dtype_name(value.scalar_type()));
    }
    if (buffer.sizes() != value.sizes()) buffer.resize_(value.sizes());
    buffer.copy_(value);
  }
  for (const auto& [name, value] : state) {
    if (!own.contains(name)) throw Error(where, octet::str("buffer '", name, "' belongs to no such module"));
  }
}

NameOfModule names_in(const GraphModule& module) {
  std::map<const torch::nn::Module*, std::string> names;
  for (const std::string& name : module.callable_names()) {
    const auto callable = module.callable(name);
    for (const auto& item : callable->named_modules(name, /*include_self=*/true)) {
      names.emplace(item.value().get(), item.key());
    }
  }
  return [names = std::move(names)](const torch::nn::Module& wanted) {
    const auto found = names.find(&wanted);
    if (found == names.end()) throw Error(wanted.name(), "is referred to, but no part of the graph");
    return found->second;
  };
}

FindModule finder_in(const GraphModule& module) {
  std::map<std::string, std::shared_ptr<torch::nn::Module>> modules;
  for (const std::string& name : module.callable_names()) {
    const auto callable = module.callable(name);
    for (const auto& item : callable->named_modules(name, /*include_self=*/true))
      modules.emplace(item.key(), item.value());
  }
  return [modules = std::move(modules)](const std::string& name) {
    const auto found = modules.find(name);
    return found == modules.end() ? nullptr : found->second;
  };
}

}  // namespace octet

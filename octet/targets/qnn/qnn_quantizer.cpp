#include "octet/targets/qnn/qnn_quantizer.h"

#include "octet/support/error.h"
#include "octet/targets/engine/scope_choice.h"
#include "octet/targets/qnn/target.h"

namespace octet {
namespace {

constexpr const char* kWhere = "QnnQuantizer";
constexpr const char* kOwnScheme = "default";
constexpr int64_t kNoBlocks = -1;

}  // namespace

QnnQuantizer::QnnQuantizer() : TableQuantizer(std::make_shared<targets::Target>(qnn::target()), {}, kWhere) { apply(); }

// The engine finds the default config as a scheme of its own.
void QnnQuantizer::apply() {
  auto target = std::make_shared<targets::Target>(qnn::target());
  const auto mode = config_.is_qat ? QuantizationMode::kQat : QuantizationMode::kPtq;
  target->schemes.insert(
      target->schemes.begin(),
      {kOwnScheme, [config = config_](const targets::QuantizerOptions&) { return quantization_config(config); }, mode});
  made_.clear();
  targets::QuantizerOptions options{.mode = mode, .scheme = kOwnScheme, .overrides = discards_};
  reset(std::move(target), std::move(options), kWhere);
}

QnnQuantizer& QnnQuantizer::set_default_quant_config(const qnn::ModuleQConfig& config) {
  config_ = config;
  apply();
  return *this;
}

QnnQuantizer& QnnQuantizer::set_block_size_map(const std::map<std::string, std::vector<int64_t>>& sizes) {
  std::map<std::string, int64_t> groups;
  for (const auto& [name, size] : sizes) {
    const bool along_inputs =
        size.size() >= 2 && size[1] > 0 &&
        std::count(size.begin(), size.end(), 1) >= static_cast<int64_t>(size.size()) - 1 &&
        (size[1] > 1 || std::count(size.begin(), size.end(), 1) == static_cast<int64_t>(size.size()));
    if (!along_inputs) {
      throw expected(octet::str(kWhere, ": block size of '", name, "'"), "sizes", "(1, b, 1, 1) or (1, b)",
                     octet::str("(", join(", ", size), ")"));
    }
    groups[name] = size[1];
  }
  groups_ = std::move(groups);
  made_.clear();
  return *this;
}

QnnQuantizer& QnnQuantizer::set_submodule_qconfig_list(std::vector<std::pair<Predicate, qnn::ModuleQConfig>> configs) {
  for (const auto& [holds, config] : configs) {
    if (!holds) throw Error(kWhere, "a predicate of a submodule's config is empty");
    if (config.is_qat != config_.is_qat) {
      throw Error(kWhere, "a submodule's config is for another mode than the default one")
          .hint("set the default config first, and is_qat alike in all");
    }
  }
  submodules_ = std::move(configs);
  made_.clear();
  return *this;
}

void QnnQuantizer::discard(const std::string& module, const std::string& op) {
  targets::Override left;
  left.module = module;
  left.op = op;
  left.quantize = false;
  if (std::count(discards_.begin(), discards_.end(), left) == 0) discards_.push_back(std::move(left));
}

QnnQuantizer& QnnQuantizer::add_discard_nodes(const std::vector<std::string>& names) {
  for (const std::string& name : names) discard(name, "");
  apply();
  return *this;
}

QnnQuantizer& QnnQuantizer::add_discard_ops(const std::vector<std::string>& ops) {
  for (const std::string& op : ops) discard("", op);
  apply();
  return *this;
}

QnnQuantizer& QnnQuantizer::add_custom_quant_annotations(std::vector<std::function<void(GraphModule&)>> annotations) {
  annotations_ = std::move(annotations);
  return *this;
}

void QnnQuantizer::annotate(GraphModule& module) {
  TableQuantizer::annotate(module);
  for (const auto& change : annotations_) change(module);
}

const targets::QuantizationConfig* QnnQuantizer::config_of(const Node& node) const {
  size_t chosen = 0;
  while (chosen < submodules_.size() && !submodules_[chosen].first(node)) ++chosen;
  const auto found = groups_.find(node.name());
  const int64_t group = found == groups_.end() ? kNoBlocks : found->second;
  if (chosen == submodules_.size() && group == kNoBlocks) return nullptr;
  const qnn::ModuleQConfig& config = chosen < submodules_.size() ? submodules_[chosen].second : config_;
  const auto [made, fresh] = made_.try_emplace({chosen, group});
  if (fresh) made->second = group == kNoBlocks ? quantization_config(config) : block_config(config, group);
  return &made->second;
}

namespace qnn {

QnnQuantizer::Predicate get_submodule_type_predicate(std::string type) {
  return [type = std::move(type)](const Node& node) {
    const std::vector<std::string> types = targets::module_types(node);
    return std::any_of(types.begin(), types.end(),
                       [&](const std::string& each) { return each.find(type) != std::string::npos; });
  };
}

QnnQuantizer::Predicate get_submodule_name_predicate(std::string name) {
  return [name = std::move(name)](const Node& node) {
    const std::string* path = node.notes().find(kModulePathNote);
    return path != nullptr && path->find(name) != std::string::npos;
  };
}

}  // namespace qnn
}  // namespace octet

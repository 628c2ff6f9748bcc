#include "octet/cli/named_model.h"

#include <algorithm>
#include <filesystem>

#include "octet/cli/common.h"
#include "octet/cli/data.h"
#include "octet/formats/state_dict.h"
#include "octet/graph/record.h"
#include "octet/lowering/batch.h"
#include "octet/models/registry.h"
#include "octet/models/state_dict.h"
#include "octet/support/error.h"
#include "octet/support/log.h"

namespace octet::cli {
namespace {

bool is_there(const std::string& path) {
  std::error_code ignored;
  return std::filesystem::exists(path, ignored);
}

std::shared_ptr<Model> built(const ModelArguments& model) {
  ModelOptions options;
  options.num_classes = model.named.classes;
  options.in_channels = model.named.channels;
  options.width = model.named.width;
  options.dropout = model.named.dropout;
  return in_category(ErrorCategory::kUsage, [&] { return make_model(model.path, options); });
}

void load_weights(Model& net, const ModelArguments& model) {
  const NamedModelArguments& named = model.named;
  if (named.weights.empty()) return log::info("[", model.path, "] has random weights");
  in_category(ErrorCategory::kFile, [&] {
    StateDict state = load_state_dict(named.weights);
    if (named.new_classifier) state = with_own_last_layer(net, state);
    try {
      load_state_dict(net, state, /*strict=*/true, named.weights);
    } catch (const Error& error) {
      throw error.hint(octet::str("weights for ", model.path, "; --new-classifier keeps a fresh last layer"));
    }
    return 0;
  });
}

std::vector<int64_t> example_sizes(const Model& net, const ModelArguments& model) {
  std::vector<int64_t> own = net.sample_shape();
  own.insert(own.begin(), 1);
  if (model.input_sizes.empty()) return own;
  const std::vector<int64_t> given = parse_sizes(model.input_sizes.front());
  if (model.input_sizes.size() > 1 || given.size() != own.size()) {
    throw Error(model.path, octet::str("takes one input of ", own.size(), " sizes, such as ", join(",", own)),
                ErrorCategory::kUsage);
  }
  return given;
}

bool has_option(const std::string& name, const std::string& option) {
  const std::vector<std::string> options = find_model_facts(name).value_or(ModelFacts()).options;
  return std::find(options.begin(), options.end(), option) != options.end();
}

}  // namespace

bool is_named(const ModelArguments& model) { return find_model_facts(model.path) && !is_there(model.path); }

std::shared_ptr<GraphModule> build_named(const ModelArguments& model) {
  const std::shared_ptr<Model> net = built(model);
  load_weights(*net, model);
  net->eval();
  auto graph = export_module(*net, {at::zeros(example_sizes(*net, model))});
  make_batch_flexible(*graph);
  return graph;
}

void settle_by_data(ModelArguments& model, const DataArguments& choice, Split split) {
  NamedModelArguments& named = model.named;
  if (!is_named(model) || (named.classes && named.channels)) return;
  const auto data = open_source(choice, split, built(model)->sample_shape());
  if (!named.classes && data->num_classes() > 0 && has_option(model.path, "num_classes")) {
    named.classes = data->num_classes();
  }
  if (!named.channels && data->image_facts() != nullptr && has_option(model.path, "in_channels")) {
    named.channels = data->sample_shapes().at(0).at(0);
  }
}

void refuse_flags_of_named(const ModelArguments& model) {
  const NamedModelArguments& named = model.named;
  const bool any =
      !named.weights.empty() || named.new_classifier || named.classes || named.channels || named.width || named.dropout;
  if (!any) return;
  throw Error(model.path,
              "is no model by name: --weights, --new-classifier, --classes, --channels, --width and --dropout are for "
              "those of octet models",
              ErrorCategory::kUsage);
}

void refuse_unknown_name(const ModelArguments& model) {
  if (model.path.find_first_of("./") != std::string::npos || is_there(model.path)) return;
  throw Error(model.path, "is neither a file nor a model's name", ErrorCategory::kFile)
      .hint("octet models lists the names");
}

}  // namespace octet::cli

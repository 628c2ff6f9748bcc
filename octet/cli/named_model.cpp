#include "octet/cli/named_model.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <filesystem>
#include <limits>

#include "octet/cli/common.h"
#include "octet/cli/data.h"
#include "octet/formats/state_dict.h"
#include "octet/formats/tflite.h"
#include "octet/graph/record.h"
#include "octet/lowering/batch.h"
#include "octet/lowering/program_graph.h"
#include "octet/models/folded_weights.h"
#include "octet/models/registry.h"
#include "octet/models/state_dict.h"
#include "octet/quantize/qdq.h"
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

// Results of both on drawn samples: what says that the layers stand in the same order and are padded alike. A program
// may have a softmax behind the logits.
double distance(Model& net, GraphModule& program) {
  const at::NoGradGuard no_grad;
  std::vector<int64_t> sizes = net.sample_shape();
  sizes.insert(sizes.begin(), 1);
  auto generator = at::detail::createCPUGenerator(1);
  const at::Tensor sample = at::rand(sizes, generator);
  const std::vector<int64_t>& wanted = program.graph().placeholders().at(0)->sizes();
  at::Tensor given = sample;
  if (sample.sizes() != wanted && sample.dim() == 4) given = sample.permute({0, 2, 3, 1}).contiguous();
  if (given.sizes() != wanted) return std::numeric_limits<double>::infinity();
  net.eval();
  const at::Tensor own = net.forward(sample), of_program = program.forward(given);
  if (own.numel() != of_program.numel()) return std::numeric_limits<double>::infinity();
  const auto apart = [&](const at::Tensor& x) {
    const at::Tensor most = (x.flatten() - of_program.flatten()).abs().max();
    return (most / of_program.abs().max().clamp_min(1e-6)).item<double>();
  };
  return std::min(apart(own), apart(at::softmax(own, -1)));
}

// Of a float .tflite of the same network.
void load_program(Model& net, const ModelArguments& model) {
  constexpr double kSame = 1e-3;
  const std::string& path = model.named.weights;
  if (model.named.new_classifier) {
    throw Error(path, "--new-classifier is for state dicts; train the .tflite itself", ErrorCategory::kUsage);
  }
  const std::shared_ptr<GraphModule> program = load_tflite(path);
  if (is_quantized(*program)) throw Error(path, "is quantized").hint("weights come from the float file");
  try {
    load_folded(net, folded_layers(*program), path);
  } catch (const Error& error) {
    throw error.hint("weights for " + model.path);
  }
  if (!(distance(net, *program) < kSame)) {
    throw Error(path, octet::str("has layers of ", model.path, "'s sizes, but computes something else"))
        .hint("MLPerf Tiny's ResNet8 is tf_resnet8; the .tflite is a model by itself, too");
  }
}

void load_weights(Model& net, const ModelArguments& model) {
  const NamedModelArguments& named = model.named;
  if (named.weights.empty()) return log::info("[", model.path, "] has random weights");
  in_category(ErrorCategory::kFile, [&] {
    if (tflite::is_tflite(named.weights)) {
      load_program(net, model);
      return 0;
    }
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

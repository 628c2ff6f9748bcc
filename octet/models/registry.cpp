#include "octet/models/registry.h"

#include <algorithm>
#include <cctype>
#include <functional>

#include "octet/models/autoencoder.h"
#include "octet/models/cifar_net.h"
#include "octet/models/ds_cnn.h"
#include "octet/models/efficientnet_lite.h"
#include "octet/models/mobilenet_v1.h"
#include "octet/models/mobilenet_v2.h"
#include "octet/models/mobilenet_v3.h"
#include "octet/models/resnet.h"
#include "octet/models/resnet8.h"
#include "octet/models/wake_word.h"
#include "octet/support/error.h"

namespace octet {
namespace {

struct RegistryRow {
  ModelFacts facts;
  /// Of options that the model has; `fine` with small_input.
  std::function<std::shared_ptr<Model>(const ModelOptions&, bool fine)> make;

  bool has(const std::string& option) const {
    return std::find(facts.options.begin(), facts.options.end(), option) != facts.options.end();
  }
};

template <typename Options>
std::vector<std::string> options_of() {
  std::vector<std::string> names;
  if constexpr (requires(Options o) { o.num_classes; }) names.emplace_back("num_classes");
  if constexpr (requires(Options o) { o.in_channels; }) names.emplace_back("in_channels");
  if constexpr (requires(Options o) { o.dropout; }) names.emplace_back("dropout");
  if constexpr (requires(Options o) { o.width; }) names.emplace_back("width");
  if constexpr (requires(Options o) { o.small_input(); }) names.emplace_back("small_input");
  return names;
}

template <typename M>
RegistryRow row(const std::string& name, const std::string& purpose, const std::string& state_dict,
                const typename M::Options& defaults = {}) {
  using Options = typename M::Options;
  const auto make = [defaults](const ModelOptions& given, bool fine) -> std::shared_ptr<Model> {
    Options options = defaults;
    if constexpr (requires { options.small_input(); }) {
      if (given.small_input) options.small_input(fine);
    }
    if constexpr (requires { options.num_classes; }) {
      options.num_classes = given.num_classes.value_or(options.num_classes);
    }
    if constexpr (requires { options.in_channels; }) {
      options.in_channels = given.in_channels.value_or(options.in_channels);
    }
    if constexpr (requires { options.dropout; }) options.dropout = given.dropout.value_or(options.dropout);
    if constexpr (requires { options.width; }) options.width = given.width.value_or(options.width);
    return std::make_shared<M>(options);
  };
  return {{name, purpose, state_dict, options_of<Options>()}, make};
}

constexpr const char* kOwn = "octet's own";
constexpr const char* kImageNet = "classes of ImageNet";
constexpr const char* kCifar = "classes of 32x32 images, CIFAR-10";

const std::vector<RegistryRow>& registry() {
  static const std::vector<RegistryRow> rows = {
      row<MobileNetV2>("mobilenet_v2", kImageNet, "torchvision's"),
      row<MobileNetV3>("mobilenet_v3_small", kImageNet, "torchvision's"),
      row<MobileNetV3>("mobilenet_v3_large", kImageNet, "torchvision's", {.large = true}),
      row<ResNet>("resnet18", kImageNet, "torchvision's"),
      row<ResNet>("resnet50", kImageNet, "torchvision's", {.blocks = {3, 4, 6, 3}, .bottleneck = true}),
      row<EfficientNetLite>("efficientnet_lite0", kImageNet, "timm's"),
      row<EfficientNetLite>("tf_efficientnet_lite0", kImageNet, "timm's", {.tensorflow = true}),
      row<ResNet8>("resnet8", std::string(kCifar) + " (MLPerf Tiny)", kOwn),
      row<ResNet8>("tf_resnet8", std::string(kCifar) + " (MLPerf Tiny's own padding)", kOwn, {.tensorflow = true}),
      row<CifarNet>("cifarnet", std::string(kCifar) + " (NXP's example)", kOwn),
      row<DsCnn>("ds_cnn", "keyword spotting, MFCCs of a second (MLPerf Tiny)", kOwn),
      row<MobileNetV1>("mobilenet_v1", "visual wake words, is a person there (MLPerf Tiny)", kOwn),
      row<Autoencoder>("autoencoder", "anomalies in sounds of machines (MLPerf Tiny)", kOwn),
      row<WakeWord>("wake_word", "streaming wake word, log-mel frames (MLPerf Tiny)", kOwn)};
  return rows;
}

/// A row and what the rest of a name says: "mobilenet_v2" and "_w050_small".
struct NamedModel {
  const RegistryRow* row;
  std::optional<double> width;
  bool small = false;
  bool fine = false;
};

bool take_end(std::string& text, const std::string& end) {
  if (!text.ends_with(end)) return false;
  text.resize(text.size() - end.size());
  return true;
}

/// "_w050", in hundredths.
std::optional<double> width_of(const std::string& text) {
  if (!text.starts_with("_w") || text.size() < 4 || text.size() > 5) return std::nullopt;
  const std::string digits = text.substr(2);
  if (!std::all_of(digits.begin(), digits.end(), [](unsigned char c) { return std::isdigit(c) != 0; })) {
    return std::nullopt;
  }
  return std::stoi(digits) / 100.0;
}

std::optional<NamedModel> find_model(const std::string& name) {
  for (const RegistryRow& each : registry()) {
    if (!name.starts_with(each.facts.name)) continue;
    std::string rest = name.substr(each.facts.name.size());
    NamedModel found{&each, std::nullopt};
    if (each.has("small_input")) {
      found.fine = take_end(rest, "_fine");
      found.small = found.fine || take_end(rest, "_small");
    }
    if (each.has("width")) {
      found.width = width_of(rest);
      if (found.width) rest.clear();
    }
    if (rest.empty()) return found;
  }
  return std::nullopt;
}

}  // namespace

std::vector<ModelFacts> known_models() {
  std::vector<ModelFacts> all;
  for (const RegistryRow& each : registry()) all.push_back(each.facts);
  return all;
}

std::vector<std::string> model_names() {
  std::vector<std::string> names;
  for (const RegistryRow& each : registry()) {
    names.push_back(each.facts.name + (each.has("width") ? "[_wNNN]" : "") +
                    (each.has("small_input") ? "[_small|_fine]" : ""));
  }
  return names;
}

std::optional<ModelFacts> find_model_facts(const std::string& name) {
  const std::optional<NamedModel> found = find_model(name);
  return found ? std::optional(found->row->facts) : std::nullopt;
}

std::shared_ptr<Model> make_model(const std::string& name, const ModelOptions& options) {
  const std::optional<NamedModel> found = find_model(name);
  if (!found) throw expected("make_model", "name", join(", ", model_names()), "'" + name + "'");
  const auto refuse = [&](const char* option, bool is_given) {
    if (is_given && !found->row->has(option)) throw Error(name, str("has no option '", option, "'"));
  };
  refuse("num_classes", options.num_classes.has_value());
  refuse("in_channels", options.in_channels.has_value());
  refuse("dropout", options.dropout.has_value());
  refuse("width", options.width.has_value());
  refuse("small_input", options.small_input);
  if (options.width && found->width && *options.width != *found->width) {
    throw expected(name, "width", str(*found->width, ", as the name says"), str(*options.width));
  }
  ModelOptions chosen = options;
  if (!chosen.width) chosen.width = found->width;
  chosen.small_input = options.small_input || found->small;
  return found->row->make(chosen, found->fine);
}

}  // namespace octet

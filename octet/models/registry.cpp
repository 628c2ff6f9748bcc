#include "octet/models/registry.h"

#include <algorithm>
#include <cctype>

#include "octet/models/cifar_net.h"
#include "octet/models/mobilenet_v2.h"
#include "octet/models/resnet8.h"
#include "octet/support/error.h"

namespace octet {
namespace {

void refuse(const std::string& name, const char* option, bool given) {
  if (given) throw Error(name, str("has no option '", option, "'"));
}

Error unknown(const std::string& name) {
  std::string names;
  for (const std::string& known : model_names()) names += (names.empty() ? "" : ", ") + known;
  return expected("make_model", "name", names, "'" + name + "'");
}

bool take_suffix(std::string& name, const std::string& suffix) {
  if (name.size() < suffix.size() || name.compare(name.size() - suffix.size(), suffix.size(), suffix) != 0)
    return false;
  name.resize(name.size() - suffix.size());
  return true;
}

/// "_w050" at the end of a name, in hundredths.
std::optional<double> take_width(std::string& name) {
  size_t at = name.rfind("_w");
  if (at == std::string::npos || name.size() - at < 4 || name.size() - at > 5) return std::nullopt;
  std::string digits = name.substr(at + 2);
  if (!std::all_of(digits.begin(), digits.end(), [](unsigned char c) { return std::isdigit(c) != 0; })) {
    return std::nullopt;
  }
  name.resize(at);
  return std::stoi(digits) / 100.0;
}

}  // namespace

std::vector<std::string> model_names() { return {"cifarnet", "resnet8", "mobilenet_v2[_wNNN][_small|_fine]"}; }

std::shared_ptr<Model> make_model(const std::string& name, const ModelOptions& options) {
  if (name == "cifarnet" || name == "resnet8") {
    refuse(name, "width", options.width.has_value());
    refuse(name, "dropout", options.dropout.has_value());
    if (name == "resnet8") {
      return std::make_shared<ResNet8>(options.num_classes.value_or(10), options.in_channels.value_or(3));
    }
    refuse(name, "in_channels", options.in_channels.value_or(3) != 3);
    return std::make_shared<CifarNet>(options.num_classes.value_or(10));
  }
  std::string base = name;
  MobileNetV2Options mobilenet;
  if (take_suffix(base, "_fine")) {
    mobilenet.small_input(/*fine=*/true);
  } else if (take_suffix(base, "_small") || options.small_input) {
    mobilenet.small_input();
  }
  if (std::optional<double> width = take_width(base)) mobilenet.width = *width;
  if (base != "mobilenet_v2") throw unknown(name);
  mobilenet.width = options.width.value_or(mobilenet.width);
  mobilenet.num_classes = options.num_classes.value_or(mobilenet.num_classes);
  mobilenet.in_channels = options.in_channels.value_or(mobilenet.in_channels);
  mobilenet.dropout = options.dropout.value_or(mobilenet.dropout);
  return std::make_shared<MobileNetV2>(mobilenet);
}

}  // namespace octet

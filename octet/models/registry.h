#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "octet/models/model.h"
#include "octet/support/api.h"

namespace octet {

/// What `make_model` can vary; unset fields keep the model's own default.
struct ModelOptions {
  std::optional<int64_t> num_classes = {};
  std::optional<int64_t> in_channels = {};
  std::optional<double> dropout = {};
  /// Times the channels of the layers: torchvision's width_mult.
  std::optional<double> width = {};
  /// MobileNetV2 with strides for 32x32 images.
  bool small_input = false;
};

/// A model that octet knows by name.
struct ModelFacts {
  std::string name;
  std::string purpose;               ///< what it is for, in a few words
  std::string state_dict;            ///< whose names its parameters have: "torchvision's resnet18", "octet's own"
  std::vector<std::string> options;  ///< the fields of ModelOptions that it has
};

/// All of them, in the order of help texts.
OCTET_API std::vector<ModelFacts> known_models();

/// A model by name, with an optional width in hundredths where it has one (`mobilenet_v2_w025`,
/// `mobilenet_v3_large_w075`); MobileNetV2 also with `_small` or `_fine` for 32x32 images (`mobilenet_v2_w050_small`;
/// MobileNetV2Options::small_input). Its weights are random, by libtorch's default generator; load_state_dict
/// (state_dict.h) fills in trained ones. Throws octet::Error listing the names, or naming an option that the model does
/// not have.
OCTET_API std::shared_ptr<Model> make_model(const std::string& name, const ModelOptions& options = {});

/// What the name stands for, with all that make_model takes behind it; nullopt where there is no such model.
OCTET_API std::optional<ModelFacts> find_model_facts(const std::string& name);

/// The names that make_model takes, for help texts: "mobilenet_v3_small[_wNNN]".
OCTET_API std::vector<std::string> model_names();

}  // namespace octet

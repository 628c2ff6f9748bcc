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
  std::optional<double> width = {};
  /// MobileNetV2 with strides for 32x32 images.
  bool small_input = false;
};

/// A model by name: `cifarnet`, `resnet8`, `mobilenet_v2`, the last with an optional width in hundredths and `_small`
/// or `_fine` for 32x32 images (`mobilenet_v2_w025`, `mobilenet_v2_w050_small`; MobileNetV2Options::small_input).
/// Throws octet::Error listing the names, or naming an option that the model does not have.
OCTET_API std::shared_ptr<Model> make_model(const std::string& name, const ModelOptions& options = {});

/// The names that make_model takes, for help texts.
OCTET_API std::vector<std::string> model_names();

}  // namespace octet

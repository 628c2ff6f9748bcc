#pragma once

#include <memory>
#include <string>

#include "octet/graph/graph_module.h"
#include "octet/train/loader.h"

namespace octet {

/// How far BatchNorm's running variances lie from those that the data have.
struct StatisticsGap {
  double ratio = 1;  ///< of the layer where they lie farthest: the median over its channels, the greater by the smaller
  std::string where;  ///< its name; empty for a model without running statistics
  bool is_wide() const { return ratio > kWide; }
  static constexpr double kWide = 4;
};

/// Of a float model, on the first batch of the loader's first pass. The model is left as it was; what it draws by
/// chance (dropout) moves the process's generator.
StatisticsGap statistics_gap(const std::shared_ptr<GraphModule>& model, const Loader& loader, bool channels_last);

/// "BatchNorm's running variances are not those of the data: at 'features.1.bn' they are 40 times apart. ..."
std::string text(const StatisticsGap& gap);

}  // namespace octet

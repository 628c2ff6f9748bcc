#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "octet/graph/node.h"

namespace octet::targets {

/// A norm over the rows of a matrix, and the sizes in which weight and bias meet its result.
struct Norm {
  Node* x = nullptr;
  int64_t rows = 0;
  int64_t width = 0;
  double eps = 0.0;
  bool centered = true;
  std::vector<int64_t> affine = {};
  std::vector<int64_t> order = {};  ///< of the dimensions, the row's last; empty: as they are
  bool is_unit = false;             ///< rows become of length 1: divided by that, or by eps where it is less
};

/// What a call of layer_norm, rms_norm, group_norm, instance_norm or a division by lengths is, where it can be made of
/// other operators; nullopt for other calls, for rows too long for an accumulator, for statistics that are kept.
std::optional<Norm> norm_of(const Node& node);

}  // namespace octet::targets

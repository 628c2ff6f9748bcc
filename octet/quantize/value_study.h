#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "octet/graph/graph_module.h"
#include "octet/support/api.h"

namespace octet {

/// How the elements of a value lie between its least and its greatest finite one.
struct Histogram {
  double low = 0, high = 0;
  std::vector<int64_t> counts;  ///< of equal bins; empty where there is no finite element
};

/// A value of a quantized model beside its grid: an input or a result of an operator, as the float model computes it,
/// or a weight, as it is stored.
struct ValueStudy {
  std::string name;   ///< of the node in the quantized model; of a weight, of the operator that reads it
  std::string where;  ///< of the operator, for people
  bool is_weight = false;
  Histogram histogram;
  int64_t elements = 0;
  double middle_low = 0, middle_high = 0;  ///< between which 99.8 % of the elements lie, to a bin
  double grid_low = 0, grid_high = 0;      ///< the ends of its grid; of a grid a channel, the widest
  int64_t scales = 0;                      ///< how many scales it has; 0: it is on no grid
  double clipped = 0;                      ///< share of the elements beyond the grid; of a weight, at the ends of it
  double used_levels = 0;                  ///< of a grid of one scale: how many levels lie between low and high
  int64_t channels = 0;                    ///< of a weight: output channels
  int64_t dead_channels = 0;               ///< of these, without an element other than 0
  double shift = 0;  ///< mean of what quantization changes, as a part of its root mean square: -1 to 1; of a value
};

/// Of every input and operator that both models have, over one run of both on `inputs`, and of every weight that is
/// stored in integers, in graph order. Neither model changes. Throws octet::Error as compare_models() does.
OCTET_API std::vector<ValueStudy> study_values(GraphModule& float_model, GraphModule& quantized,
                                               const std::vector<at::Tensor>& inputs);

}  // namespace octet

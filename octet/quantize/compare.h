#pragma once

#include <string>
#include <vector>

#include "octet/graph/graph_module.h"
#include "octet/support/api.h"

namespace octet {

/// Note on a node that stands for several of the float model: the name of the last of them. A
/// convolution that a BatchNorm was folded into carries the BatchNorm's name.
inline const NoteKey<std::string> kFloatNameNote("float_name");

/// The node of the float model that a node of a quantized or prepared one stands for: by its note, else of its own
/// name.
OCTET_API std::string float_name(const Node& node);

/// One operator of a quantized or prepared model against the same value of the float model.
struct LayerComparison {
  std::string name;        ///< in the quantized model
  std::string float_name;  ///< in the float model
  std::string op;
  double sqnr_db = 0.0;    ///< 20 log10(|float| / |float - quantized|) of what is finite: infinite where equal
  int64_t infinities = 0;  ///< elements that are infinite in the float model, which no grid holds
};

struct Comparison {
  std::vector<double> output_sqnr_db;      ///< one for each result
  std::vector<int64_t> output_infinities;  ///< the same: its infinite elements in the float model
  std::vector<LayerComparison> layers;     ///< worst first
};

/// Runs both on `inputs` and compares the results and, by name, the value of every operator that both have: for a
/// quantized one as its readers see it, behind the quantize and dequantize that follow. Neither model changes. Throws
/// octet::Error where inputs or results differ in number or shape.
OCTET_API Comparison compare_models(GraphModule& float_model, GraphModule& quantized,
                                    const std::vector<at::Tensor>& inputs);

}  // namespace octet

#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "octet/graph/graph_module.h"
#include "octet/quantize/rows.h"
#include "octet/support/api.h"

namespace octet {

/// Note on a node that stands for several of the float model: the name of the last of them. A
/// convolution that a BatchNorm was folded into carries the BatchNorm's name.
inline const NoteKey<std::string> kFloatNameNote("float_name");

/// The node of the float model that a node of a quantized or prepared one stands for: by its note, else of its own
/// name.
OCTET_API std::string float_name(const Node& node);

/// The nodes of a float model by the names that others have for them: their own, else those that a target's passes have
/// noted on them, which stand for the model as it was opened.
class FloatNodes {
 public:
  explicit FloatNodes(const GraphModule& float_model);
  /// What `node` of a quantized or prepared model stands for; null where there is none.
  const Node* of(const Node& node) const;

 private:
  const GraphModule& model_;
  std::map<std::string, const Node*> noted_;
};

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

/// What quantization costs one value while everything before it is exact: the float model's values, rounded to the
/// grids that the operator reads.
struct ValueLoss {
  std::string name;                 ///< of the operator or input, in the quantized model
  std::string where;                ///< of it, for messages
  double sqnr_db = 0.0;             ///< of the value on the grid that its readers see
  double inputs_sqnr_db = 0.0;      ///< of the worst input that is rounded to a grid; infinite where there is none
  double readers_sqnr_db = 0.0;     ///< of the worst that reads it, or of what reads that; -infinite for results
  double low = 0.0, high = 0.0;     ///< of the float value
  double clipped = 0.0;             ///< share of it that lies more than a step beyond the grid
  std::optional<QuantRecord> grid;  ///< the one that cuts off the most, and what reads it
  std::string reader;
  std::string shares_with;  ///< an operator of several inputs that reads it and has the same grid; may be empty
  /// Of what finds places (topk, argmax): how many are others than the float model's, of how many; `grid`, `low` and
  /// `high` are those of the scores.
  int64_t moved_places = 0, places = 0;
  std::string scores;  ///< what computes them
};

/// Of every operator and input that both models have, in graph order, over these samples. Infinite elements count for
/// nothing. Neither model changes. Throws octet::Error as compare_models() does.
OCTET_API std::vector<ValueLoss> value_losses(GraphModule& float_model, GraphModule& quantized,
                                              const std::vector<std::vector<at::Tensor>>& samples);

}  // namespace octet

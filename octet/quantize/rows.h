#pragma once

#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "octet/graph/graph_module.h"
#include "octet/support/api.h"

namespace octet {

/// The grid of one quantized value, as the quantize or dequantize at it says.
struct QuantRecord {
  std::vector<double> scale;  ///< one, or one per channel
  std::vector<int64_t> zero_point;
  std::optional<int64_t> axis;           ///< of the channels; per tensor: none
  std::vector<int64_t> block_size = {};  ///< a scale for each block of this shape, in row-major order; empty: none
  int64_t quant_min = 0;
  int64_t quant_max = 0;
  std::string dtype;  ///< "int8"
  /// The operator that finds scale and zero point in each run, "choose_qparams.tensor"; empty where they are known, and
  /// then `eps` is absent. A record has one or the other.
  std::string dynamic = {};
  std::string mapping = {};  ///< of "choose_qparams_affine", which has no eps: "asymmetric"
  std::optional<double> eps = {};
  bool operator==(const QuantRecord&) const = default;
};

/// One input or operator of a quantized program.
struct QuantRow {
  std::string op;    ///< "input", or the op's text
  std::string name;  ///< of the node; not part of the JSON
  /// For each tensor argument in order, lists flattened: the dequantize before it; nullopt where it is float.
  std::vector<std::optional<QuantRecord>> inputs;
  /// The quantize behind it; nullopt where none follows.
  std::optional<QuantRecord> output;
  /// Of an operator with several results (split): those of the results that are read, in order; `output` is nullopt
  /// then. Empty where all are float.
  std::vector<std::optional<QuantRecord>> outputs = {};
  /// The grids of consumers, onto which the value goes over from `output`'s.
  std::vector<QuantRecord> then = {};
};

/// A row per input and per operator in graph order; quantize, dequantize and getitem left out. Observers of a prepared
/// model are no operators; a simulated conv-bn is a row of its convolution.
OCTET_API std::vector<QuantRow> quantization_rows(const GraphModule& module);

/// The array of rows with the keys op, inputs, output, and where there are any outputs and then; of records scale,
/// zero_point, axis, quant_min, quant_max, dtype, or dynamic, quant_min, quant_max, eps, dtype; and mapping,
/// block_size.
OCTET_API nlohmann::ordered_json to_json(const std::vector<QuantRow>& rows);
/// The array as text, a row a line.
OCTET_API std::string rows_text(const std::vector<QuantRow>& rows);
/// The inverse; throws octet::Error naming the row that is no such object.
OCTET_API std::vector<QuantRow> rows_from_json(const nlohmann::ordered_json& array);

}  // namespace octet

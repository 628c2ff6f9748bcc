#pragma once

#include <optional>
#include <string>
#include <vector>

#include "octet/graph/graph_module.h"
#include "octet/support/api.h"
#include "octet/targets/engine/target.h"

namespace octet::targets {

/// Where one operator runs, and why.
struct OperatorPlacement {
  std::string op;                       ///< "aten.conv2d.default"
  std::string name;                     ///< of the node
  std::string where;                    ///< as errors name it: "conv2d 'features.0.0'"
  std::optional<int64_t> partition;     ///< of the NPU, or whatever the target is; nullopt: the CPU
  std::string reason;                   ///< why not the NPU; empty where it is there
  std::string way_out;                  ///< what would bring it there; may be empty
  std::vector<std::string> conditions;  ///< what only calibration can tell
  int64_t macs = 0;                     ///< at the example batch
  int64_t bytes = 0;                    ///< of the parameters and constants that it reads
};

/// A value that crosses between the NPU and the CPU, or between two partitions.
struct Transition {
  std::string from;
  std::string to;
};

struct OCTET_API Placement {
  std::string target;
  bool by_patterns = false;  ///< says what is quantized (plan_placement.h), and nothing of processors
  int64_t partitions = 0;
  std::vector<OperatorPlacement> operators;  ///< in graph order; quantize, dequantize and getitem left out
  std::vector<Transition> transitions;       ///< between operators; model inputs and results left out

  int64_t macs() const;
  int64_t npu_macs() const;
  int64_t bytes() const;
  int64_t npu_bytes() const;
  int64_t on_cpu() const;
};

/// Bytes of the parameters and constants that an operator reads.
int64_t static_bytes(const GraphModule& module, const Node& node);

/// Places every operator of a quantized program, whose shapes must be known (propagate_shapes): by the rows of the
/// operator table, then by partitions, again and again until every partition stands (one that computes nothing does
/// not). `scales_known` false: what depends on a scale becomes a condition. Throws octet::Error where a shape is
/// unknown.
OCTET_API Placement place(const GraphModule& quantized, const Target& target, bool scales_known = true);

}  // namespace octet::targets

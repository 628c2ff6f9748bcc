#pragma once

#include <optional>
#include <string>
#include <vector>

#include "octet/formats/tflite.h"
#include "octet/graph/graph.h"

namespace octet::lowering {

/// The node of the converted graph that an operator comes from.
struct OperatorSource {
  std::string node;
  std::string model_node;  ///< the operator of the float model that it stands for, where passes changed it
  std::string op;          ///< what the node calls, "aten.silu.default"; files say it of parts in float and of GATHER
  bool operator==(const OperatorSource&) const = default;
};

/// The node of the converted graph whose value this is; no name: of none.
struct ValueSource {
  std::string node;
  bool channels_last = false;  ///< NHWC of the node's NCHW
  bool operator==(const ValueSource&) const = default;
};

/// Where the operators and tensors of a lowered program come from, by their indices.
struct ProgramFacts {
  std::vector<OperatorSource> operators;
  std::vector<ValueSource> tensors;
  bool operator==(const ProgramFacts&) const = default;
};

/// Writes the facts into the model's metadata (kProgramFacts).
void set_facts(tflite::Model& model, const ProgramFacts& facts);

/// What set_facts wrote; nullopt for files of others, and where the metadata is not that of these operators and
/// tensors.
std::optional<ProgramFacts> facts_of(const tflite::Model& model);

/// The node of `graph` behind each tensor of the program, with its layout; nullptr where there is none. By the facts; a
/// file without them is joined by the names of its tensors, NHWC wherever only that fits.
struct NodeValue {
  const Node* node = nullptr;
  bool channels_last = false;
};
std::vector<NodeValue> node_values(const tflite::Model& model, const Graph& graph);

}  // namespace octet::lowering

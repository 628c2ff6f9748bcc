#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "octet/graph/node.h"
#include "octet/lowering/batch.h"
#include "octet/lowering/stats.h"

namespace octet::lowering {

class OperatorLowering;

/// How an operator stands to the layout of its activations.
enum class Layout {
  kAny,                  ///< takes and keeps the layout of what it reads
  kChannelsFirst,        ///< reads and gives NCHW, which the program keeps as NHWC
  kChannelsFirstSlopes,  ///< the same where it has more than one slope and more than two dimensions, else any
  kReduces,              ///< any with keepdim; without, the layout ends here
  kReshapes,             ///< the layout ends here
};

/// What an operator computes in, and on whose grid.
enum class Arithmetic {
  kInteger,  ///< int8, from its inputs' grids to that of the quantize behind it
  kMoves,    ///< values pass unchanged: the result is on the grid of the first input, whatever that is
  kPicks,    ///< the same by a kernel of int8 that compares or averages them: pools, resizes, the greatest of some
  kOneGrid,  ///< int8, all inputs on the grid of the result
  kClip,     ///< as kInteger at an activation's bounds, as kMoves at others
  kFloat,    ///< float32 alone
};

/// One row of the table of operators: what octet knows of each beyond its schema (and its traits, octet/graph/trait.h).
struct OperatorRow {
  std::vector<std::string> ops;
  Layout layout = Layout::kAny;
  Arithmetic arithmetic = Arithmetic::kInteger;
  bool auxiliary = false;     ///< may stand between an operator and its quantize or dequantize
  double reach = 0.0;         ///< where inputs beyond -reach .. reach change nothing; 0: everywhere they do
  std::string_view builtins;  ///< TFLite operators that it becomes; empty where it vanishes
  void (*lower)(OperatorLowering&) = nullptr;  ///< nullptr: TFLite has nothing for it
  SamplesRule samples = nullptr;               ///< whether it keeps samples apart; nullptr: only running it tells
  MacsRule macs = nullptr;                     ///< its multiply-accumulates; nullptr: it has none
};

const std::vector<OperatorRow>& operator_rows();

/// The row of a node's op, or nullptr.
const OperatorRow* find_operator(const Node& node);
/// The same where TFLite can express it.
const OperatorRow* find_lowering_rule(const Node& node);
const OperatorRow* find_lowering_rule(OpName op);

/// True where values pass unchanged through the node, on the grid that they come on.
bool moves_values(const Node& node);
/// True where its kernel of integers is one of int8; false too of what is computed in float alone.
bool computes_in_int8(const Node& node);

/// Views, permutations and activations, which may stand between an operator and its quantize or dequantize.
bool is_auxiliary(const Node& node);

}  // namespace octet::lowering

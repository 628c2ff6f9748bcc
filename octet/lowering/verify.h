#pragma once

#include <string>
#include <vector>

#include "octet/formats/tflite.h"
#include "octet/graph/graph_module.h"
#include "octet/support/api.h"

namespace octet {

/// How far a value in integers is from the same value in float, rounded to its grid.
struct Deviation {
  int64_t different = 0;      ///< elements that are off by half a step or more
  int64_t beyond_a_step = 0;  ///< by more than one step
  double most_steps = 0.0;  ///< the largest, in steps of the value's scale; where it is float: 1/256 of its range, or,
                            ///< where all of it is one number, of that number (of 1 where that is 0)
  double sqnr_db = 0.0;     ///< infinite where equal
};

/// One value of the int8 program beside that of the quantize-dequantize program.
struct ValueDeviation {
  std::string name;  ///< of the node; of the tensor where no node gives it
  std::string op;    ///< TFLite's: "CONV_2D"
  int64_t elements = 0;
  Deviation whole;  ///< in the run of the whole program: with what came before
  Deviation alone;  ///< of this operator alone, given the float program's values
};

struct OCTET_API Verification {
  std::vector<ValueDeviation> outputs;
  std::vector<ValueDeviation> layers;  ///< in order of execution: those that both programs have
  /// The first layer that differs; nullptr where none does.
  const ValueDeviation* first_difference() const;
};

/// Runs the converted program in float, on its quantize and dequantize nodes, and the int8 program in integers on the
/// same inputs, and compares results and every value that both have. What `lower` wrote says which values these are;
/// in any other file of that model they are the tensors that carry a node's name. Inputs as the converted program takes
/// them. Throws octet::Error where the two do not have the same inputs and outputs.
OCTET_API Verification verify(GraphModule& converted, const tflite::Model& program,
                              const std::vector<at::Tensor>& inputs);

}  // namespace octet

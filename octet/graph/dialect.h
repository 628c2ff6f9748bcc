#pragma once
// Internal to octet/graph: how torch.export writes a call that C++ or TorchScript dispatches in another form.

#include <string>
#include <vector>

#include "octet/graph/arg.h"
#include "octet/graph/op.h"

namespace octet::dialect {

struct Call {
  std::string op;
  std::vector<Arg> args;
};

/// The call as Python's functions would have made it. Same value for the same inputs, to the bit.
Call as_exported(const Op& op, std::vector<Arg> args);

}  // namespace octet::dialect

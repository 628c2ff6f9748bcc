#pragma once

#include "octet/support/api.h"

namespace octet {

/// A submodule of a graph that wants to know where one run of the program ends and the next begins.
class OCTET_API RunListener {
 public:
  virtual ~RunListener() = default;
  /// Called before each run of a GraphModule that calls it.
  virtual void begin_run() = 0;
};

}  // namespace octet

#pragma once

#include <map>

#include "octet/quantize/spec.h"

namespace octet::targets {

/// Follows shared specs to the one that makes the observer. In a row of nodes each shares the one before it: where that
/// one's row ends is remembered, so that every step is made once. Nodes are asked about once they are decided.
class SharedRows {
 public:
  /// The spec that makes the observer of the value, its own or one that it shares; nullptr where it has none.
  const AnySpec* concrete_output(Node* producer);
  /// The grid known beforehand that the value lies on, by its own spec or by the output that it shares; else nullptr.
  const FixedQParamsQuantizationSpec* fixed_grid(Node* producer);

 private:
  struct End {
    EdgeOrNode place;
    bool through_edge = false;  // an edge lies on the way
  };

  End end_of(const EdgeOrNode& start);

  std::map<EdgeOrNode, End> ends_;  // of places that share another's spec
};

}  // namespace octet::targets

#pragma once

#include "octet/graph/graph_module.h"

namespace octet::targets {

/// In an annotated graph: elements of constants at float16's ends and beyond them (-inf of a mask) become as many
/// levels as the widest grid has that a reader gives its result: a number that still hides what it is added to.
/// Constants whose readers' results have no grid stay as they are.
void fit_infinities(GraphModule& module);

}  // namespace octet::targets

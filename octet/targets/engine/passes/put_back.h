#pragma once

#include "octet/graph/graph.h"

namespace octet::targets {

// How what was written into a view comes back into what it is a view of.

/// A slice, also with a step, a select, a diagonal, a view, a permutation; or an operator that gives its first argument
/// as it is. Takes no part of dimension 0 where another batch would take another, unless `of_constant`. False where no
/// way is known.
bool can_put_back(const Node& view, bool of_constant);

/// True for a view that shows less than the whole.
bool shows_a_part(const Node& view, bool of_constant);

/// `whole` with `value` where `view` shows it, at the graph's insert point; `value` itself where the view gives its
/// first argument as it is. Of a concatenation, those of its values that are left whole are taken, not parts of it.
Node* put_back(const Node& view, Node* whole, Node* value, bool of_constant);

/// Its result is its first argument as a whole, written or not.
bool is_the_same_value(const Node& node);

}  // namespace octet::targets

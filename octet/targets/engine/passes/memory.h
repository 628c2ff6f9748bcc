#pragma once

#include <unordered_map>
#include <unordered_set>

#include "octet/graph/graph.h"

/// What the passes share that look at operators in place.
namespace octet::targets {

/// The input in whose memory a value may lie; nullptr where it has its own.
const Node* may_share_with(const Node& node);

/// True where an operator behind `place` reads the memory of `owner`, a value with its own, in whatever view. What
/// reads `copies` of it counts too: they may vanish.
bool is_read_behind(const Node& owner, const Node& place, const std::unordered_set<const Node*>& copies = {});

/// True where an operator behind `place` writes the memory that the value lies in.
bool is_written_behind(const Node& value, const Node& place);

/// The values that lie in memory which an operator in place changes for readers that do not read its result, with the
/// operator: on grids, in memory of their own, they would miss the change. Readers of theirs are among them.
std::unordered_map<const Node*, const Node*> changed_for_others(const Graph& graph);

/// Which values lie in the same memory, and the last operator that writes there, of a graph as it is now.
class Memory {
 public:
  explicit Memory(const Graph& graph);

  /// True where an operator writes the value, wherever it stands.
  bool is_written(const Node& value) const { return last_write_.count(owner_.at(&value)) > 0; }

  /// True where an operator behind `place` writes the value.
  bool is_written_behind(const Node& value, const Node& place) const;

  /// True where nothing behind a copy reads what it is a copy of: it may be written in the place of the copy. Other
  /// `copies` count as readers as far as theirs do, since they may vanish too.
  bool is_read_last_by(const Node& copy, const std::unordered_set<const Node*>& copies) const;

 private:
  const Graph& graph_;
  std::unordered_map<const Node*, const Node*> owner_;
  std::unordered_map<const Node*, const Node*> last_write_;
};

}  // namespace octet::targets

#pragma once

#include <functional>
#include <map>
#include <vector>

#include "octet/graph/graph.h"
#include "octet/quantize/spec.h"

namespace octet {

/// Which edges and outputs use one observer. Made from the annotations of a whole graph; the outcome does not depend on
/// the order in which nodes were annotated or are visited.
struct SharingGroups {
  struct Group {
    AnySpec spec;  ///< concrete: never a SharedQuantizationSpec
    std::vector<EdgeOrNode> members;
  };
  /// In graph order of their first member; groups with a derived spec stand behind those that they derive from.
  std::vector<Group> groups;
  std::map<EdgeOrNode, size_t> group_of;

  /// The group of an edge or output, or nullptr where it is not quantized.
  const Group* find(const EdgeOrNode& place) const;
};

/// Resolves every annotated edge and output to a group.
///
/// A SharedQuantizationSpec joins its anchor. An edge into a node that allows implicit sharing also joins the other
/// edges of the same producer, and then the producer's output, where the specs that they resolve to are equal, observer
/// included. Sharing is transitive. Edges for which `alone` holds take no part in implicit sharing.
///
/// Throws octet::Error naming the edge: an anchor that has no spec, anchors that form a circle, a derived spec without
/// its source, an invalid spec, a ch_axis outside the tensor.
SharingGroups resolve_sharing(const Graph& graph, const std::function<bool(const EdgeOrNode&)>& alone = nullptr);

}  // namespace octet

#pragma once

#include "octet/formats/allowed_operators.h"
#include "octet/formats/json.h"
#include "octet/graph/graph_module.h"

namespace octet {

/// A graph as JSON: an array of nodes in order, each with kind, name, target, args, metas, and those of its notes that
/// are texts, bools and ints.
nlohmann::json graph_to_json(const Graph& graph);
/// Adds the nodes to an empty graph, their operators allowed, calls checked against their schemas. Throws octet::Error
/// naming the place in the document, and what `budget` throws where nodes and arguments would take more memory than is
/// left of it.
void graph_from_json(const JsonCursor& nodes, Graph& graph, const AllowedOperators& operators, Budget& budget);

}  // namespace octet

#include "octet/quantize/sharing.h"

#include "octet/support/error.h"

namespace octet {
namespace {

class UnionFind {
 public:
  explicit UnionFind(size_t size) : parent_(size) {
    for (size_t i = 0; i < size; ++i) parent_[i] = i;
  }
  size_t root(size_t i) {
    while (parent_[i] != i) i = parent_[i] = parent_[parent_[i]];
    return i;
  }
  void join(size_t a, size_t b) {
    a = root(a);
    b = root(b);
    // The earlier place stays the root, so that the result is the same whatever the order of joins.
    parent_[std::max(a, b)] = std::min(a, b);
  }

 private:
  std::vector<size_t> parent_;
};

struct Place {
  EdgeOrNode key;
  const AnySpec* spec;
};

std::optional<int64_t> channel_axis(const AnySpec& spec) {
  if (const auto* plain = std::get_if<QuantizationSpec>(&spec)) return plain->ch_axis;
  if (const auto* derived = std::get_if<DerivedQuantizationSpec>(&spec)) return derived->ch_axis;
  return std::nullopt;
}

bool is_per_channel(const AnySpec& spec) {
  const auto per_channel = [](at::QScheme scheme) {
    return scheme == at::kPerChannelAffine || scheme == at::kPerChannelSymmetric;
  };
  if (const auto* plain = std::get_if<QuantizationSpec>(&spec)) return per_channel(plain->qscheme);
  if (const auto* derived = std::get_if<DerivedQuantizationSpec>(&spec)) return per_channel(derived->qscheme);
  return false;
}

// Safe for nodes that were erased, which a reference may name still.
std::string name_of(const Graph& graph, const NodeRef& node) {
  return graph.holds(node) ? node->name() : std::string("a node that is not in the graph");
}

std::string place_text(const Graph& graph, const EdgeOrNode& place) {
  const bool stands = graph.holds(place.node) && (place.consumer == nullptr || graph.holds(place.consumer));
  return stands ? place.text() : "a place that is not in the graph";
}

std::vector<Place> collect(const Graph& graph) {
  std::vector<Place> places;
  for (Node* node : graph.nodes()) {
    const QuantizationAnnotation* note = annotation(std::as_const(*node));
    if (note == nullptr) continue;
    if (node->kind() == NodeKind::kOutput && note->output_qspec) {
      throw Error(node->where(), "is the end of the program and has no output to quantize")
          .hint("annotate the nodes that it reads");
    }
    const std::vector<Node*> inputs = node->inputs();
    const std::unordered_set<const Node*> read(inputs.begin(), inputs.end());
    for (const auto& [producer, spec] : note->input_qspec_map) {
      if (producer == nullptr) throw Error(node->where(), "is annotated for an input that is null");
      if (read.count(producer) == 0) {
        throw Error(node->where(),
                    octet::str("is annotated for an input that it does not read, '", name_of(graph, producer), "'"));
      }
      places.push_back({EdgeOrNode(producer, node), &spec});
    }
    if (note->output_qspec) places.push_back({EdgeOrNode(node), &*note->output_qspec});
  }
  return places;
}

class Resolver {
 public:
  Resolver(const Graph& graph, const std::function<bool(const EdgeOrNode&)>& alone)
      : graph_(graph),
        places_(collect(graph)),
        sets_(places_.size()),
        anchor_(places_.size()),
        concrete_(places_.size()),
        alone_(alone) {
    for (size_t i = 0; i < places_.size(); ++i) index_[places_[i].key] = i;
  }

  SharingGroups resolve() {
    check();
    for (size_t i = 0; i < places_.size(); ++i) find_concrete(i);
    for (size_t i = 0; i < places_.size(); ++i) {
      if (anchor_[i]) sets_.join(i, *anchor_[i]);
    }
    join_implicitly();
    return groups();
  }

 private:
  void check() const {
    for (const Place& place : places_) {
      const std::string where = place.key.text();
      validate(*place.spec, where);
      const std::optional<int64_t> axis = channel_axis(*place.spec);
      if (axis && is_per_channel(*place.spec) && place.key.node->meta() && *axis >= place.key.node->meta()->rank()) {
        throw expected(where, "ch_axis", octet::str("below the rank ", place.key.node->meta()->rank()),
                       std::to_string(*axis));
      }
    }
  }

  // The place of this name in this graph, where it has a spec.
  std::optional<size_t> index_of(const EdgeOrNode& place) const {
    const auto found = index_.find(place);
    return found != index_.end() && found->first == place ? std::optional(found->second) : std::nullopt;
  }

  // Follows anchors to the spec that makes an observer, once for all places on the way.
  void find_concrete(size_t start) {
    std::vector<size_t> path;
    std::set<size_t> seen;
    size_t current = start;
    while (concrete_[current] == nullptr) {
      path.push_back(current);
      const auto* shared = std::get_if<SharedQuantizationSpec>(places_[current].spec);
      if (shared == nullptr) {
        concrete_[current] = places_[current].spec;
        break;
      }
      if (!seen.insert(current).second) throw circle(current);
      anchor_[current] = index_of(shared->edge_or_node);
      if (!anchor_[current]) {
        throw Error(
            places_[current].key.text(),
            octet::str("shares the observer of ", place_text(graph_, shared->edge_or_node), ", which has no spec"))
            .hint("annotate the anchor too, or give this place a spec of its own");
      }
      current = *anchor_[current];
    }
    for (const size_t place : path) concrete_[place] = concrete_[current];
  }

  Error circle(size_t start) const {
    std::string path = places_[start].key.text();
    size_t current = start;
    do {
      current = *anchor_[current];
      path += " -> " + places_[current].key.text();
    } while (current != start);
    return Error(places_[start].key.text(), "shared specs form a circle: " + path)
        .hint("give one of them a spec that makes an observer");
  }

  bool takes_part(const Place& place) const {
    return annotation(std::as_const(*place.key.consumer))->allow_implicit_sharing && !(alone_ && alone_(place.key));
  }

  // A producer's edges fall into classes of equal specs, few where they are many; the first edge of a class stands for
  // it.
  void join_implicitly() {
    std::unordered_map<int64_t, std::vector<size_t>> classes_of;  // by the producer's id
    for (size_t i = 0; i < places_.size(); ++i) {
      if (places_[i].key.consumer == nullptr || !takes_part(places_[i])) continue;
      auto [classes, fresh] = classes_of.try_emplace(places_[i].key.node.id());
      if (fresh) {
        // The output first: what equals it joins it.
        if (const auto output = index_of(EdgeOrNode(places_[i].key.node))) classes->second.push_back(*output);
      }
      std::vector<size_t>& firsts = classes->second;
      const auto same = std::find_if(firsts.begin(), firsts.end(), [&](size_t first) {
        return concrete_[first] == concrete_[i] || *concrete_[first] == *concrete_[i];
      });
      if (same == firsts.end()) {
        firsts.push_back(i);
      } else {
        sets_.join(*same, i);
      }
    }
  }

  // The groups that a derived spec reads must be made first.
  void place_group(size_t start, std::map<size_t, size_t>& placed, SharingGroups& result) {
    struct Step {
      size_t root;
      size_t next_source;
    };
    std::vector<Step> path = {{start, 0}};
    std::set<size_t> open = {start};  // those on the path, to find circles
    if (placed.count(start)) return;
    while (!path.empty()) {
      const size_t root = path.back().root;
      const auto* derived = std::get_if<DerivedQuantizationSpec>(concrete_[root]);
      if (derived == nullptr || path.back().next_source == derived->derived_from.size()) {
        placed[root] = result.groups.size();
        result.groups.push_back({*concrete_[root], {}});
        open.erase(root);
        path.pop_back();
        continue;
      }
      const EdgeOrNode& place = derived->derived_from[path.back().next_source++];
      const auto found = index_of(place);
      if (!found) {
        throw Error(places_[root].key.text(),
                    octet::str("derives its parameters from ", place_text(graph_, place), ", which has no spec"))
            .hint("annotate the source too");
      }
      const size_t source = sets_.root(*found);
      if (placed.count(source)) continue;
      if (!open.insert(source).second) throw Error(places_[source].key.text(), "its derived spec depends on itself");
      path.push_back({source, 0});
    }
  }

  SharingGroups groups() {
    SharingGroups result;
    std::map<size_t, size_t> placed;
    for (const bool derived : {false, true}) {
      for (size_t i = 0; i < places_.size(); ++i) {
        if (std::holds_alternative<DerivedQuantizationSpec>(*concrete_[i]) == derived) {
          place_group(sets_.root(i), placed, result);
        }
      }
    }
    for (size_t i = 0; i < places_.size(); ++i) {
      const size_t group = placed.at(sets_.root(i));
      result.groups[group].members.push_back(places_[i].key);
      result.group_of[places_[i].key] = group;
    }
    return result;
  }

  const Graph& graph_;
  std::vector<Place> places_;
  std::map<EdgeOrNode, size_t> index_;
  UnionFind sets_;
  std::vector<std::optional<size_t>> anchor_;  // of places with a shared spec
  std::vector<const AnySpec*> concrete_;
  const std::function<bool(const EdgeOrNode&)>& alone_;
};

}  // namespace

const SharingGroups::Group* SharingGroups::find(const EdgeOrNode& place) const {
  const auto found = group_of.find(place);
  return found == group_of.end() || !(found->first == place) ? nullptr : &groups[found->second];
}

SharingGroups resolve_sharing(const Graph& graph, const std::function<bool(const EdgeOrNode&)>& alone) {
  return Resolver(graph, alone).resolve();
}

}  // namespace octet

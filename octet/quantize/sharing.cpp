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

std::vector<Place> collect(const Graph& graph) {
  std::vector<Place> places;
  for (Node* node : graph.nodes()) {
    const QuantizationAnnotation* note = annotation(std::as_const(*node));
    if (note == nullptr) continue;
    if (node->kind() == NodeKind::kOutput && note->output_qspec) {
      throw Error(node->where(), "is the end of the program and has no output to quantize")
          .hint("annotate the nodes that it reads");
    }
    for (const auto& [producer, spec] : note->input_qspec_map) {
      if (producer == nullptr) throw Error(node->where(), "is annotated for an input that is null");
      const auto inputs = node->inputs();
      if (std::find(inputs.begin(), inputs.end(), producer) == inputs.end()) {
        throw Error(node->where(),
                    octet::str("is annotated for an input that it does not read, '", producer->name(), "'"));
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
      : places_(collect(graph)), sets_(places_.size()), concrete_(places_.size()), alone_(alone) {
    for (size_t i = 0; i < places_.size(); ++i) index_[places_[i].key] = i;
  }

  SharingGroups resolve() {
    check();
    for (size_t i = 0; i < places_.size(); ++i) concrete_[i] = concrete_of(i);
    for (size_t i = 0; i < places_.size(); ++i) {
      if (const auto* shared = std::get_if<SharedQuantizationSpec>(places_[i].spec)) {
        sets_.join(i, index_.at(shared->edge_or_node));
      }
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

  // Follows anchors to the spec that makes an observer.
  const AnySpec* concrete_of(size_t start) const {
    size_t current = start;
    std::set<size_t> seen;
    while (const auto* shared = std::get_if<SharedQuantizationSpec>(places_[current].spec)) {
      if (!seen.insert(current).second) throw circle(current);
      const auto anchor = index_.find(shared->edge_or_node);
      if (anchor == index_.end()) {
        throw Error(places_[current].key.text(),
                    octet::str("shares the observer of ", shared->edge_or_node.text(), ", which has no spec"))
            .hint("annotate the anchor too, or give this place a spec of its own");
      }
      current = anchor->second;
    }
    return places_[current].spec;
  }

  Error circle(size_t start) const {
    std::string path = places_[start].key.text();
    size_t current = start;
    do {
      current = index_.at(std::get<SharedQuantizationSpec>(*places_[current].spec).edge_or_node);
      path += " -> " + places_[current].key.text();
    } while (current != start);
    return Error(places_[start].key.text(), "shared specs form a circle: " + path)
        .hint("give one of them a spec that makes an observer");
  }

  bool takes_part(const Place& place) const {
    return annotation(std::as_const(*place.key.consumer))->allow_implicit_sharing && !(alone_ && alone_(place.key));
  }

  void join_implicitly() {
    std::map<const Node*, std::vector<size_t>> edges_of;  // by producer
    for (size_t i = 0; i < places_.size(); ++i) {
      if (places_[i].key.consumer != nullptr && takes_part(places_[i])) edges_of[places_[i].key.node].push_back(i);
    }
    for (const auto& [producer, edges] : edges_of) {
      const auto output = index_.find(EdgeOrNode(const_cast<Node*>(producer)));
      for (size_t a = 0; a < edges.size(); ++a) {
        for (size_t b = a + 1; b < edges.size(); ++b) {
          if (*concrete_[edges[a]] == *concrete_[edges[b]]) sets_.join(edges[a], edges[b]);
        }
        if (output != index_.end() && *concrete_[edges[a]] == *concrete_[output->second]) {
          sets_.join(edges[a], output->second);
        }
      }
    }
  }

  // The groups that a derived spec reads must be made first; `open` finds circles.
  void place_group(size_t root, std::set<size_t>& open, std::map<size_t, size_t>& placed, SharingGroups& result) {
    if (placed.count(root)) return;
    const std::string where = places_[root].key.text();
    if (!open.insert(root).second) throw Error(where, "its derived spec depends on itself");
    if (const auto* derived = std::get_if<DerivedQuantizationSpec>(concrete_[root])) {
      for (const EdgeOrNode& source : derived->derived_from) {
        const auto found = index_.find(source);
        if (found == index_.end()) {
          throw Error(where, octet::str("derives its parameters from ", source.text(), ", which has no spec"))
              .hint("annotate the source too");
        }
        place_group(sets_.root(found->second), open, placed, result);
      }
    }
    open.erase(root);
    placed[root] = result.groups.size();
    result.groups.push_back({*concrete_[root], {}});
  }

  SharingGroups groups() {
    SharingGroups result;
    std::map<size_t, size_t> placed;
    std::set<size_t> open;
    for (const bool derived : {false, true}) {
      for (size_t i = 0; i < places_.size(); ++i) {
        if (std::holds_alternative<DerivedQuantizationSpec>(*concrete_[i]) == derived) {
          place_group(sets_.root(i), open, placed, result);
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

  std::vector<Place> places_;
  std::map<EdgeOrNode, size_t> index_;
  UnionFind sets_;
  std::vector<const AnySpec*> concrete_;
  const std::function<bool(const EdgeOrNode&)>& alone_;
};

}  // namespace

const SharingGroups::Group* SharingGroups::find(const EdgeOrNode& place) const {
  const auto found = group_of.find(place);
  return found == group_of.end() ? nullptr : &groups[found->second];
}

SharingGroups resolve_sharing(const Graph& graph, const std::function<bool(const EdgeOrNode&)>& alone) {
  return Resolver(graph, alone).resolve();
}

}  // namespace octet

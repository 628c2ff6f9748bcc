#include "octet/targets/engine/passes/copies.h"

#include "octet/targets/engine/passes/rewrite.h"

namespace octet::targets {
namespace {

using Sizes = std::vector<int64_t>;

// Places that follow one another: [first, last].
std::vector<std::pair<int64_t, int64_t>> runs_of(const Sizes& places) {
  std::vector<std::pair<int64_t, int64_t>> runs;
  for (const int64_t place : places) {
    if (!runs.empty() && place == runs.back().second + 1) {
      runs.back().second = place;
    } else {
      runs.emplace_back(place, place);
    }
  }
  return runs;
}

}  // namespace

bool is_put_together(const Copy& copy) {
  const size_t pieces = runs_of(copy.places).size();
  return pieces > 1 && pieces <= kMostPieces;
}

Node* put_together(Node* x, const Copy& copy, const Node& like) {
  std::vector<Arg> pieces;
  for (const auto& [first, last] : runs_of(copy.places)) {
    pieces.emplace_back(add_slice(x, copy.dim, first, last + 1, like));
  }
  Sizes sizes = x->sizes();
  sizes.at(static_cast<size_t>(copy.dim)) = static_cast<int64_t>(copy.places.size());
  return add_call("aten.cat.default", {std::move(pieces), copy.dim}, sizes, like);
}

Node* repeat_elements(Node* x, int64_t dim, int64_t times, const Node& like) {
  Sizes rows = x->sizes(), repeated = x->sizes();
  repeated.at(static_cast<size_t>(dim)) *= times;
  rows.insert(rows.begin() + dim + 1, 1);
  Node* row = add_reshape(x, rows, 0, like);
  rows[static_cast<size_t>(dim) + 1] = times;
  const std::vector<Arg> copies(static_cast<size_t>(times), Arg(row));
  return add_reshape(add_call("aten.cat.default", {Arg(copies), dim + 1}, rows, like), repeated, 0, like);
}

}  // namespace octet::targets

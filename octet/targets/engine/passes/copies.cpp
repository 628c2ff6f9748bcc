#include "octet/targets/engine/passes/copies.h"

#include <algorithm>
#include <numeric>

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

// Factors of a length, none above kMostPieces, as few as there may be; empty for one that has a greater prime, and
// for 1.
Sizes rows_of(int64_t length) {
  Sizes rows;
  const auto most = static_cast<int64_t>(kMostPieces);
  while (length > 1) {
    int64_t factor = std::min(most, length);
    while (length % factor != 0) --factor;
    if (factor == 1) return {};
    rows.push_back(factor);
    length /= factor;
  }
  return rows;
}

}  // namespace

bool is_put_together(const Copy& copy) {
  const size_t pieces = runs_of(copy.places).size();
  return pieces > 1 && pieces <= kMostPieces;
}

Node* put_together(Node* x, const Copy& copy, const Node& like) {
  return put_together(std::vector<Node*>{x}, copy, like);
}

Node* put_together(const std::vector<Node*>& values, const Copy& copy, const Node& like) {
  std::vector<Arg> pieces;
  const auto length = [&](const Node* value) { return value->sizes().at(static_cast<size_t>(copy.dim)); };
  for (auto [first, last] : runs_of(copy.places)) {
    for (Node* value : values) {
      const int64_t start = std::max<int64_t>(first, 0), end = std::min(last + 1, length(value));
      if (start < end) pieces.emplace_back(add_slice(value, copy.dim, start, end, like));
      first -= length(value);
      last -= length(value);
    }
  }
  Sizes sizes = values.front()->sizes();
  sizes.at(static_cast<size_t>(copy.dim)) = static_cast<int64_t>(copy.places.size());
  return add_call("aten.cat.default", {std::move(pieces), copy.dim}, sizes, like);
}

bool can_turn_around(int64_t length) { return !rows_of(length).empty(); }

Node* turned_around(Node* x, int64_t dim, const Node& like) {
  const Sizes whole = x->sizes();
  const auto at = static_cast<size_t>(dim);
  int64_t before = 1, behind = whole[at];
  for (const int64_t length : rows_of(whole[at])) {
    behind /= length;
    Sizes rows = whole;
    rows[at] = length;
    size_t turned = at;
    if (behind > 1) rows.insert(rows.begin() + dim + 1, behind);
    if (before > 1) rows.insert(rows.begin() + static_cast<ptrdiff_t>(turned++), before);
    Copy copy{static_cast<int64_t>(turned), Sizes(static_cast<size_t>(length))};
    std::iota(copy.places.rbegin(), copy.places.rend(), 0);
    x = put_together(add_reshape(x, rows, 0, like), copy, like);
    before *= length;
  }
  return add_reshape(x, whole, 0, like);
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

#pragma once

#include <cstdint>
#include <vector>

#include "octet/graph/node.h"

/// Copies of elements along one dimension, put together of slices.
namespace octet::targets {

/// Pieces in a row that are worth more than one operator that gathers.
constexpr size_t kMostPieces = 32;

/// A longer row, which a file may say, is not looked at.
constexpr int64_t kLongestCopy = int64_t{1} << 20;

/// Where along a dimension each element of a copy comes from.
struct Copy {
  int64_t dim = 0;
  std::vector<int64_t> places;
};

/// True for several pieces, no more than are worth it: a cat of one alone would be a view of what it reads.
bool is_put_together(const Copy& copy);

/// A cat of slices of `x`, at the graph's insert point.
Node* put_together(Node* x, const Copy& copy, const Node& like);
/// The same of several values whose elements are counted one behind the other along the dimension.
Node* put_together(const std::vector<Node*>& values, const Copy& copy, const Node& like);

/// All elements of a dimension in reverse order, at the graph's insert point; of many in rows, which are turned and
/// their elements within them.
Node* turned_around(Node* x, int64_t dim, const Node& like);
/// True where each row has no more elements than are worth it.
bool can_turn_around(int64_t length);

/// Each element of a dimension becomes a row of so many of itself, by a cat between reshapes.
Node* repeat_elements(Node* x, int64_t dim, int64_t times, const Node& like);

}  // namespace octet::targets

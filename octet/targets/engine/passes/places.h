#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>
#include <vector>

#include "octet/graph/graph_module.h"

/// Constant places among a value's elements.
namespace octet::targets {

/// Places along neighbouring dimensions, which are seen as one.
struct Places {
  size_t first = 0;            ///< dimension
  size_t joined = 0;           ///< dimensions
  std::vector<int64_t> sizes;  ///< of the index
  std::vector<int64_t> places;

  /// Sizes with those dimensions as one, of `length`; and of all their elements.
  std::vector<int64_t> with(std::vector<int64_t> all, int64_t length) const;
  std::vector<int64_t> in_one(const std::vector<int64_t>& all) const { return with(all, length_in(all)); }
  int64_t length_in(const std::vector<int64_t>& all) const;
};

/// What diagonal, diag_embed and diagonal_scatter name: two dimensions, counted from the front, and how far from their
/// first elements it begins.
struct Diagonal {
  int64_t rows = 0;
  int64_t columns = 0;
  int64_t offset = 0;
};

/// Of a value with this many dimensions. Nullopt where the operator's arguments are computed, and for samples as rows
/// or columns.
std::optional<Diagonal> diagonal_of(const Node& node, int64_t rank);

/// int64 on the CPU; nullopt for what is computed, and for other numbers.
std::optional<at::Tensor> whole_numbers_in(const GraphModule& module, const Arg& arg);
std::vector<int64_t> numbers_of(const at::Tensor& whole);

/// Those that x[:, i, j] names, by constants of whole numbers or booleans. Nullopt along samples, for dimensions that
/// are not neighbours, and for places that `x` does not have.
std::optional<Places> indexed_by(const GraphModule& module, const Node& x, const Arg& indices);

}  // namespace octet::targets

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

  /// Sizes with those dimensions as one.
  std::vector<int64_t> in_one(std::vector<int64_t> all) const;
};

/// int64 on the CPU; nullopt for what is computed, and for other numbers.
std::optional<at::Tensor> whole_numbers_in(const GraphModule& module, const Arg& arg);
std::vector<int64_t> numbers_of(const at::Tensor& whole);

/// Those that x[:, i, j] names, by constants of whole numbers or booleans. Nullopt along samples, for dimensions that
/// are not neighbours, and for places that `x` does not have.
std::optional<Places> indexed_by(const GraphModule& module, const Node& x, const Arg& indices);

}  // namespace octet::targets

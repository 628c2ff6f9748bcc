#include "octet/targets/engine/passes/places.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/broadcast_tensors.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <functional>
#include <numeric>

#include "octet/graph/constant_value.h"
#include "octet/targets/engine/passes/copies.h"
#include "octet/targets/engine/passes/rewrite.h"

namespace octet::targets {
namespace {

std::optional<at::Tensor> known_value(const GraphModule& module, const Arg& arg) {
  if (!arg.is_node() || !is_constant_value(*arg.node())) return std::nullopt;
  return constant_value(module, *arg.node()).detach().cpu();
}

// An index a dimension: of booleans the places where they are true, row by row.
std::vector<at::Tensor> by_dimension(const at::Tensor& index) {
  if (index.scalar_type() != at::kBool) return {index.to(at::kLong)};
  return index.dim() == 0 ? std::vector<at::Tensor>{} : index.nonzero().unbind(1);
}

bool counts_places(const at::Tensor& index) {
  return index.scalar_type() == at::kLong || index.scalar_type() == at::kInt || index.scalar_type() == at::kBool;
}

bool lies_within(const at::Tensor& index, int64_t length) {
  return index.numel() > 0 && index.ge(0).all().item<bool>() && index.lt(length).all().item<bool>();
}

bool fit_together(const std::vector<at::Tensor>& indices) {
  const auto most = std::max_element(indices.begin(), indices.end(),
                                     [](const auto& a, const auto& b) { return a.numel() < b.numel(); });
  return std::all_of(indices.begin(), indices.end(),
                     [&](const at::Tensor& index) { return index.numel() == 1 || index.sizes() == most->sizes(); });
}

}  // namespace

std::vector<int64_t> Places::with(std::vector<int64_t> all, int64_t length) const {
  const auto begin = all.begin() + static_cast<ptrdiff_t>(first);
  all.erase(begin, begin + static_cast<ptrdiff_t>(joined));
  all.insert(all.begin() + static_cast<ptrdiff_t>(first), length);
  return all;
}

int64_t Places::length_in(const std::vector<int64_t>& all) const {
  const auto begin = all.begin() + static_cast<ptrdiff_t>(first);
  return std::accumulate(begin, begin + static_cast<ptrdiff_t>(joined), int64_t{1}, std::multiplies<>());
}

std::optional<Diagonal> diagonal_of(const Node& node, int64_t rank) {
  for (const char* argument : {"offset", "dim1", "dim2"}) {
    if (!node.arg(argument).is_constant()) return std::nullopt;
  }
  const Diagonal along{positive_dim(node.arg("dim1").to_int(), rank), positive_dim(node.arg("dim2").to_int(), rank),
                       node.arg("offset").to_int()};
  return along.rows == 0 || along.columns == 0 || along.rows == along.columns ? std::nullopt : std::optional(along);
}

std::optional<at::Tensor> whole_numbers_in(const GraphModule& module, const Arg& arg) {
  const std::optional<at::Tensor> value = known_value(module, arg);
  if (!value || (value->scalar_type() != at::kLong && value->scalar_type() != at::kInt)) return std::nullopt;
  return value->to(at::kLong);
}

std::vector<int64_t> numbers_of(const at::Tensor& whole) {
  const at::Tensor rows = whole.to(at::kLong).contiguous();
  return {rows.const_data_ptr<int64_t>(), rows.const_data_ptr<int64_t>() + rows.numel()};
}

std::optional<Places> indexed_by(const GraphModule& module, const Node& x, const Arg& indices) {
  if (!indices.is_list() || !x.meta()) return std::nullopt;
  const at::NoGradGuard no_grad;
  std::vector<at::Tensor> found;
  size_t dim = 0, first = 0;
  for (const Arg& each : indices.list()) {
    if (each.is_none()) {
      ++dim;
      continue;
    }
    const std::optional<at::Tensor> index = known_value(module, each);
    if (!index || !counts_places(*index) || index->numel() > kLongestCopy) return std::nullopt;
    if (found.empty()) first = dim;
    if (dim != first + found.size()) return std::nullopt;
    for (const at::Tensor& one : by_dimension(*index)) found.push_back(one);
    dim = first + found.size();
  }
  if (found.empty() || first == 0 || first + found.size() > x.sizes().size() || !fit_together(found)) {
    return std::nullopt;
  }
  found = at::broadcast_tensors(found);
  at::Tensor place = at::zeros_like(found.front());
  for (size_t i = 0; i < found.size(); ++i) {
    const int64_t length = x.sizes()[first + i];
    const at::Tensor index = at::where(found[i].lt(0), found[i] + length, found[i]);
    if (!lies_within(index, length)) return std::nullopt;
    place = place * length + index;
  }
  return Places{first, found.size(), place.sizes().vec(), numbers_of(place)};
}

}  // namespace octet::targets

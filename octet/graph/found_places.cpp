#include "octet/graph/found_places.h"

#include <algorithm>
#include <array>
#include <string_view>

namespace octet {

const Node* finder_of_places(const Node& places) {
  const bool is_second = places.kind() == NodeKind::kGetItem && places.arg(size_t{1}).to_int() == 1;
  const Node* source = is_second ? places.arg(size_t{0}).node() : &places;
  if (source == nullptr || !source->is_call()) return nullptr;
  constexpr std::array<std::string_view, 3> kPlacesAlone = {"argmax", "argmin", "argsort"};
  constexpr std::array<std::string_view, 4> kPlacesToo = {"topk", "sort", "max", "min"};
  const std::string_view name = source->op().short_name();
  const auto is_one_of = [&](const auto& names) { return std::find(names.begin(), names.end(), name) != names.end(); };
  return (is_second ? is_one_of(kPlacesToo) : is_one_of(kPlacesAlone)) ? source : nullptr;
}

}  // namespace octet

#include "octet/lowering/unwritten.h"

namespace octet::lowering {

std::string_view unwritten_builtin(std::string_view short_name) {
  struct Row {
    std::string_view op;
    std::string_view builtin;
  };
  static constexpr Row rows[] = {
      {"bitwise_xor", "BITWISE_XOR"},
      {"gather", "GATHER_ND"},
      {"index", "GATHER_ND"},
      {"scatter", "SCATTER_ND"},
      {"one_hot", "ONE_HOT"},
      {"tile", "TILE"},
      {"conv3d", "CONV_3D"},
      {"conv_transpose3d", "CONV_3D_TRANSPOSE"},
      {"unbind", "UNPACK"},
      {"stack", "PACK"},
      {"arange", "RANGE"},
      {"full", "FILL"},
  };
  if (!short_name.empty() && short_name.back() == '_') short_name.remove_suffix(1);  // in place
  for (const Row& row : rows) {
    if (row.op == short_name) return row.builtin;
  }
  return {};
}

}  // namespace octet::lowering

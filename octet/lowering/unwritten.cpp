#include "octet/lowering/unwritten.h"

namespace octet::lowering {

std::string_view unwritten_builtin(std::string_view short_name) {
  struct Row {
    std::string_view op;
    std::string_view builtin;
  };
  static constexpr Row rows[] = {
      {"argmax", "ARG_MAX"},
      {"argmin", "ARG_MIN"},
      {"to", "CAST"},
      {"_to_copy", "CAST"},
      {"type_as", "CAST"},
      {"eq", "EQUAL"},
      {"ne", "NOT_EQUAL"},
      {"gt", "GREATER"},
      {"ge", "GREATER_EQUAL"},
      {"lt", "LESS"},
      {"le", "LESS_EQUAL"},
      {"logical_and", "LOGICAL_AND"},
      {"logical_or", "LOGICAL_OR"},
      {"logical_not", "LOGICAL_NOT"},
      {"bitwise_xor", "BITWISE_XOR"},
      {"where", "SELECT_V2"},
      {"masked_fill", "SELECT_V2"},
      {"topk", "TOPK_V2"},
      {"gather", "GATHER_ND"},
      {"index", "GATHER_ND"},
      {"scatter", "SCATTER_ND"},
      {"embedding", "GATHER"},
      {"one_hot", "ONE_HOT"},
      {"cumsum", "CUMSUM"},
      {"prod", "REDUCE_PROD"},
      {"any", "REDUCE_ANY"},
      {"all", "REDUCE_ALL"},
      {"flip", "REVERSE_V2"},
      {"repeat", "TILE"},
      {"tile", "TILE"},
      {"floor", "FLOOR"},
      {"ceil", "CEIL"},
      {"round", "ROUND"},
      {"sin", "SIN"},
      {"cos", "COS"},
      {"square", "SQUARE"},
      {"sign", "SIGN"},
      {"elu", "ELU"},
      {"floor_divide", "FLOOR_DIV"},
      {"remainder", "FLOOR_MOD"},
      {"atan2", "ATAN2"},
      {"conv3d", "CONV_3D"},
      {"conv_transpose3d", "CONV_3D_TRANSPOSE"},
      {"lstm", "UNIDIRECTIONAL_SEQUENCE_LSTM"},
      {"rnn_tanh", "UNIDIRECTIONAL_SEQUENCE_RNN"},
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

#include "octet/graph/trait.h"

namespace octet {
namespace {

constexpr uint32_t operator|(Trait a, Trait b) { return static_cast<uint32_t>(a) | static_cast<uint32_t>(b); }
constexpr uint32_t operator+(Trait a) { return static_cast<uint32_t>(a); }

struct TraitRow {
  std::string_view name;  // of an operator, of a packet for all its overloads, or of a namespace
  uint32_t traits;
};

using enum Trait;

constexpr TraitRow kTraitRows[] = {
    {"quantized_decomposed", +kDecomposed},
    {"quantized_decomposed.quantize_per_tensor", +kQuantize},
    {"quantized_decomposed.quantize_per_channel", +kQuantize},
    {"quantized_decomposed.quantize_per_channel_group", +kQuantize},
    {"quantized_decomposed.quantize_per_token", +kQuantize},
    {"quantized_decomposed.dequantize_per_tensor", +kDequantize},
    {"quantized_decomposed.dequantize_per_channel", +kDequantize},
    {"quantized_decomposed.dequantize_per_channel_group", +kDequantize},
    {"quantized_decomposed.dequantize_per_token", +kDequantize},
    {"torchao.choose_qparams_affine", +kDecomposed},
    {"torchao.quantize_affine", kDecomposed | kQuantize},
    {"torchao.dequantize_affine", kDecomposed | kDequantize},

    {"aten.batch_norm.default", +kBatchNorm},
    {"aten.native_batch_norm.default", kBatchNorm | kGivesTuple},
    {"aten._native_batch_norm_legit.default", kBatchNorm | kGivesTuple},
    {"aten._native_batch_norm_legit_no_training.default", kBatchNorm | kGivesTuple},

    {"aten.conv1d", +kConvolution},
    {"aten.conv2d", +kConvolution},
    {"aten.conv3d", +kConvolution},
    {"aten.convolution", +kConvolution},
    {"aten.conv_transpose1d", kConvolution | kTransposed},
    {"aten.conv_transpose2d", kConvolution | kTransposed},
    {"aten.conv_transpose3d", kConvolution | kTransposed},
    {"aten.linear", +kLinear},

    {"aten.view.default", +kView},
    {"aten.reshape.default", +kView},
    {"aten._unsafe_view.default", +kView},

    {"aten.as_strided", +kReadsByStrides},
    {"aten.as_strided_", +kReadsByStrides},
    {"aten.as_strided_copy", +kReadsByStrides},
    {"aten.as_strided_scatter", +kReadsByStrides},
};

}  // namespace

uint32_t traits_of(std::string_view op) {
  const std::string_view packet = op.substr(0, op.rfind('.'));
  const std::string_view family = op.substr(0, op.find('.'));
  uint32_t traits = 0;
  for (const TraitRow& row : kTraitRows) {
    if (row.name == op || row.name == packet || row.name == family) traits |= row.traits;
  }
  return traits;
}

}  // namespace octet

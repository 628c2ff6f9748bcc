#include "octet/targets/neutron/substitutes.h"

namespace octet::neutron {

std::string substitute_for(std::string_view short_name) {
  struct Row {
    std::string_view op;
    std::string_view text;
  };
  static constexpr Row rows[] = {
      {"gelu", "hardswish is close to it and runs on the NPU"},
      {"silu", "hardswish is close to it and runs on the NPU"},
      {"silu_", "hardswish is close to it and runs on the NPU"},
      {"mish", "hardswish is close to it and runs on the NPU"},
      {"elu", "leaky_relu or hardswish"},
      {"selu", "leaky_relu or hardswish"},
      {"softplus", "relu"},
      {"hardsigmoid", "sigmoid"},
      {"hardsigmoid_", "sigmoid"},
      {"log_softmax", "end the model at the scores: their order is the same"},
      {"layer_norm", "BatchNorm behind a convolution or linear, which is folded"},
      {"group_norm", "BatchNorm behind a convolution or linear, which is folded"},
      {"instance_norm", "BatchNorm behind a convolution or linear, which is folded"},
      {"pow", "mul of a value with itself"},
      {"square", "mul of a value with itself"},
      {"div", "mul by the reciprocal where the divisor is constant"},
      {"matmul", "bmm on three dimensions"},
      {"pixel_shuffle", "conv_transpose2d with stride 2, or upsample and a convolution"},
      {"expand", "let add or mul broadcast one input"},
      {"conv3d", "conv2d on slices"},
      {"embedding", "leave it to the application"},
      {"gru", "a convolution over time"},
      {"lstm", "a convolution over time"},
  };
  for (const Row& row : rows) {
    if (row.op == short_name) return std::string(row.text);
  }
  return "";
}

}  // namespace octet::neutron

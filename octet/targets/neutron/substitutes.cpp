#include "octet/targets/neutron/substitutes.h"

namespace octet::neutron {

std::string substitute_for(std::string_view short_name) {
  struct Row {
    std::string_view op;
    std::string_view text;
  };
  static constexpr Row rows[] = {
      {"gelu", "--gelu tanh or sigmoid computes it there, less exactly; hardswish is close to it"},
      {"gelu_", "--gelu tanh or sigmoid computes it there, less exactly; hardswish is close to it"},
      {"silu", "--mul-range observed computes it there, as x * sigmoid(x)"},
      {"silu_", "--mul-range observed computes it there, as x * sigmoid(x)"},
      {"mish", "--mul-range observed computes it there, of several operators"},
      {"mish_", "--mul-range observed computes it there, of several operators"},
      {"elu", "--mul-range observed computes it there, of several operators"},
      {"selu", "--mul-range observed computes it there, of several operators"},
      {"celu", "--mul-range observed computes it there, of several operators"},
      {"softplus", "--mul-range observed computes it there, of several operators"},
      {"hardsigmoid", "--mul-range observed computes it there, as relu6(x + 3) / 6"},
      {"hardsigmoid_", "--mul-range observed computes it there, as relu6(x + 3) / 6"},
      {"log_softmax", "end the model at the scores: their order is the same"},
      {"layer_norm", "--norms integer computes it there, less exactly; BatchNorm behind a convolution is folded"},
      {"group_norm", "--norms integer computes it there, less exactly; BatchNorm behind a convolution is folded"},
      {"instance_norm", "--norms integer computes it there, less exactly; BatchNorm behind a convolution is folded"},
      {"rms_norm", "--norms integer computes it there, less exactly"},
      {"pow", "mul of a value with itself"},
      {"square", "mul of a value with itself"},
      {"div", "mul by the reciprocal where the divisor is constant"},
      {"matmul", "bmm on three dimensions"},
      {"pixel_shuffle", "conv_transpose2d with stride 2, or upsample and a convolution"},
      {"expand", "let add or mul broadcast one input"},
      {"conv3d", "conv2d on slices"},
      {"embedding", "leave it to the application"},
      {"gru", "--unroll-rnn yes writes it out step by step; or a convolution over time"},
      {"lstm", "--unroll-rnn yes writes it out step by step; or a convolution over time"},
      {"rnn_tanh", "--unroll-rnn yes writes it out step by step; or a convolution over time"},
      {"rnn_relu", "--unroll-rnn yes writes it out step by step; or a convolution over time"},
  };
  for (const Row& row : rows) {
    if (row.op == short_name) return std::string(row.text);
  }
  return "";
}

std::vector<targets::Warning> recurrent_warnings(const GraphModule& quantized) {
  std::vector<targets::Warning> found;
  for (const Node* node : quantized.graph().nodes()) {
    if (!node->is_call()) continue;
    const std::string_view name = node->op().short_name();
    const bool is_recurrent = name == "gru" || name == "lstm" || name == "rnn_tanh" || name == "rnn_relu";
    if (is_recurrent) found.push_back({node->where(), "stays on the CPU in float", substitute_for(name)});
  }
  return found;
}

}  // namespace octet::neutron

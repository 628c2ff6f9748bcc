#include <octet/graph/graph_module.h>
#include <octet/version.h>

#include <cstdio>

// Registered operators must have been linked in, and a graph must run.
int main() {
  octet::GraphModule module;
  octet::Graph& graph = module.graph();
  octet::Node* x = graph.placeholder("x");
  octet::Node* q = graph.call("quantized_decomposed.quantize_per_tensor.default", {x, 0.5, 0, -128, 127, at::kChar});
  octet::Node* dq = graph.call("quantized_decomposed.dequantize_per_tensor.default", {q, 0.5, 0, -128, 127, at::kChar});
  graph.output({octet::Arg(dq)});
  const float value = module.forward(at::full({1}, 0.7f)).item<float>();
  std::printf("octet %s gives %g\n", octet::version(), value);
  return value == 0.5f ? 0 : 1;
}

#include <octet/octet.h>

#include <cstdio>

// The one header is enough; operators must be found that only octet defines, a graph must run, an error must say what
// kind it is.
int main() {
  octet::GraphModule module;
  octet::Graph& graph = module.graph();
  octet::Node* x = graph.placeholder("x");
  octet::Node* q = graph.call("quantized_decomposed.quantize_per_tensor.default", {x, 0.5, 0, -128, 127, at::kChar});
  octet::Node* dq = graph.call("quantized_decomposed.dequantize_per_tensor.default", {q, 0.5, 0, -128, 127, at::kChar});
  graph.output({octet::Arg(dq)});
  const float value = module.forward(at::full({1}, 0.7f)).item<float>();
  std::printf("octet %s gives %g\n", octet::version(), value);
  try {
    octet::load_model("no/such/file.pt2");
  } catch (const octet::Error& error) {
    std::printf("%s\n", error.what());
    return value == 0.5f && error.category() == octet::ErrorCategory::kFile ? 0 : 1;
  }
  return 1;
}

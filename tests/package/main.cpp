#include <octet/octet.h>
#include <torch/library.h>

#include <cstdio>

namespace {

// As torch's own Python module does: it takes the namespace, and brings an operator that octet has too.
int calls = 0;

at::Tensor quantize_per_tensor(const at::Tensor& x, double scale, int64_t zero_point, int64_t low, int64_t high,
                               at::ScalarType dtype) {
  ++calls;
  return at::clamp(at::round(x / scale) + zero_point, low, high).to(dtype);
}

TORCH_LIBRARY(quantized_decomposed, library) {
  library.def(
      "quantize_per_tensor(Tensor input, float scale, int zero_point, int quant_min, int quant_max, ScalarType dtype) "
      "-> Tensor");
  library.impl("quantize_per_tensor", c10::DispatchKey::CompositeExplicitAutograd, TORCH_FN(quantize_per_tensor));
}

bool fail(const char* what) {
  std::printf("failed: %s\n", what);
  return false;
}

// A graph runs, on the operator that was there and on octet's own for what was not.
bool runs_a_graph() {
  octet::GraphModule module;
  octet::Graph& graph = module.graph();
  octet::Node* x = graph.placeholder("x");
  octet::Node* q = graph.call("quantized_decomposed.quantize_per_tensor.default", {x, 0.5, 0, -128, 127, at::kChar});
  octet::Node* dq = graph.call("quantized_decomposed.dequantize_per_tensor.default", {q, 0.5, 0, -128, 127, at::kChar});
  graph.output({octet::Arg(dq)});
  const float value = module.forward(at::full({1}, 0.7f)).item<float>();
  std::printf("octet %s gives %g\n", octet::version(), value);
  return value == 0.5f && calls == 1 ? true : fail("a graph of both one's operators");
}

bool says_what_failed() {
  try {
    octet::load_model("no/such/file.pt2");
  } catch (const octet::Error& error) {
    if (error.category() != octet::ErrorCategory::kFile) return fail("category of a file that is not there");
  }
  try {
    octet::all_targets().find("no such target", "target");
  } catch (const octet::Error& error) {
    if (error.category() != octet::ErrorCategory::kTarget) return fail("category of a target that is not known");
    return true;
  }
  return fail("no error");
}

}  // namespace

int main() { return runs_a_graph() && says_what_failed() ? 0 : 1; }

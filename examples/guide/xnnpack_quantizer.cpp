// XNNPACK's quantizer from C++. usage: guide_xnnpack_quantizer CASE: a folder with model.pt2, a network of convolutions
// that ends with a linear and a softmax, and calib_0_0.npy.
#include <octet/formats/model_file.h>
#include <octet/formats/npy.h>
#include <octet/quantize/rows.h>
#include <octet/targets/engine/calibrate_and_quantize.h>
#include <octet/targets/xnnpack/xnnpack_quantizer.h>

#include <cstdio>

using namespace octet;

int main(int argc, char** argv) try {
  if (argc != 2) {
    std::fprintf(stderr, "usage: guide_xnnpack_quantizer CASE\n");
    return 2;
  }
  const std::string folder = argv[1];
  auto model = load_model(folder + "/model.pt2");
  const std::vector<std::vector<at::Tensor>> samples = {{read_npy(folder + "/calib_0_0.npy")}};

  // [quantizer]
  const auto config = xnnpack::get_symmetric_quantization_config(/*is_per_channel=*/true);
  XNNPACKQuantizer quantizer;
  quantizer.set_global(config)
      .set_operator_type("aten.linear", xnnpack::get_symmetric_quantization_config(true, false, /*is_dynamic=*/true))
      .set_module_name("c1", std::nullopt);  // stays in float
  auto quantized = calibrate_and_quantize(model, samples, quantizer);
  // [/quantizer]

  const auto rows = quantization_rows(*quantized);
  for (const QuantRow& row : rows) {
    if (row.op != "aten.linear.default") continue;
    if (row.inputs.at(0) && row.inputs.at(0)->dynamic == "choose_qparams.tensor") return 0;
  }
  std::fprintf(stderr, "guide_xnnpack_quantizer: expected a linear on a dynamic grid\n");
  return 1;
} catch (const std::exception& error) {
  std::fprintf(stderr, "guide_xnnpack_quantizer: %s\n", error.what());
  return 1;
}

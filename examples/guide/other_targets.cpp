// Weights alone by torchao's quantize_, and coremltools' quantizer, from C++. usage: guide_other_targets MODEL.pt2
// SAMPLE.npy; prints how many weights each quantizes.
#include <octet/formats/model_file.h>
#include <octet/formats/npy.h>
#include <octet/quantize/calibrate.h>
#include <octet/quantize/quantize_pt2e.h>
#include <octet/quantize/rows.h>
#include <octet/targets/coreml/coreml_quantizer.h>
#include <octet/targets/intx/quantize.h>

#include <cstdio>

using namespace octet;

namespace {

int quantized_weights(const GraphModule& model) {
  int count = 0;
  for (const QuantRow& row : quantization_rows(model)) count += row.inputs.size() > 1 && row.inputs[1] ? 1 : 0;
  return count;
}

}  // namespace

int main(int argc, char** argv) try {
  if (argc != 3) {
    std::fprintf(stderr, "usage: guide_other_targets MODEL.pt2 SAMPLE.npy\n");
    return 2;
  }
  const auto model = load_model(argv[1]);
  const at::Tensor sample = read_npy_input(argv[2]);

  // [intx]
  // torchao's names: 4 bits, groups of 32 input features.
  auto quantized = quantize_(model->copy(), IntxWeightOnlyConfig{at::ScalarType::Int4, PerGroup{32}});
  // [/intx]
  std::printf("intx: %d, ", quantized_weights(*quantized));

  // [coreml]
  // By name, by type of module, and for all others; std::nullopt leaves in float.
  coreml::LinearQuantizerConfig config;
  config.global_config = {.quantization_scheme = coreml::QuantizationScheme::kAffine};
  config.module_name_configs = {{"fc", std::nullopt}};
  CoreMLQuantizer quantizer(config);
  auto prepared = prepare_pt2e(model, quantizer);
  calibrate(*prepared, {{sample}});
  auto converted = convert_pt2e(prepared);
  // [/coreml]
  std::printf("Core ML: %d\n", quantized_weights(*converted));
  return 0;
} catch (const std::exception& error) {
  std::fprintf(stderr, "%s\n", error.what());
  return 1;
}

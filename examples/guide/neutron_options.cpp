// The quantizer's options and the placement check, from C++. usage: guide_neutron_options MODEL.pt2; the model ends
// with a softmax.
#include <octet/formats/model_file.h>
#include <octet/targets/engine/placement/check.h>
#include <octet/targets/neutron/neutron_quantizer.h>

#include <cstdio>

using namespace octet;

int main(int argc, char** argv) try {
  if (argc != 2) {
    std::fprintf(stderr, "usage: guide_neutron_options MODEL.pt2\n");
    return 2;
  }
  const std::string path = argv[1];

  // [options]
  targets::Override head;
  head.op = "softmax";
  head.quantize = false;  // leave it in float

  NeutronOptions options;
  options.target = "imxrt700";
  options.mul_range = MulRange::kReference;
  options.overrides.push_back(head);
  NeutronQuantizer quantizer(options);
  // [/options]

  // [check]
  auto model = load_model(path);
  targets::Check check = targets::check_model(*model, quantizer);
  for (const auto& row : check.placement.operators) {
    if (!row.partition) std::printf("CPU: %s\n", row.reason.c_str());
  }
  for (const auto& warning : check.warnings) std::printf("warning: %s\n", warning.text.c_str());
  // [/check]

  const auto& last = check.placement.operators.back();
  if (check.placement.on_cpu() != 1 || last.op != "aten.softmax.int" || last.partition || last.reason.empty()) {
    std::fprintf(stderr, "guide_neutron_options: expected the softmax alone on the CPU, with a reason\n");
    return 1;
  }
  return 0;
} catch (const std::exception& error) {
  std::fprintf(stderr, "guide_neutron_options: %s\n", error.what());
  return 1;
}

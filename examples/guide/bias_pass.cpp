// The bias pass on a program that PyTorch's own convert wrote. usage: guide_bias_pass BEFORE.pt2 INPUT.npy EXPECTED.npy
#include <octet/formats/model_file.h>
#include <octet/formats/npy.h>
#include <octet/quantize/bias_pass.h>
#include <octet/quantize/sqnr.h>

#include <cstdio>

using namespace octet;

int main(int argc, char** argv) try {
  if (argc != 4) {
    std::fprintf(stderr, "usage: guide_bias_pass BEFORE.pt2 INPUT.npy EXPECTED.npy\n");
    return 2;
  }
  const std::string path = argv[1];

  // [bias-pass]
  auto program = load_model(path);  // what convert_pt2e of PyTorch gave, written by torch.export.save
  size_t fixed = QuantizeFusedConvBnBiasAtenPass(/*default_zero_bias=*/true)(*program);
  // [/bias-pass]

  const double sqnr_db = compute_error(read_npy(argv[3]), program->forward(read_npy(argv[2])));
  std::printf("%zu bias quantized, SQNR against the reference's own pass %.1f dB\n", fixed, sqnr_db);
  if (fixed != 1 || sqnr_db < 60.0) {
    std::fprintf(stderr, "guide_bias_pass: expected one bias and the reference's output\n");
    return 1;
  }
  return 0;
} catch (const std::exception& error) {
  std::fprintf(stderr, "guide_bias_pass: %s\n", error.what());
  return 1;
}

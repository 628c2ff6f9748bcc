#pragma once

#include <filesystem>

#include "octet/formats/npy.h"
#include "octet/formats/pt2.h"
#include "octet/support/error.h"
#include "octet/targets/engine/calibrate_and_quantize.h"
#include "octet/targets/neutron/neutron_quantizer.h"
#include "tests/support/test_data.h"

namespace octet::test {

/// One folder of tests/data/golden/cases.
class GoldenCase {
 public:
  explicit GoldenCase(std::string name) : name_(std::move(name)) {}

  static std::vector<std::string> all() {
    std::vector<std::string> names;
    if (!std::filesystem::is_directory(data("golden/cases"))) return names;
    for (const auto& entry : std::filesystem::directory_iterator(data("golden/cases"))) {
      names.push_back(entry.path().filename().string());
    }
    std::sort(names.begin(), names.end());
    return names;
  }

  std::string file(const std::string& leaf) const { return data("golden/cases/" + name_ + "/" + leaf); }
  bool has(const std::string& leaf) const { return std::filesystem::exists(file(leaf)); }

  std::vector<at::Tensor> arrays(const std::string& prefix) const {
    std::vector<at::Tensor> tensors;
    for (int64_t j = 0; has(octet::str(prefix, j, ".npy")); ++j) {
      tensors.push_back(read_npy(file(octet::str(prefix, j, ".npy"))));
    }
    return tensors;
  }

  std::shared_ptr<GraphModule> quantize(bool is_qat = false,
                                        SigmoidInput sigmoid_input = SigmoidInput::kObserved) const {
    std::vector<std::vector<at::Tensor>> samples;
    for (int64_t i = 0; has(octet::str("calib_", i, "_0.npy")); ++i)
      samples.push_back(arrays(octet::str("calib_", i, "_")));
    NeutronOptions options;
    options.is_qat = is_qat;
    options.sigmoid_input = sigmoid_input;
    // A square is a product, and one on the reference's fixed grid would be cut off.
    options.mul_range = name_ == "island_pow" ? MulRange::kObserved : MulRange::kReference;
    options.without_passes = {"merge_parallel_convolutions"};  // cases of a sum are two convolutions of one input
    NeutronQuantizer quantizer(options);
    auto quantized = calibrate_and_quantize(load_pt2(file("model.pt2")), samples, quantizer);
    propagate_shapes(*quantized, arrays("test_"));
    return quantized;
  }

 private:
  std::string name_;
};

}  // namespace octet::test

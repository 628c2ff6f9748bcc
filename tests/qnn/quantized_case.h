#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "octet/formats/npy.h"
#include "octet/formats/pt2.h"
#include "octet/quantize/calibrate.h"
#include "octet/quantize/quantize_pt2e.h"
#include "octet/quantize/rows.h"
#include "octet/support/error.h"
#include "octet/targets/engine/calibrate_and_quantize.h"
#include "octet/targets/engine/table_quantizer.h"
#include "octet/targets/targets.h"
#include "tests/support/test_data.h"

namespace octet::test {

/// A model of tests/data/golden/cases and its calibration samples.
struct GoldenCase {
  explicit GoldenCase(const std::string& name) : folder(data("golden/cases/" + name)) {}

  std::shared_ptr<GraphModule> model() const { return load_pt2(folder + "/model.pt2"); }
  std::vector<at::Tensor> inputs(const std::string& prefix) const {
    std::vector<at::Tensor> read;
    for (int64_t j = 0; std::filesystem::exists(str(folder, '/', prefix, j, ".npy")); ++j) {
      read.push_back(read_npy(str(folder, '/', prefix, j, ".npy")));
    }
    return read;
  }
  std::vector<std::vector<at::Tensor>> samples() const {
    std::vector<std::vector<at::Tensor>> all;
    for (int64_t i = 0; std::filesystem::exists(str(folder, "/calib_", i, "_0.npy")); ++i) {
      all.push_back(inputs(str("calib_", i, '_')));
    }
    return all;
  }
  std::shared_ptr<GraphModule> quantized(Quantizer& quantizer) const {
    return calibrate_and_quantize(model(), samples(), quantizer);
  }
  /// In a mode of the QNN target.
  std::shared_ptr<GraphModule> quantized(const std::string& mode,
                                         std::map<std::string, std::string> settings = {}) const {
    targets::QuantizerOptions options;
    options.scheme = mode;
    options.settings = std::move(settings);
    targets::TableQuantizer quantizer(all_targets().find("qnn"), options);
    return quantized(quantizer);
  }

  std::string folder;
};

inline std::vector<QuantRow> rows_of(const GraphModule& module, const std::string& op) {
  std::vector<QuantRow> rows = quantization_rows(module);
  std::erase_if(rows, [&](const QuantRow& row) { return row.op != op; });
  return rows;
}

}  // namespace octet::test

// Quantized and prepared models through .pt2 files.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "octet/formats/npy.h"
#include "octet/formats/pt2_writer.h"
#include "octet/quantize/fake_quantize.h"
#include "octet/quantize/freeze.h"
#include "octet/quantize/qdq.h"
#include "octet/quantize/quantize_pt2e.h"
#include "octet/quantize/rows.h"
#include "octet/targets/engine/calibrate_and_quantize.h"
#include "octet/targets/neutron/neutron_quantizer.h"
#include "tests/formats/same_model.h"
#include "tests/support/error_test.h"
#include "tests/support/test_data.h"

namespace octet {
namespace {

namespace fs = std::filesystem;

constexpr Pt2WriteOptions kLayouts[] = {{Pt2Layout::kCurrent}, {Pt2Layout::kLegacy}};

std::vector<std::vector<at::Tensor>> samples(const fs::path& folder) {
  std::vector<std::vector<at::Tensor>> all;
  for (int i = 0; i < 4; ++i) all.push_back(test::numbered_arrays(folder, octet::str("calib_", i)));
  return all;
}

// What comes back from a file, in both layouts, is what went in.
void expect_round_trip(const GraphModule& module, const std::string& name, const std::vector<at::Tensor>& inputs) {
  test::keep_for_peers(module, name, inputs);
  const auto original = module.copy();
  const test::TemporaryFolder folder;
  for (const Pt2WriteOptions& options : kLayouts) {
    write_pt2(*original, folder.file("m.pt2"), options);
    const auto again = load_pt2(folder.file("m.pt2"));
    if (is_quantized(module)) {
      EXPECT_EQ(rows_text(quantization_rows(*again)), rows_text(quantization_rows(*original)));
    }
    test::expect_same_tensors(*again, *original);
    test::expect_same_results(*again, *original, inputs);
    write_pt2(*again, folder.file("again.pt2"), options);
    test::expect_same_model(*load_pt2(folder.file("again.pt2")), *again);
  }
}

std::vector<fs::path> case_folders() {
  std::vector<fs::path> folders;
  for (const fs::path& file : test::pt2_files(test::data("golden/cases"))) folders.push_back(file.parent_path());
  return folders;
}

class SavedCase : public ::testing::TestWithParam<fs::path> {
 protected:
  std::shared_ptr<GraphModule> model() const { return load_pt2(GetParam() / "model.pt2"); }
  std::string name() const { return GetParam().filename(); }
  std::vector<at::Tensor> inputs() const { return test::numbered_arrays(GetParam(), "test"); }
  std::shared_ptr<GraphModule> prepared(bool for_training) const {
    NeutronQuantizer quantizer(NeutronTargetSpec("imxrt700"), for_training);
    auto module = for_training ? prepare_qat_pt2e(model(), quantizer) : prepare_pt2e(model(), quantizer);
    module->train(false);
    const at::NoGradGuard no_grad;
    for (const auto& sample : samples(GetParam())) module->run(sample);
    return module;
  }
};

TEST_P(SavedCase, QuantizedAfterTraining) {
  NeutronQuantizer quantizer(NeutronTargetSpec("imxrt700"));
  expect_round_trip(*calibrate_and_quantize(model(), samples(GetParam()), quantizer), "ptq/" + name(), inputs());
}

TEST_P(SavedCase, QuantizedInTraining) {
  NeutronQuantizer quantizer(NeutronTargetSpec("imxrt700"), true);
  expect_round_trip(*calibrate_and_quantize(model(), samples(GetParam()), quantizer), "qat/" + name(), inputs());
}

// As PyTorch's own operators, to the bit.
TEST_P(SavedCase, FrozenWhilePrepared) {
  const at::NoGradGuard no_grad;
  for (const bool for_training : {false, true}) {
    const auto module = prepared(for_training);
    module->apply(disable_observer);
    const auto plain = frozen(*module);
    EXPECT_TRUE(plain->callable_names().empty());
    test::expect_same_results(*plain, *module, inputs());
    expect_round_trip(*plain, (for_training ? "frozen_qat/" : "frozen_ptq/") + name(), inputs());
  }
}

std::string case_name(const ::testing::TestParamInfo<fs::path>& info) { return info.param.filename(); }
INSTANTIATE_TEST_SUITE_P(Cases, SavedCase, ::testing::ValuesIn(case_folders()), case_name);

// What torchao wrote, in both dialects and layouts of ours.
TEST(SavedPt2, TorchaosOwnQuantizedFiles) {
  const auto files = test::pt2_files(test::data("golden/bias_pass"));
  ASSERT_EQ(files.size(), 3u);
  for (const fs::path& file : files) {
    const auto module = load_pt2(file);
    const fs::path folder = file.parent_path();
    expect_round_trip(*module, "torchao/" + folder.filename().string(), test::numbered_arrays(folder, "test"));
    const test::TemporaryFolder temporary;
    for (const Pt2WriteOptions& options : kLayouts) {
      write_pt2(*module, temporary.file("m.pt2"), options);
      test::expect_same_model(*load_pt2(temporary.file("m.pt2")), *module);
    }
  }
}

TEST(SavedPt2, PreparedModelsAreRefusedWithAWayOut) {
  NeutronQuantizer quantizer(NeutronTargetSpec("imxrt700"));
  const auto prepared = prepare_pt2e(load_pt2(test::data("golden/cases/conv_relu/model.pt2")), quantizer);
  const test::TemporaryFolder folder;
  EXPECT_TRUE(test::fails_with([&] { write_pt2(*prepared, folder.file("m.pt2")); }, "write frozen(model)"));
}

}  // namespace
}  // namespace octet

#include <gtest/gtest.h>

#include <filesystem>
#include <set>

#include "../support/test_data.h"
#include "octet/formats/npy.h"
#include "octet/formats/pt2.h"
#include "octet/lowering/batch.h"
#include "tests/graph/expect_error.h"

namespace octet {
namespace {

namespace fs = std::filesystem;

// Programs that mix what stands along dimension 0 by intent: of the GRU it is time, the sum takes all.
const std::set<std::string> kMixSamples = {"limit_cat_batch", "limit_pad_batch", "gru_2_layers", "op_sum"};

std::vector<std::string> cases() {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(test::data("golden/cases"))) {
    if (fs::exists(entry.path() / "model.pt2")) names.push_back(entry.path().filename().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

std::vector<at::Tensor> sample(const std::string& name, int64_t index, size_t inputs) {
  std::vector<at::Tensor> tensors;
  for (size_t j = 0; j < inputs; ++j) {
    tensors.push_back(read_npy(
        test::data("golden/cases/" + name + "/calib_" + std::to_string(index) + "_" + std::to_string(j) + ".npy")));
  }
  return tensors;
}

// Exported with the batch of its samples; three of them at once give what each gives alone.
TEST(BatchGolden, SeveralSamplesAtOnceGiveTheRowsOfEach) {
  const auto names = cases();
  ASSERT_FALSE(names.empty());
  for (const std::string& name : names) {
    if (kMixSamples.count(name) || name == "op_squeeze_chain") continue;
    SCOPED_TRACE(name);
    auto program = load_pt2(test::data("golden/cases/" + name + "/model.pt2"));
    const size_t inputs = program->graph().placeholders().size();
    std::vector<std::vector<at::Tensor>> samples;
    std::vector<at::Tensor> alone;
    for (int64_t i = 0; i < 3; ++i) {
      samples.push_back(sample(name, i, inputs));
      alone.push_back(program->run(samples.back())[0]);
    }
    try {
      make_batch_flexible(*program);
      program->verify();
      std::vector<at::Tensor> joined;
      for (size_t j = 0; j < inputs; ++j) joined.push_back(at::cat({samples[0][j], samples[1][j], samples[2][j]}));
      const at::Tensor all = program->run(joined)[0];
      EXPECT_TRUE(at::allclose(program->run(samples[1])[0], alone[1], 1e-4, 1e-5));  // still right at its own batch
      // A squeeze that drops the batch of one leaves a batch of three.
      const at::Tensor wanted = all.dim() > alone[0].dim() ? at::stack(alone) : at::cat(alone);
      ASSERT_EQ(all.sizes(), wanted.sizes());
      EXPECT_TRUE(at::allclose(all, wanted, 1e-4, 1e-5)) << (all - wanted).abs().max().item<float>();
    } catch (const std::exception& error) {
      ADD_FAILURE() << error.what();
    }
  }
}

TEST(BatchGolden, ASqueezedBatchIsNamed) {
  auto program = load_pt2(test::data("golden/cases/op_squeeze_chain/model.pt2"));
  test::expect_error([&] { make_batch_flexible(*program); }, {"[squeeze 'squeeze']", "at batch 1"});
}

TEST(BatchGolden, Variants) {
  for (const auto& entry : fs::directory_iterator(test::data("golden/pt2_variants"))) {
    const std::string name = entry.path().filename().string();
    if (!fs::exists(entry.path() / "model.pt2") || !fs::exists(entry.path() / "float_out.npy")) continue;
    SCOPED_TRACE(name);
    auto program = load_pt2((entry.path() / "model.pt2").string());
    make_batch_flexible(*program);
    for (const int64_t batch : {1, 5}) {
      const auto results = program->run(example_inputs(*program, batch));
      for (const at::Tensor& result : results) EXPECT_EQ(result.size(0), batch);
    }
  }
}

}  // namespace
}  // namespace octet

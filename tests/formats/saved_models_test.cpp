// Prepared and quantized models through octet's container: a program of its own, since it needs the rooms above.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "octet/formats/container.h"
#include "octet/formats/npy.h"
#include "octet/formats/pt2.h"
#include "octet/quantize/observer.h"
#include "octet/quantize/quantize_pt2e.h"
#include "octet/targets/engine/calibrate_and_quantize.h"
#include "octet/targets/neutron/neutron_quantizer.h"
#include "tests/support/error_test.h"
#include "tests/support/test_data.h"

namespace octet {
namespace {

namespace fs = std::filesystem;

class SavedModel : public ::testing::TestWithParam<std::string> {
 protected:
  std::string file(const std::string& name) const { return test::data("golden/cases/" + GetParam() + "/" + name); }
  std::shared_ptr<GraphModule> model() const { return load_pt2(file("model.pt2")); }
  std::vector<at::Tensor> sample(int index) const {
    std::vector<at::Tensor> inputs;
    for (int j = 0; fs::exists(file(str("calib_", index, "_", j, ".npy"))); ++j) {
      inputs.push_back(read_npy(file(str("calib_", index, "_", j, ".npy"))));
    }
    return inputs;
  }
  std::shared_ptr<GraphModule> through_file(const GraphModule& module) const {
    const test::TemporaryFolder folder;
    save_octet(module, folder.file("m"));
    return load_octet(folder.file("m"));
  }
};

void expect_same_results(GraphModule& a, GraphModule& b, const std::vector<at::Tensor>& inputs) {
  const auto left = a.run(inputs);
  const auto right = b.run(inputs);
  ASSERT_EQ(left.size(), right.size());
  for (size_t i = 0; i < left.size(); ++i) EXPECT_TRUE(at::equal(left[i], right[i])) << "output " << i;
}

void expect_same_state(GraphModule& a, GraphModule& b) {
  const auto left = a.named_buffers();
  const auto right = b.named_buffers();
  ASSERT_EQ(left.size(), right.size());
  for (const auto& entry : left) {
    const at::Tensor* other = right.find(entry.key());
    ASSERT_NE(other, nullptr) << entry.key();
    EXPECT_TRUE(at::equal(entry.value(), *other)) << entry.key();
  }
}

TEST_P(SavedModel, QuantizedAfterTraining) {
  const at::NoGradGuard no_grad;
  NeutronQuantizer quantizer(NeutronTargetSpec("imxrt700"));
  const auto quantized = calibrate_and_quantize(model(), {sample(0), sample(1)}, quantizer);
  const auto loaded = through_file(*quantized);
  EXPECT_EQ(loaded->graph().text(), quantized->graph().text());
  expect_same_results(*loaded, *quantized, sample(2));
}

// Observers half way through calibration go on as if nothing had happened.
TEST_P(SavedModel, PreparedAndHalfCalibrated) {
  const at::NoGradGuard no_grad;
  NeutronQuantizer quantizer(NeutronTargetSpec("imxrt700"));
  const auto prepared = prepare_pt2e(model(), quantizer);
  prepared->run(sample(0));
  const auto loaded = through_file(*prepared);
  EXPECT_EQ(loaded->graph().text(), prepared->graph().text());
  for (const auto& module : {prepared, loaded}) module->run(sample(1));
  expect_same_state(*loaded, *prepared);
  const auto left = convert_pt2e(loaded);
  const auto right = convert_pt2e(prepared);
  EXPECT_EQ(left->graph().text(), right->graph().text());
  expect_same_results(*left, *right, sample(2));
}

// Every buffer, switch and mode as it was, before anything runs again; the file of what came back is the same file.
TEST_P(SavedModel, PreparedStateToTheBit) {
  const test::TemporaryFolder folder;
  for (const bool for_training : {false, true}) {
    NeutronQuantizer quantizer(NeutronTargetSpec("imxrt700"), for_training);
    const auto prepared = for_training ? move_exported_model_to_train(prepare_qat_pt2e(model(), quantizer))
                                       : prepare_pt2e(model(), quantizer);
    prepared->run(sample(0));
    const std::vector<std::string> names = prepared->callable_names();
    ASSERT_FALSE(names.empty());
    prepared->callable(names.back())->apply(disable_observer);
    prepared->callable(names.front())->apply(disable_fake_quant);
    save_octet(*prepared, folder.file("a"));
    const auto loaded = load_octet(folder.file("a"));
    expect_same_state(*loaded, *prepared);
    EXPECT_EQ(loaded->callable_names(), names);
    for (const std::string& name : names) {
      EXPECT_EQ(loaded->callable(name)->is_training(), prepared->callable(name)->is_training()) << name;
    }
    save_octet(*loaded, folder.file("b"));
    EXPECT_EQ(read_file(folder.file("a")), read_file(folder.file("b")));
  }
}

// The same in the middle of training: ranges, statistics and gradients.
TEST_P(SavedModel, PreparedForTrainingAndHalfTrained) {
  at::manual_seed(0);
  NeutronQuantizer quantizer(NeutronTargetSpec("imxrt700"), true);
  const auto prepared = move_exported_model_to_train(prepare_qat_pt2e(model(), quantizer));
  prepared->run(sample(0));
  const auto loaded = through_file(*prepared);
  EXPECT_TRUE(loaded->is_training());
  for (const auto& module : {prepared, loaded}) {
    at::manual_seed(1);  // dropout
    for (const at::Tensor& result : module->run(sample(1))) {
      if (result.requires_grad()) result.sum().backward({}, true);
    }
  }
  expect_same_state(*loaded, *prepared);
  const auto parameters = loaded->named_parameters();
  for (const auto& entry : prepared->named_parameters()) {
    const at::Tensor* other = parameters.find(entry.key());
    ASSERT_NE(other, nullptr) << entry.key();
    EXPECT_TRUE(at::equal(*other, entry.value())) << entry.key();
    ASSERT_EQ(other->grad().defined(), entry.value().grad().defined()) << entry.key();
    if (other->grad().defined()) {
      EXPECT_TRUE(at::equal(other->grad(), entry.value().grad())) << entry.key();
    }
  }
  expect_same_results(*convert_pt2e(loaded), *convert_pt2e(prepared), sample(2));
}

INSTANTIATE_TEST_SUITE_P(Cases, SavedModel,
                         ::testing::Values("conv_bn_relu", "conv_depthwise", "conv_transpose_bn_relu", "linear_bn_relu",
                                           "op_add_relu", "op_cat", "op_softmax", "op_split", "op_maximum",
                                           "net_cifarnet", "net_shuffle_unit", "net_unet"),
                         [](const auto& entry) { return entry.param; });

}  // namespace
}  // namespace octet

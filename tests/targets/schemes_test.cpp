#include <gtest/gtest.h>

#include "octet/targets/targets.h"

namespace octet {
namespace {

// "" where there is none.
std::string in_training(const std::string& target, const std::string& scheme) {
  const auto found = all_targets().find(target, "test")->scheme_in_training(scheme);
  return found ? found->name : "";
}

TEST(Schemes, AfterTrainingHaveOneInTraining) {
  EXPECT_EQ(in_training("xnnpack", "static-per-channel"), "qat-per-channel");
  EXPECT_EQ(in_training("xnnpack", "dynamic-per-channel"), "qat-dynamic-per-channel");
  EXPECT_EQ(in_training("qnn", "8a8w-per-tensor"), "qat-8a8w-per-tensor");
  EXPECT_EQ(in_training("coreml", "static-affine"), "qat-affine");
  EXPECT_EQ(in_training("coreml", "weight-only"), "");
  EXPECT_EQ(in_training("intx", "weight-int8-channel"), "");
}

}  // namespace
}  // namespace octet

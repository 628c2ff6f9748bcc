#include <ATen/ATen.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include "octet/train/group.h"

namespace octet {
namespace {

// Two ranks that have the same batch: every sum is twice this one's.
class Mirror : public Group {
 public:
  int64_t rank() const override { return 0; }
  int64_t size() const override { return 2; }
  std::unique_ptr<Pending> begin_sum(const std::vector<at::Tensor>& tensors) override {
    ++sums;
    for (const at::Tensor& each : tensors) each.mul_(2);
    struct Done : Pending {
      void wait() override {}
    };
    return std::make_unique<Done>();
  }
  void greatest(const at::Tensor&) override {}
  void broadcast(const at::Tensor&) override {}
  int64_t sums = 0;
};

struct NormRun {
  at::Tensor y, mean, variance, dx, dgamma;
  int64_t sums = 0;
};

using Norm = std::function<at::Tensor(const at::Tensor& x, const at::Tensor& gamma, const at::Tensor& beta,
                                      at::Tensor& mean, at::Tensor& variance)>;

NormRun normed(const Norm& norm, bool in_two) {
  at::manual_seed(4);
  const at::Tensor x = at::randn({6, 3, 4, 5}, at::kDouble).add_(2).requires_grad_(true);
  const at::Tensor gamma = at::randn({3}, at::kDouble).requires_grad_(true), beta = at::randn({3}, at::kDouble);
  NormRun found;
  found.mean = at::zeros({3}, at::kDouble);
  found.variance = at::ones({3}, at::kDouble);
  const at::Tensor weights = at::randn({6, 3, 4, 5}, at::kDouble);
  Mirror mirror;
  {
    std::unique_ptr<SyncBatchNorm> synchronous;
    if (in_two) synchronous = std::make_unique<SyncBatchNorm>(mirror);
    found.y = norm(x, gamma, beta, found.mean, found.variance);
    (found.y * weights).sum().backward();
  }
  found.dx = x.grad();
  found.dgamma = gamma.grad();
  found.sums = mirror.sums;
  return found;
}

struct Form {
  const char* name;
  Norm norm;
};

const std::vector<Form> kForms = {
    {"batch_norm",
     [](const auto& x, const auto& gamma, const auto& beta, auto& mean, auto& variance) {
       return at::batch_norm(x, gamma, beta, mean, variance, true, 0.1, 1e-5, false);
     }},
    {"native_batch_norm",
     [](const auto& x, const auto& gamma, const auto& beta, auto& mean, auto& variance) {
       return std::get<0>(at::native_batch_norm(x, gamma, beta, mean, variance, true, 0.1, 1e-5));
     }},
    {"_native_batch_norm_legit",
     [](const auto& x, const auto& gamma, const auto& beta, auto& mean, auto& variance) {
       return std::get<0>(at::_native_batch_norm_legit(x, gamma, beta, mean, variance, true, 0.1, 1e-5));
     }},
    {"_native_batch_norm_legit_functional",
     [](const auto& x, const auto& gamma, const auto& beta, auto& mean, auto& variance) {
       const auto all = at::_native_batch_norm_legit_functional(x, gamma, beta, mean, variance, true, 0.1, 1e-5);
       mean = std::get<3>(all);
       variance = std::get<4>(all);
       return std::get<0>(all);
     }},
    {"_batch_norm_with_update",
     [](const auto& x, const auto& gamma, const auto& beta, auto& mean, auto& variance) {
       return std::get<0>(at::_batch_norm_with_update(x, gamma, beta, mean, variance, 0.1, 1e-5));
     }},
    {"_batch_norm_with_update_functional",
     [](const auto& x, const auto& gamma, const auto& beta, auto& mean, auto& variance) {
       const auto all = at::_batch_norm_with_update_functional(x, gamma, beta, mean, variance, 0.1, 1e-5);
       mean = std::get<4>(all);
       variance = std::get<5>(all);
       return std::get<0>(all);
     }},
};

// With the same batch on both, values and gradients are one batch's, and the variance that is kept is that of twice as
// many elements.
TEST(SyncBatchNorm, MeetsInEveryFormOfTheOperator) {
  for (const Form& form : kForms) {
    const NormRun one = normed(form.norm, false), two = normed(form.norm, true);
    EXPECT_EQ(one.sums, 0) << form.name;
    EXPECT_EQ(two.sums, 4) << form.name << ": two forward, two backward";
    EXPECT_TRUE(at::allclose(two.y, one.y)) << form.name;
    EXPECT_TRUE(at::allclose(two.dx, one.dx, 1e-6, 1e-9)) << form.name;
    EXPECT_TRUE(at::allclose(two.dgamma, one.dgamma)) << form.name;
    EXPECT_TRUE(at::allclose(two.mean, one.mean)) << form.name;
    const double count = 6 * 4 * 5, factor = (2 * count / (2 * count - 1)) / (count / (count - 1));
    EXPECT_TRUE(at::allclose(two.variance - 0.9, (one.variance - 0.9) * factor)) << form.name;
  }
}

TEST(SyncBatchNorm, LeavesAloneWhatNormalizesEachSample) {
  const Norm instance_norm = [](const auto& x, const auto& gamma, const auto& beta, auto&, auto&) {
    return at::instance_norm(x, gamma, beta, {}, {}, true, 0.1, 1e-5, false);
  };
  const Norm in_eval = [](const auto& x, const auto& gamma, const auto& beta, auto& mean, auto& variance) {
    return std::get<0>(at::native_batch_norm(x, gamma, beta, mean, variance, false, 0.1, 1e-5));
  };
  for (const Norm& norm : {instance_norm, in_eval}) {
    const NormRun one = normed(norm, false), two = normed(norm, true);
    EXPECT_EQ(two.sums, 0);
    EXPECT_TRUE(at::equal(two.y, one.y));
    EXPECT_TRUE(at::equal(two.dx, one.dx));
  }
}

}  // namespace
}  // namespace octet

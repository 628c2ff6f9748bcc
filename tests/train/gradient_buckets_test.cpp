#include "octet/train/gradient_buckets.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/custom_function.h>

namespace octet {
namespace {

// What is told in order: "back" where backward passes a value, "send N" for a message of N numbers, "wait".
std::vector<std::string>& told() {
  static std::vector<std::string> all;
  return all;
}

struct TellBackward : torch::autograd::Function<TellBackward> {
  static at::Tensor forward(torch::autograd::AutogradContext*, const at::Tensor& x) { return x.clone(); }
  static torch::autograd::variable_list backward(torch::autograd::AutogradContext*,
                                                 const torch::autograd::variable_list& gradients) {
    told().push_back("back");
    return gradients;
  }
};

// Two processes of which the other one has the same gradients.
class Twin : public Group {
 public:
  int64_t rank() const override { return 0; }
  int64_t size() const override { return 2; }
  std::unique_ptr<Pending> begin_sum(const std::vector<at::Tensor>& tensors) override {
    int64_t numbers = 0;
    for (const at::Tensor& tensor : tensors) numbers += tensor.numel();
    told().push_back("send " + std::to_string(numbers));
    return std::make_unique<Doubled>(tensors);
  }
  void greatest(const at::Tensor&) override {}
  void broadcast(const at::Tensor&) override {}

 private:
  class Doubled : public Pending {
   public:
    explicit Doubled(std::vector<at::Tensor> tensors) : tensors_(std::move(tensors)) {}
    void wait() override {
      told().push_back("wait");
      for (const at::Tensor& tensor : tensors_) tensor.mul_(2);
    }

   private:
    std::vector<at::Tensor> tensors_;
  };
};

struct Layers {
  std::vector<at::Tensor> weights;
  explicit Layers(int count) {
    for (int i = 0; i < count; ++i) weights.push_back(at::full({4}, 1.0 + i).requires_grad_(true));
  }
  // Backward passes the last layer first, and says so behind each.
  at::Tensor loss(size_t used) const {
    at::Tensor x = at::ones({4});
    for (size_t i = 0; i < used; ++i) x = TellBackward::apply(x * weights[i]);
    return x.sum();
  }
};

TEST(GradientBuckets, GoOutWhileBackwardComputes) {
  const Layers net(3);
  GradientBuckets buckets(std::make_shared<Twin>(), net.weights, /*bytes=*/16);
  net.loss(3).backward();  // none is expected: of a batch that is not the step's last
  EXPECT_EQ(told(), (std::vector<std::string>{"back", "back", "back"}));
  const std::vector<at::Tensor> first = {net.weights[0].grad().clone(), net.weights[2].grad().clone()};
  told().clear();
  buckets.expect();
  net.loss(3).backward();
  EXPECT_EQ(told(), (std::vector<std::string>{"back", "send 4", "back", "send 4", "back", "send 4"}));
  told().clear();
  buckets.finish();
  EXPECT_EQ(told(), (std::vector<std::string>{"wait", "wait", "wait"}));
  // Both batches of both processes.
  EXPECT_TRUE(at::equal(net.weights[0].grad(), 4 * first[0]));
  EXPECT_TRUE(at::equal(net.weights[2].grad(), 4 * first[1]));
}

TEST(GradientBuckets, HoldNeighboursAndLeaveOutWhatHasNoGradient) {
  const Layers net(5);
  net.weights[1].set_requires_grad(false);
  GradientBuckets buckets(std::make_shared<Twin>(), net.weights, /*bytes=*/32);  // 4 and 3, 2 and 0
  told().clear();
  buckets.expect();
  net.loss(4).backward();  // 4 takes no part, so that its bucket waits for the end, and all behind it
  EXPECT_EQ(told(), (std::vector<std::string>{"back", "back", "back", "back"}));
  buckets.finish();
  EXPECT_EQ(told(), (std::vector<std::string>{"back", "back", "back", "back", "send 4", "send 8", "wait", "wait"}));
  EXPECT_FALSE(net.weights[4].grad().defined());
  EXPECT_FALSE(net.weights[1].grad().defined());
}

}  // namespace
}  // namespace octet

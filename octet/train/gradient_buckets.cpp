#include "octet/train/gradient_buckets.h"

#include <torch/csrc/autograd/function_hook.h>
#include <torch/csrc/autograd/variable.h>

#include <algorithm>
#include <functional>
#include <utility>

namespace octet {
namespace {

class WhenAccumulated : public torch::autograd::PostAccumulateGradHook {
 public:
  explicit WhenAccumulated(std::function<void()> then) : then_(std::move(then)) {}
  void operator()(const torch::autograd::Variable& /*parameter*/) override { then_(); }

 private:
  std::function<void()> then_;
};

}  // namespace

GradientBuckets::GradientBuckets(std::shared_ptr<Group> group, const std::vector<at::Tensor>& parameters, int64_t bytes)
    : group_(std::move(group)) {
  int64_t held = 0;
  for (auto each = parameters.rbegin(); each != parameters.rend(); ++each) {
    if (!each->requires_grad()) continue;
    const auto own = static_cast<int64_t>(each->nbytes());
    const bool fits =
        !buckets_.empty() && held + own <= bytes && buckets_.back().parameters[0].scalar_type() == each->scalar_type();
    if (!fits) {
      buckets_.emplace_back();
      held = 0;
    }
    buckets_.back().parameters.push_back(*each);
    held += own;
  }
  for (size_t i = 0; i < buckets_.size(); ++i) {
    for (const at::Tensor& parameter : buckets_[i].parameters) {
      torch::autograd::impl::set_post_acc_grad_hooks(
          parameter, std::make_unique<WhenAccumulated>([this, i] { gradient_is_whole(i); }));
    }
  }
}

GradientBuckets::~GradientBuckets() {
  for (const Bucket& bucket : buckets_) {
    for (const at::Tensor& parameter : bucket.parameters) {
      torch::autograd::impl::set_post_acc_grad_hooks(parameter, nullptr);
    }
  }
}

void GradientBuckets::expect() {
  for (Bucket& bucket : buckets_) bucket.missing = bucket.parameters.size();
  next_ = 0;
  is_expecting_ = true;
}

void GradientBuckets::gradient_is_whole(size_t bucket) {
  if (!is_expecting_) return;
  --buckets_[bucket].missing;
  while (next_ < buckets_.size() && buckets_[next_].missing == 0) send(buckets_[next_++]);
}

void GradientBuckets::send(Bucket& bucket) {
  bucket.gradients.clear();
  for (const at::Tensor& parameter : bucket.parameters) {
    if (parameter.grad().defined()) bucket.gradients.push_back(parameter.grad());
  }
  if (!bucket.gradients.empty()) bucket.pending = group_->begin_sum(bucket.gradients);
}

void GradientBuckets::finish() {
  is_expecting_ = false;
  while (next_ < buckets_.size()) send(buckets_[next_++]);
  for (Bucket& bucket : buckets_) {
    if (bucket.pending) bucket.pending->wait();
    bucket.pending.reset();
    bucket.gradients.clear();
  }
}

}  // namespace octet

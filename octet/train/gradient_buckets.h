#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <vector>

#include "octet/train/group.h"

namespace octet {

/// Sums the gradients of all processes while backward still computes: parameters are put into buckets, the last ones
/// first, as their gradients come about in that order; a bucket goes out when all of its gradients are there and those
/// before it have gone. As torch's DistributedDataParallel does; with the same graph on all ranks, in the same order.
class GradientBuckets {
 public:
  /// `parameters`: those that a run trains. A bucket holds up to `bytes` of one type.
  GradientBuckets(std::shared_ptr<Group> group, const std::vector<at::Tensor>& parameters,
                  int64_t bytes = int64_t{2} << 20);
  ~GradientBuckets();
  GradientBuckets(const GradientBuckets&) = delete;
  GradientBuckets& operator=(const GradientBuckets&) = delete;

  /// The backward that comes is the last one of the step: what it adds to a gradient makes it whole.
  void expect();
  /// Behind that backward: sends what has not gone out, parameters without a gradient left out, and waits for all. The
  /// sums stand in the gradients.
  void finish();

 private:
  struct Bucket {
    std::vector<at::Tensor> parameters;
    size_t missing = 0;
    std::vector<at::Tensor> gradients;  // that have gone out
    std::unique_ptr<Group::Pending> pending;
  };

  void gradient_is_whole(size_t bucket);
  void send(Bucket& bucket);

  std::shared_ptr<Group> group_;
  std::vector<Bucket> buckets_;
  size_t next_ = 0;  // the first that has not gone out
  bool is_expecting_ = false;
};

}  // namespace octet

#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "octet/train/model_handle.h"

namespace octet {

/// What a moving average is kept of: the parameters, then BatchNorm's means and variances.
std::vector<at::Tensor> averaged_tensors(const ModelHandle& model);

/// After step `step`, counted from 1: average += (1 - d) * (value - average), d = min(decay, (1 + step) / (10 + step)),
/// so that the first steps do not weigh on it (as TensorFlow's ExponentialMovingAverage with num_updates). An empty
/// average begins as the values are.
void advance_average(std::vector<at::Tensor>& average, const ModelHandle& model, double decay, int64_t step);

/// Into the model. Throws octet::Error where the average is of another model.
void take_average(const ModelHandle& model, const std::vector<at::Tensor>& average);

/// While it stands, the model has the average; then its own values again, to the bit. Nothing for an empty one.
class WithAverage {
 public:
  WithAverage(const ModelHandle& model, const std::vector<at::Tensor>& average);
  ~WithAverage();
  WithAverage(const WithAverage&) = delete;
  WithAverage& operator=(const WithAverage&) = delete;

 private:
  std::vector<at::Tensor> tensors_;
  std::vector<at::Tensor> own_;
};

}  // namespace octet

#include "octet/train/average.h"

#include <ATen/core/grad_mode.h>

#include <algorithm>

#include "octet/support/error.h"

namespace octet {
namespace {

void assign(const std::vector<at::Tensor>& tensors, const std::vector<at::Tensor>& values) {
  const at::NoGradGuard no_grad;
  for (size_t i = 0; i < tensors.size(); ++i) tensors[i].copy_(values[i]);
}

std::vector<at::Tensor> copies_of(const std::vector<at::Tensor>& tensors) {
  std::vector<at::Tensor> copies;
  for (const at::Tensor& tensor : tensors) copies.push_back(tensor.detach().clone());
  return copies;
}

}  // namespace

std::vector<at::Tensor> averaged_tensors(const ModelHandle& model) {
  std::vector<at::Tensor> all = model.parameters;
  for (const RunningStatistics& each : model.statistics) {
    all.push_back(each.mean);
    all.push_back(each.variance);
  }
  return all;
}

void advance_average(std::vector<at::Tensor>& average, const ModelHandle& model, double decay, int64_t step) {
  const at::NoGradGuard no_grad;
  const std::vector<at::Tensor> values = averaged_tensors(model);
  if (average.empty()) {
    average = copies_of(values);
    return;
  }
  const auto n = static_cast<double>(step);
  const double kept = std::min(decay, (1 + n) / (10 + n));
  for (size_t i = 0; i < values.size(); ++i) average.at(i).lerp_(values[i].detach(), 1 - kept);
}

void take_average(const ModelHandle& model, const std::vector<at::Tensor>& average) {
  const std::vector<at::Tensor> tensors = averaged_tensors(model);
  if (tensors.size() != average.size()) {
    throw expected("moving average", "tensors", str(tensors.size(), ", as many as the model has"), str(average.size()));
  }
  assign(tensors, average);
}

WithAverage::WithAverage(const ModelHandle& model, const std::vector<at::Tensor>& average) {
  if (average.empty()) return;
  tensors_ = averaged_tensors(model);
  own_ = copies_of(tensors_);
  take_average(model, average);
}

WithAverage::~WithAverage() { assign(tensors_, own_); }

}  // namespace octet

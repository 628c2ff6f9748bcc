#pragma once

// What the benchmarks of training and quantization share: a clock, and medians of rounds in which both sides take
// turns.

#include <ATen/ops/randn.h>

#include <algorithm>
#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "octet/graph/record.h"
#include "octet/lowering/batch.h"
#include "octet/models/registry.h"

namespace octet::benchmarks {

inline double milliseconds(const std::function<void()>& work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  return 1e3 * std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

class Figures {
 public:
  void add(double value) { values_.push_back(value); }
  double at(double quantile) const {
    std::vector<double> sorted = values_;
    std::sort(sorted.begin(), sorted.end());
    return sorted[static_cast<size_t>(quantile * static_cast<double>(sorted.size() - 1) + 0.5)];
  }
  double median() const { return at(0.5); }

 private:
  std::vector<double> values_;
};

/// A model of the registry as a graph in eval mode, for square images in any batch.
inline std::shared_ptr<GraphModule> exported_model(const std::string& name, int64_t size) {
  auto model = make_model(name);
  model->eval();
  auto exported = export_module(*model, {at::randn({1, 3, size, size})});
  make_batch_flexible(*exported);
  return exported;
}
inline std::shared_ptr<GraphModule> mobilenet_v2() { return exported_model("mobilenet_v2", 224); }

}  // namespace octet::benchmarks

#include "octet/integer/memory_plan.h"

#include <algorithm>
#include <numeric>

namespace octet::integer {
namespace {

constexpr int64_t kAlignment = 16;

struct Life {
  int64_t first = -1;
  int64_t last = -1;
  int64_t bytes = 0;
  bool overlaps(const Life& other) const { return first <= other.last && other.first <= last; }
};

}  // namespace

MemoryPlan plan_memory(const tflite::Model& model) {
  const auto steps = static_cast<int64_t>(model.operators.size());
  std::vector<Life> lives(model.tensors.size());
  const auto use = [&](int32_t tensor, int64_t step) {
    if (tensor < 0 || model.tensors[static_cast<size_t>(tensor)].is_constant) return;
    Life& life = lives[static_cast<size_t>(tensor)];
    if (life.first < 0) life.first = step;
    life.last = std::max(life.last, step);
  };
  for (const int32_t tensor : model.inputs) use(tensor, 0);
  for (int64_t step = 0; step < steps; ++step) {
    const tflite::Operator& op = model.operators[static_cast<size_t>(step)];
    for (const int32_t tensor : op.inputs) use(tensor, step);
    for (const int32_t tensor : op.outputs) use(tensor, step);
  }
  for (const int32_t tensor : model.outputs) use(tensor, steps);

  MemoryPlan plan;
  plan.offsets.assign(model.tensors.size(), -1);
  std::vector<size_t> order;
  for (size_t i = 0; i < lives.size(); ++i) {
    if (lives[i].first < 0) continue;
    const tflite::Tensor& tensor = model.tensors[i];
    const int64_t bytes = tensor.numel() * tflite::type_size(tensor.type);
    lives[i].bytes = (bytes + kAlignment - 1) / kAlignment * kAlignment;
    order.push_back(i);
  }
  for (int64_t step = 0; step <= steps; ++step) {
    int64_t alive = 0;
    for (const size_t i : order) {
      if (lives[i].first <= step && step <= lives[i].last) alive += lives[i].bytes;
    }
    plan.peak_bytes = std::max(plan.peak_bytes, alive);
  }
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return lives[a].bytes > lives[b].bytes; });
  std::vector<size_t> placed;  // by offset
  for (const size_t i : order) {
    int64_t offset = 0;
    for (const size_t other : placed) {
      if (!lives[i].overlaps(lives[other])) continue;
      if (offset + lives[i].bytes <= plan.offsets[other]) break;
      offset = std::max(offset, plan.offsets[other] + lives[other].bytes);
    }
    plan.offsets[i] = offset;
    plan.arena_bytes = std::max(plan.arena_bytes, offset + lives[i].bytes);
    placed.insert(std::upper_bound(placed.begin(), placed.end(), i,
                                   [&](size_t a, size_t b) { return plan.offsets[a] < plan.offsets[b]; }),
                  i);
  }
  return plan;
}

}  // namespace octet::integer

#include "octet/integer/memory_plan.h"

#include <algorithm>
#include <numeric>

namespace octet::integer {
namespace {

struct Life {
  int64_t first = -1;
  int64_t last = -1;
  int64_t bytes = 0;
  bool overlaps(const Life& other) const { return first <= other.last && other.first <= last; }
};

// Tensors by the steps that they live through, so that those which share a step with one are found without a look at
// the others.
class Timeline {
 public:
  explicit Timeline(size_t steps) : steps_(steps), starts_(steps), spans_(2 * steps) {}

  void add(size_t tensor, const Life& life) {
    starts_[static_cast<size_t>(life.first)].push_back(tensor);
    // A segment tree: the fewest nodes whose steps make up the life.
    size_t low = steps_ + static_cast<size_t>(life.first);
    size_t high = steps_ + static_cast<size_t>(life.last) + 1;
    for (; low < high; low /= 2, high /= 2) {
      if (low % 2 == 1) spans_[low++].push_back(tensor);
      if (high % 2 == 1) spans_[--high].push_back(tensor);
    }
  }

  std::vector<size_t> overlapping(const Life& life) const {
    std::vector<size_t> found;
    const auto add_all = [&](const std::vector<size_t>& tensors) {
      found.insert(found.end(), tensors.begin(), tensors.end());
    };
    for (size_t node = steps_ + static_cast<size_t>(life.first); node > 0; node /= 2) add_all(spans_[node]);
    for (int64_t step = life.first + 1; step <= life.last; ++step) add_all(starts_[static_cast<size_t>(step)]);
    return found;
  }

 private:
  size_t steps_;
  std::vector<std::vector<size_t>> starts_;  // tensors whose life begins there
  std::vector<std::vector<size_t>> spans_;   // by node of the tree; step s is the leaf steps_ + s
};

}  // namespace

MemoryPlan plan_memory(const tflite::Model& model, int64_t alignment) {
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
    lives[i].bytes = (bytes + alignment - 1) / alignment * alignment;
    order.push_back(i);
  }
  std::vector<int64_t> change(static_cast<size_t>(steps) + 2, 0);  // of the bytes alive, at each step
  for (const size_t i : order) {
    change[static_cast<size_t>(lives[i].first)] += lives[i].bytes;
    change[static_cast<size_t>(lives[i].last) + 1] -= lives[i].bytes;
  }
  int64_t alive = 0;
  int64_t peak_step = 0;
  for (int64_t step = 0; step <= steps; ++step) {
    alive += change[static_cast<size_t>(step)];
    if (step < steps) plan.alive_bytes.push_back(alive);
    if (alive <= plan.peak_bytes) continue;
    plan.peak_bytes = alive;
    peak_step = step;
  }
  if (steps > 0) plan.peak_step = std::min(peak_step, steps - 1);  // results live on behind the last
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return lives[a].bytes > lives[b].bytes; });
  const auto lower = [&](size_t a, size_t b) { return plan.offsets[a] < plan.offsets[b]; };
  for (const size_t i : order) {
    if (lives[i].first <= peak_step && peak_step <= lives[i].last) plan.at_peak.push_back(static_cast<int32_t>(i));
  }
  Timeline timeline(static_cast<size_t>(steps) + 1);
  std::vector<size_t> placed;  // by offset
  for (const size_t i : order) {
    // A few neighbours are sorted; where most live at one time, as in no model that fits a device, all are walked.
    std::vector<size_t> neighbours = timeline.overlapping(lives[i]);
    constexpr size_t kFew = 16;
    const bool few = neighbours.size() < placed.size() / kFew;
    if (few) std::sort(neighbours.begin(), neighbours.end(), lower);
    int64_t offset = 0;
    for (const size_t other : few ? neighbours : placed) {
      if (!lives[i].overlaps(lives[other])) continue;
      if (offset + lives[i].bytes <= plan.offsets[other]) break;
      offset = std::max(offset, plan.offsets[other] + lives[other].bytes);
    }
    plan.offsets[i] = offset;
    plan.arena_bytes = std::max(plan.arena_bytes, offset + lives[i].bytes);
    placed.insert(std::upper_bound(placed.begin(), placed.end(), i, lower), i);
    timeline.add(i, lives[i]);
  }
  return plan;
}

int64_t constant_bytes(const tflite::Model& model) {
  int64_t bytes = 0;
  for (const tflite::Tensor& tensor : model.tensors) bytes += static_cast<int64_t>(tensor.data.size());
  return bytes;
}

}  // namespace octet::integer

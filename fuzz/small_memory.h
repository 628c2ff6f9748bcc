#pragma once
// For targets that run programs of libtorch's operators: a program that asks for much gets an error, not memory.

#include <c10/core/Allocator.h>
#include <c10/core/CPUAllocator.h>
#include <c10/util/Exception.h>

#include <atomic>
#include <cstdlib>
#include <cstring>

#include "octet/graph/graph_module.h"
#include "octet/support/error.h"

namespace octet::fuzz {

inline constexpr size_t kMaxTensorBytes = size_t{1} << 20;
inline constexpr size_t kMaxLiveBytes = size_t{32} << 20;
inline constexpr int64_t kMaxElements = 1 << 16;  // of a value, expanded ones too

/// Tensors' memory: each and all of them small.
class SmallMemory final : public c10::Allocator {
 public:
  /// In place of libtorch's for the rest of the process.
  static void install() {
    static SmallMemory memory;
    c10::SetCPUAllocator(&memory, /*priority=*/255);
  }

  c10::DataPtr allocate(size_t bytes) override {
    TORCH_CHECK(bytes <= kMaxTensorBytes && live() + bytes <= kMaxLiveBytes, "the fuzzer grants no ", bytes, " bytes");
    void* block = std::aligned_alloc(kFront, (bytes + 2 * kFront - 1) / kFront * kFront);
    TORCH_CHECK(block != nullptr, "no memory");
    std::memcpy(block, &bytes, sizeof bytes);
    live() += bytes;
    char* data = static_cast<char*>(block) + kFront;
    return {data, data, &release, c10::Device(c10::kCPU)};
  }
  c10::DeleterFnPtr raw_deleter() const override { return &release; }
  void copy_data(void* to, const void* from, size_t count) const override { default_copy_data(to, from, count); }

 private:
  static constexpr size_t kFront = 64;  // holds the size, and keeps the alignment

  static std::atomic<size_t>& live() {
    static std::atomic<size_t> bytes = 0;
    return bytes;
  }
  static void release(void* data) {
    if (data == nullptr) return;
    void* block = static_cast<char*>(data) - kFront;
    size_t bytes = 0;
    std::memcpy(&bytes, block, sizeof bytes);
    live() -= bytes;
    std::free(block);
  }
};

/// Refuses values that would take the next operator long.
inline void check_small(const c10::IValue& value) {
  if (value.isTensor() && value.toTensor().defined() && value.toTensor().numel() > kMaxElements) {
    throw Error("fuzz", "a value is too large to go on");
  }
  if (value.isTensorList()) {
    for (const at::Tensor& element : value.toTensorVector()) check_small(element);
  } else if (value.isTuple()) {
    for (const c10::IValue& element : value.toTupleRef().elements()) check_small(element);
  }
}

/// A run on zeros as the placeholders declare them, and the shapes that follow from it. Throws octet::Error for what is
/// not small.
inline void run(GraphModule& module) {
  int64_t elements = 0;
  for (const Node* input : module.graph().placeholders()) {
    if (input->meta()) elements += input->meta()->numel();
    if (elements > kMaxElements) throw Error("fuzz", "the inputs are too large to go on");
  }
  module.run_observed(example_inputs(module), [](const Node&, const c10::IValue& value) { check_small(value); });
  propagate_shapes(module);
}

}  // namespace octet::fuzz

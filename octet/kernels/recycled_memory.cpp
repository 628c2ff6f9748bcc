#include "octet/kernels/recycled_memory.h"

#include <c10/core/CPUAllocator.h>
#include <sys/mman.h>

#include <algorithm>
#include <cstdlib>
#include <map>
#include <mutex>
#include <new>
#include <unordered_map>

namespace octet {
namespace {

constexpr size_t kLargeTensor = size_t{1} << 18;
constexpr size_t kPage = size_t{1} << 12;
constexpr size_t kHugePage = size_t{1} << 21;

thread_local int depth = 0;

class Pool {
 public:
  void* take(size_t bytes) {
    const size_t size = (bytes + kPage - 1) / kPage * kPage;
    const std::lock_guard<std::mutex> lock(mutex_);
    // A block that is a little larger serves too.
    const auto found = kept_.lower_bound(size);
    if (found != kept_.end() && found->first <= size + size / 8) {
      const auto [block_size, memory] = *found;
      kept_bytes_ -= block_size;
      kept_.erase(found);
      return used(memory, block_size);
    }
    most_used_ = std::max(most_used_, used_bytes_ + size);
    while (!kept_.empty() && used_bytes_ + size + kept_bytes_ > most_used_) drop_largest();
    // Huge pages where they are whole: fewer faults, fewer misses of the translation.
    const size_t alignment = size >= 2 * kHugePage ? kHugePage : kPage;
    void* memory = std::aligned_alloc(alignment, (size + alignment - 1) / alignment * alignment);
    if (memory == nullptr) throw std::bad_alloc();
    if (alignment == kHugePage) madvise(memory, size / kHugePage * kHugePage, MADV_HUGEPAGE);
    return used(memory, size);
  }

  /// False where the memory is none of the pool's.
  bool give_back(void* memory) {
    const std::lock_guard<std::mutex> lock(mutex_);
    const auto found = used_.find(memory);
    if (found == used_.end()) return false;
    used_bytes_ -= found->second;
    kept_bytes_ += found->second;
    kept_.emplace(found->second, memory);
    used_.erase(found);
    return true;
  }

  void release() {
    const std::lock_guard<std::mutex> lock(mutex_);
    while (!kept_.empty()) drop_largest();
    most_used_ = used_bytes_;
  }

 private:
  void* used(void* memory, size_t size) {
    used_.emplace(memory, size);
    used_bytes_ += size;
    most_used_ = std::max(most_used_, used_bytes_);
    return memory;
  }

  void drop_largest() {
    const auto last = std::prev(kept_.end());
    kept_bytes_ -= last->first;
    std::free(last->second);
    kept_.erase(last);
  }

  std::mutex mutex_;
  std::multimap<size_t, void*> kept_;
  std::unordered_map<void*, size_t> used_;
  size_t kept_bytes_ = 0;
  size_t used_bytes_ = 0;
  size_t most_used_ = 0;
};

// Never destroyed: tensors that live as long as the program come back to it.
Pool& pool() {
  static auto* const one = new Pool;
  return *one;
}

// In front of libtorch's, which stays for all else.
c10::Allocator* behind = nullptr;

void free_any(void* memory) {
  if (!pool().give_back(memory)) behind->raw_deleter()(memory);
}

// libtorch may take the memory out of its pointer and free it by raw_deleter(): so the context is the memory itself.
class Recycler final : public c10::Allocator {
 public:
  c10::DataPtr allocate(size_t bytes) override {
    if (depth == 0 || bytes < kLargeTensor) return behind->allocate(bytes);
    void* memory = pool().take(bytes);
    return {memory, memory, &free_any, c10::Device(c10::DeviceType::CPU)};
  }
  c10::DeleterFnPtr raw_deleter() const override { return &free_any; }
  void copy_data(void* to, const void* from, size_t bytes) const override { behind->copy_data(to, from, bytes); }
  bool is_simple_data_ptr(const c10::DataPtr& pointer) const override { return behind->is_simple_data_ptr(pointer); }
};

void install() {
  static const bool done = [] {
    constexpr uint8_t kAnyPriority = 255;
    behind = c10::GetCPUAllocator();
    c10::SetCPUAllocator(new Recycler, kAnyPriority);
    return true;
  }();
  static_cast<void>(done);
}

}  // namespace

RecycledMemory::RecycledMemory() {
  install();
  ++depth;
}
RecycledMemory::~RecycledMemory() { --depth; }

void release_recycled_memory() { pool().release(); }

}  // namespace octet

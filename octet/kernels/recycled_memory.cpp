#include "octet/kernels/recycled_memory.h"

#include <c10/core/CPUAllocator.h>
#include <sys/mman.h>

#include <algorithm>
#include <cstdlib>
#include <map>
#include <mutex>
#include <new>

namespace octet {
namespace {

constexpr size_t kLargeTensor = size_t{1} << 18;
constexpr size_t kPage = size_t{1} << 12;
constexpr size_t kHugePage = size_t{1} << 21;

thread_local int depth = 0;

class Pool {
 public:
  struct Block {
    void* memory;
    size_t size;
  };

  Block* take(size_t bytes) {
    const size_t size = (bytes + kPage - 1) / kPage * kPage;
    const std::lock_guard<std::mutex> lock(mutex_);
    // A block that is a little larger serves too.
    const auto found = kept_.lower_bound(size);
    if (found != kept_.end() && found->first <= size + size / 8) {
      Block* block = found->second;
      kept_bytes_ -= block->size;
      kept_.erase(found);
      return used(block);
    }
    most_used_ = std::max(most_used_, used_bytes_ + size);
    while (!kept_.empty() && used_bytes_ + size + kept_bytes_ > most_used_) drop_largest();
    // Huge pages where they are whole: fewer faults, fewer misses of the translation.
    const size_t alignment = size >= 2 * kHugePage ? kHugePage : kPage;
    void* memory = std::aligned_alloc(alignment, (size + alignment - 1) / alignment * alignment);
    if (memory == nullptr) throw std::bad_alloc();
    if (alignment == kHugePage) madvise(memory, size / kHugePage * kHugePage, MADV_HUGEPAGE);
    return used(new Block{memory, size});
  }

  void give_back(Block* block) {
    const std::lock_guard<std::mutex> lock(mutex_);
    used_bytes_ -= block->size;
    kept_bytes_ += block->size;
    kept_.emplace(block->size, block);
  }

  void release() {
    const std::lock_guard<std::mutex> lock(mutex_);
    while (!kept_.empty()) drop_largest();
    most_used_ = used_bytes_;
  }

 private:
  Block* used(Block* block) {
    used_bytes_ += block->size;
    most_used_ = std::max(most_used_, used_bytes_);
    return block;
  }

  void drop_largest() {
    const auto last = std::prev(kept_.end());
    kept_bytes_ -= last->first;
    std::free(last->second->memory);
    delete last->second;
    kept_.erase(last);
  }

  std::mutex mutex_;
  std::multimap<size_t, Block*> kept_;
  size_t kept_bytes_ = 0;
  size_t used_bytes_ = 0;
  size_t most_used_ = 0;
};

// Never destroyed: tensors that live as long as the program come back to it.
Pool& pool() {
  static auto* const one = new Pool;
  return *one;
}

class Recycler final : public c10::Allocator {
 public:
  explicit Recycler(c10::Allocator* behind) : behind_(behind) {}

  c10::DataPtr allocate(size_t bytes) override {
    if (depth == 0 || bytes < kLargeTensor) return behind_->allocate(bytes);
    Pool::Block* block = pool().take(bytes);
    return {block->memory, block, [](void* taken) { pool().give_back(static_cast<Pool::Block*>(taken)); },
            c10::Device(c10::DeviceType::CPU)};
  }
  c10::DeleterFnPtr raw_deleter() const override { return behind_->raw_deleter(); }
  void copy_data(void* to, const void* from, size_t bytes) const override { behind_->copy_data(to, from, bytes); }
  bool is_simple_data_ptr(const c10::DataPtr& pointer) const override { return behind_->is_simple_data_ptr(pointer); }

 private:
  c10::Allocator* behind_;
};

void install() {
  static const bool done = [] {
    constexpr uint8_t kAnyPriority = 255;
    c10::SetCPUAllocator(new Recycler(c10::GetCPUAllocator()), kAnyPriority);
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

#include "octet/kernels/recycled_memory.h"

#include <c10/core/CPUAllocator.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>
#include <new>
#include <unordered_map>

namespace octet {
namespace {

constexpr size_t kLargeTensor = size_t{1} << 18;
constexpr size_t kPage = size_t{1} << 12;
constexpr size_t kHugePage = size_t{1} << 21;
constexpr size_t kSegment = size_t{1} << 32;  // of addresses, at most: memory is what was written to

thread_local int depth = 0;

// Addresses count against a limit of the process, written to or not: the most is for all else.
size_t most_of_segment() {
  constexpr size_t kPart = 8;
  struct rlimit limit {};
  if (getrlimit(RLIMIT_DATA, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return kSegment;
  return std::min<size_t>(kSegment, limit.rlim_cur / kPart / kHugePage * kHugePage);
}

// Pieces of large segments, cut where a smaller one is asked for and joined where neighbours are free: a training frees
// in the reverse order of its making, so that whole rows of pieces become one again.
class Pool {
 public:
  void* take(size_t bytes) {
    const size_t size = (bytes + kPage - 1) / kPage * kPage;
    const std::lock_guard<std::mutex> lock(mutex_);
    auto piece = smallest_from(size);
    if (piece == free_.end()) piece = add_segment(size);
    const auto [memory, whole] = *piece;
    free_.erase(piece);
    if (whole > size) free_.emplace(memory + size, whole - size);
    used_.emplace(memory, size);
    return memory;
  }

  /// False where the memory is none of the pool's.
  bool give_back(void* memory) {
    const std::lock_guard<std::mutex> lock(mutex_);
    const auto found = used_.find(memory);
    if (found == used_.end()) return false;
    auto* const begin = static_cast<std::byte*>(memory);
    auto piece = free_.emplace(begin, found->second).first;
    used_.erase(found);
    const auto next = std::next(piece);
    if (next != free_.end() && piece->first + piece->second == next->first) {
      piece->second += next->second;
      free_.erase(next);
    }
    if (piece != free_.begin()) {
      const auto previous = std::prev(piece);
      if (previous->first + previous->second == piece->first) {
        previous->second += piece->second;
        free_.erase(piece);
      }
    }
    return true;
  }

  void release() {
    const std::lock_guard<std::mutex> lock(mutex_);
    for (const auto& [memory, size] : free_) madvise(memory, size, MADV_DONTNEED);
  }

 private:
  using Pieces = std::map<std::byte*, size_t>;

  Pieces::iterator smallest_from(size_t size) {
    auto found = free_.end();
    for (auto piece = free_.begin(); piece != free_.end(); ++piece) {
      if (piece->second >= size && (found == free_.end() || piece->second < found->second)) found = piece;
    }
    return found;
  }

  Pieces::iterator add_segment(size_t size) {
    for (const size_t wanted : {std::max(most_of_segment(), size), size}) {  // less where addresses are rationed
      const size_t whole = wanted + kHugePage;
      void* memory = mmap(nullptr, whole, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
      if (memory == MAP_FAILED) continue;
      // Huge pages where they are whole: fewer faults, fewer misses of the translation.
      madvise(memory, whole, MADV_HUGEPAGE);
      const size_t before = (kHugePage - reinterpret_cast<uintptr_t>(memory) % kHugePage) % kHugePage;
      return free_.emplace(static_cast<std::byte*>(memory) + before, wanted).first;
    }
    throw std::bad_alloc();
  }

  std::mutex mutex_;
  Pieces free_;
  std::unordered_map<void*, size_t> used_;
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

#pragma once

#include <cstddef>
#include <cstdint>
#include <mutex>
#include <vector>

#include "octet/integer/line_vector.h"
#include "octet/support/api.h"

namespace octet::integer {

/// Blocks of one size that runs borrow and give back: fresh memory costs a page fault every 4 KB.
class OCTET_API MemoryPool {
 public:
  explicit MemoryPool(size_t bytes) : bytes_(bytes) {}

  class Block {
   public:
    explicit Block(MemoryPool& pool) : pool_(pool), data_(pool.take()) {}
    ~Block() { pool_.put(std::move(data_)); }
    Block(const Block&) = delete;
    Block& operator=(const Block&) = delete;
    uint8_t* data() { return data_.data(); }

   private:
    MemoryPool& pool_;
    LineVector<uint8_t> data_;
  };

 private:
  LineVector<uint8_t> take() {
    {
      const std::lock_guard lock(mutex_);
      if (!free_.empty()) {
        auto block = std::move(free_.back());
        free_.pop_back();
        return block;
      }
    }
    return LineVector<uint8_t>(bytes_);
  }
  void put(LineVector<uint8_t> block) {
    const std::lock_guard lock(mutex_);
    free_.push_back(std::move(block));
  }

  size_t bytes_;
  std::mutex mutex_;
  std::vector<LineVector<uint8_t>> free_;
};

}  // namespace octet::integer

#pragma once

#include <cstdint>
#include <memory>

#include "octet/support/api.h"
#include "octet/train/data_source.h"
#include "octet/train/mix.h"
#include "octet/train/transforms.h"

namespace octet {

struct LoaderOptions {
  int64_t batch_size = 128;
  /// A new order each epoch, from `seed` and the epoch's number, and samples as training draws them.
  bool shuffle = false;
  /// Leaves out the last batch where it is not full.
  bool drop_last = false;
  /// With `shuffle`: an epoch is this many samples drawn from all; 0: all.
  int64_t samples = 0;
  uint64_t seed = 0;
  /// Threads that prepare batches ahead; 0: none, each is made when it is asked for. The batches are the same.
  int64_t workers = 1;
  /// For input 0.
  Transform transform = {};
  /// With `shuffle`: samples put together behind the transform, drawn by the seed, the epoch and the batch's number.
  MixOptions mix = {};
  /// Of several processes, each has its part of every batch of `parts` times `batch_size`: they see together what one
  /// with such batches sees. More than one asks for `drop_last`.
  int64_t part = 0;
  int64_t parts = 1;
  /// Where the batches are wanted; on the way to a GPU workers leave them in memory that it reads while others run.
  at::Device device = at::kCPU;
};

/// Batches of a source, prepared ahead by torch::data's loader while the step runs:
///
///     Loader loader(data, {.batch_size = 64, .shuffle = true});
///     for (const Batch& batch : loader.epoch(0)) ...
class OCTET_API Loader {
 public:
  /// Throws octet::Error for a batch size under 1.
  Loader(std::shared_ptr<const DataSource> data, LoaderOptions options);

  /// Batches an epoch.
  int64_t batches() const;

  /// One pass. Errors of a worker come out of the iteration as they were thrown. A batch of which no sample can be read
  /// is left out; with `shuffle`, where every step needs one, it is that of the next sample that can be. Throws
  /// octet::Error where there is none.
  class Epoch {
   public:
    class iterator {
     public:
      using value_type = Batch;
      explicit iterator(Epoch* epoch) : epoch_(epoch) { ++*this; }
      iterator() = default;
      Batch& operator*() { return batch_; }
      Batch* operator->() { return &batch_; }
      iterator& operator++() {
        if (!epoch_->next(batch_)) epoch_ = nullptr;
        return *this;
      }
      bool operator!=(const iterator& other) const { return epoch_ != other.epoch_; }

     private:
      Epoch* epoch_ = nullptr;
      Batch batch_;
    };

    iterator begin() { return iterator(this); }
    iterator end() { return {}; }
    /// False at the end.
    bool next(Batch& batch);

   private:
    friend class Loader;
    struct Impl;
    std::shared_ptr<Impl> impl_;
  };

  /// Of pass `number`, the batches from `first` on: those that a pass which was left there would go on with.
  Epoch epoch(int64_t number, int64_t first = 0) const;

 private:
  int64_t samples() const;

  std::shared_ptr<const DataSource> data_;
  LoaderOptions options_;
};

}  // namespace octet

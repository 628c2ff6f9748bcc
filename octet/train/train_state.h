#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "octet/train/evaluate.h"
#include "octet/train/task.h"

namespace torch::optim {
class Optimizer;
}

namespace octet {

struct EpochInfo {
  int64_t epoch = 0;
  double loss = 0;            ///< mean over the epoch, as trained (with label smoothing)
  std::vector<Score> scores;  ///< on the training batches
  double seconds = 0;         ///< without evaluation
  double waiting = 0;         ///< of these, until the loader had the next batch
  double samples_per_second = 0;
  std::optional<Evaluation> evaluation;  ///< where there is evaluation data
  /// Best so far, by the evaluation's first metric, else by its loss, else by the training loss.
  bool best = false;
};

struct TrainResult {
  std::vector<EpochInfo> epochs;
  double seconds = 0;  ///< training alone
  int64_t samples = 0;
  int64_t best_epoch = 0;
};

/// All of a run that changes as it goes, beside the model's own parameters and buffers: with these two, after any step,
/// it goes on to the same bits (Trainer::run).
struct TrainState {
  std::shared_ptr<torch::optim::Optimizer> optimizer;
  /// State of the generator on the CPU that dropout draws from; the order of samples and their augmentation follow from
  /// the seed, the epoch and the sample alone.
  at::Tensor random;
  int64_t epoch = 0;  ///< that is being trained, from 0
  int64_t step = 0;   ///< optimizer steps so far, in all: the place in the schedule
  /// Of this epoch so far; `tally.batches` is the place in it.
  Tally tally;
  double seconds = 0;
  double waiting = 0;
  /// Of the epochs that are over.
  TrainResult result;
  /// The moving average (TrainOptions::average): parameters, then BatchNorm's means and variances; empty: none yet.
  std::vector<at::Tensor> average;
  /// With early stopping: the model's state behind the best epoch, as it was measured.
  std::map<std::string, at::Tensor> best;
};

}  // namespace octet

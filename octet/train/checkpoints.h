#pragma once

#include <set>
#include <string>
#include <utility>
#include <vector>

#include "octet/support/api.h"
#include "octet/train/data_source.h"
#include "octet/train/model_handle.h"
#include "octet/train/train_state.h"

namespace octet {

/// What tells one run from another, by name: settings, data, versions. A run goes on from a checkpoint of equal facts.
/// A fact that is a JSON object is the facts in it, "quantizer.mul_range".
using RunFacts = std::vector<std::pair<std::string, std::string>>;

struct CheckpointOptions {
  std::string folder;  ///< made where it is missing; of one run alone
  int64_t keep = 3;    ///< of the newest; the best one stays besides
  /// Between two of them within an epoch: the most that a kill loses. 0: after each step.
  double every_seconds = 300;
};

/// The saved states of one run. `step-00000120.ckpt` holds the model behind step 120 with all that the run is made of:
/// optimizer, schedule, generator, place in the epoch, moving average, what was measured. `best.ckpt` is the one behind
/// the best epoch. Each is written whole or not at all and synced to disk, before an older one goes. The format is
/// torch.save's: torch.load(..., weights_only=True) gives a dict of tensors.
class OCTET_API Checkpoints {
 public:
  /// `usual`: names of facts that stand at what they were before there was such a fact. A checkpoint that lacks one was
  /// written by an earlier version, and is one to go on from. Throws octet::Error where the folder can't be made.
  Checkpoints(CheckpointOptions options, RunFacts facts, std::set<std::string> usual = {});

  /// Goes on from the newest that can be read; one that is damaged is left out with a warning. False where there is
  /// none: nothing was changed. Throws octet::Error for a run of other facts, or of another model.
  bool resume(const ModelHandle& model, TrainState& state) const;
  /// Steps of the newest; -1 where there is none.
  int64_t newest() const;

  /// Writes one now. Throws octet::Error with the system's reason where it can't; the older ones stay.
  void save(const ModelHandle& model, const TrainState& state);
  /// Writes one where it is due: after each epoch, and within it by the options. A failure is told, and the run goes
  /// on.
  void save_if_due(const ModelHandle& model, const TrainState& state);

 private:
  void write(const std::string& name, const ModelHandle& model, const TrainState& state) const;
  void drop_old() const;

  CheckpointOptions options_;
  RunFacts facts_;
  std::set<std::string> usual_;
  double last_;  // time of the last one
};

/// What a run has found so far, without its model.
struct SavedRun {
  int64_t step = 0;
  TrainResult result;  ///< of the whole epochs
  RunFacts facts;
};
/// Of the newest checkpoint in a folder. Throws octet::Error where there is none that can be read.
OCTET_API SavedRun read_run(const std::string& folder);

/// Tells data from other data: sizes, and a checksum of the first, the middle and the last sample.
OCTET_API std::string fingerprint(const DataSource& data);

}  // namespace octet

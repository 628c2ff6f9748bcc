#pragma once

#include <set>
#include <string>

#include "octet/train/checkpoints.h"
#include "octet/train/trainer.h"

namespace octet::cli {

/// Keeps a run in a folder of checkpoints. While it lives, SIGINT and SIGTERM end the run behind the step that is being
/// done, with a checkpoint; a second one ends the program at once.
class RunKeeper {
 public:
  /// `usual`: see Checkpoints. `resume`: go on where the folder has something to go on from. Throws octet::Error where
  /// it has and this is not wanted. Of a `group`, rank 0 writes; all end behind the same step.
  RunKeeper(CheckpointOptions options, RunFacts facts, std::set<std::string> usual, bool resume,
            std::shared_ptr<Group> group = nullptr);
  ~RunKeeper();
  RunKeeper(const RunKeeper&) = delete;
  RunKeeper& operator=(const RunKeeper&) = delete;

  /// What the loop calls. The first checkpoint is written before the first step: what can't be written is known then.
  TrainHooks hooks();

 private:
  bool writes() const;

  std::string folder_;
  Checkpoints checkpoints_;
  bool resume_;
  std::shared_ptr<Group> group_;
};

}  // namespace octet::cli

#pragma once

#include <string>

#include "octet/train/checkpoints.h"
#include "octet/train/trainer.h"

namespace octet::cli {

/// Keeps a run in a folder of checkpoints. While it lives, SIGINT and SIGTERM end the run behind the step that is being
/// done, with a checkpoint; a second one ends the program at once.
class RunKeeper {
 public:
  /// `resume`: go on where the folder has something to go on from. Throws octet::Error where it has and this is not
  /// wanted.
  RunKeeper(CheckpointOptions options, RunFacts facts, bool resume);
  ~RunKeeper();
  RunKeeper(const RunKeeper&) = delete;
  RunKeeper& operator=(const RunKeeper&) = delete;

  /// What the loop calls. The first checkpoint is written before the first step: what can't be written is known then.
  TrainHooks hooks();

 private:
  std::string folder_;
  Checkpoints checkpoints_;
  bool resume_;
};

}  // namespace octet::cli

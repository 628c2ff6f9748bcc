#include "octet/cli/run_keeper.h"

#include <csignal>

#include "octet/cli/stopped.h"
#include "octet/support/log.h"

namespace octet::cli {
namespace {

volatile std::sig_atomic_t asked_by = 0;

extern "C" void ask_to_stop(int signal) {
  asked_by = signal;
  std::signal(signal, SIG_DFL);
}

}  // namespace

RunKeeper::RunKeeper(CheckpointOptions options, RunFacts facts, bool resume)
    : folder_(options.folder), checkpoints_(std::move(options), std::move(facts)), resume_(resume) {
  const int64_t newest = checkpoints_.newest();
  if (newest >= 0 && !resume_) {
    throw Error(folder_, octet::str("holds a run of ", newest, " steps"), ErrorCategory::kUsage)
        .hint("--resume goes on with it; another run takes another folder");
  }
  asked_by = 0;
  std::signal(SIGINT, ask_to_stop);
  std::signal(SIGTERM, ask_to_stop);
}

RunKeeper::~RunKeeper() {
  std::signal(SIGINT, SIG_DFL);
  std::signal(SIGTERM, SIG_DFL);
}

TrainHooks RunKeeper::hooks() {
  TrainHooks hooks;
  hooks.on_start = [this](const ModelHandle& model, TrainState& state) {
    if (resume_ && checkpoints_.resume(model, state)) {
      log::info("going on with ", folder_, " behind step ", state.step, ", in epoch ", state.epoch + 1);
    } else {
      checkpoints_.save(model, state);
    }
  };
  hooks.on_state = [this](const ModelHandle& model, const TrainState& state) {
    if (asked_by != 0) {
      checkpoints_.save(model, state);
      throw Stopped(asked_by, octet::str("stopped behind step ", state.step, "; --resume --checkpoints ", folder_,
                                         " goes on from there"));
    }
    checkpoints_.save_if_due(model, state);
  };
  return hooks;
}

}  // namespace octet::cli

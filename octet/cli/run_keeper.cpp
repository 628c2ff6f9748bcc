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

RunKeeper::RunKeeper(CheckpointOptions options, RunFacts facts, std::set<std::string> usual, bool resume,
                     std::shared_ptr<Group> group)
    : folder_(options.folder),
      checkpoints_(std::move(options), std::move(facts), std::move(usual)),
      resume_(resume),
      group_(std::move(group)) {
  const int64_t newest = checkpoints_.newest();
  if (newest >= 0 && !resume_ && writes()) {
    throw Error(folder_, octet::str("holds a run of ", newest, " steps"), ErrorCategory::kUsage)
        .hint("--resume goes on with it; another run takes another folder");
  }
  asked_by = 0;
  std::signal(SIGINT, ask_to_stop);
  std::signal(SIGTERM, ask_to_stop);
}

bool RunKeeper::writes() const { return !group_ || group_->rank() == 0; }

RunKeeper::~RunKeeper() {
  std::signal(SIGINT, SIG_DFL);
  std::signal(SIGTERM, SIG_DFL);
}

TrainHooks RunKeeper::hooks() {
  TrainHooks hooks;
  hooks.on_start = [this](const ModelHandle& model, TrainState& state) {
    if (resume_ && checkpoints_.resume(model, state)) {
      log::info("going on with ", folder_, " behind step ", state.step, ", in epoch ", state.epoch + 1);
    } else if (writes()) {
      checkpoints_.save(model, state);
    }
  };
  hooks.on_state = [this](const ModelHandle& model, const TrainState& state) {
    const int signal = asked_by;
    if (group_ ? group_->any(signal != 0) : signal != 0) {
      if (writes()) checkpoints_.save(model, state);
      throw Stopped(
          signal != 0 ? signal : SIGTERM,
          octet::str("stopped behind step ", state.step, "; --resume --checkpoints ", folder_, " goes on from there"));
    }
    if (writes()) checkpoints_.save_if_due(model, state);
  };
  return hooks;
}

}  // namespace octet::cli

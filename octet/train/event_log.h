#pragma once

#include <optional>
#include <string>

#include "octet/formats/event_file.h"
#include "octet/support/api.h"
#include "octet/train/trainer.h"

namespace octet {

/// Tells TensorBoard of a run, in a folder of event files. Of step i, counted from 0 over all epochs:
///
///     step/loss
///     step/learning_rate
///     step/samples_per_second
///     step/waiting                                       share of the time until the batch was there
///
/// and behind each epoch, at the number of steps that are over:
///
///     epoch/train_loss, epoch/train_KEY                  a KEY a metric of the task: top1
///     epoch/test_loss, epoch/test_KEY
///     epoch/samples_per_second, epoch/waiting
///     weights/NAME                                       a histogram a parameter of 2 dimensions or more
///     range/NAME/least, range/NAME/greatest, scale/NAME  of observers and fake quantizers of whole values
///
/// A run that goes on from a checkpoint begins a file of its own, and says from which step on what stands in the older
/// ones does not count.
class OCTET_API EventLog {
 public:
  /// Throws octet::Error where nothing can be written into the folder.
  explicit EventLog(const std::string& folder);

  /// What the loop calls: `others` first. They, and this, outlive the run. Where the disk is full a warning says so,
  /// and the run goes on without its events.
  TrainHooks hooks(TrainHooks others);

 private:
  void tell(int64_t step, const EventValues& values);
  void tell_epoch(const EpochInfo& info);

  EventFile file_;
  bool is_lost_ = false;
  const ModelHandle* model_ = nullptr;
  const TrainState* state_ = nullptr;
};

}  // namespace octet

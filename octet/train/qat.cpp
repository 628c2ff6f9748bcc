#include "octet/train/qat.h"

#include "octet/quantize/frozen_layers.h"
#include "octet/quantize/observer.h"
#include "octet/quantize/quantize_pt2e.h"

namespace octet {

QatResult train_qat(std::shared_ptr<GraphModule> model, Quantizer& quantizer, std::shared_ptr<const DataSource> data,
                    const QatOptions& options, const TrainHooks& hooks, std::shared_ptr<const DataSource> evaluation,
                    Progress* progress) {
  auto prepared = move_exported_model_to_train(prepare_qat_pt2e(std::move(model), quantizer));
  FrozenLayers frozen;
  if (!options.freeze.empty()) frozen = freeze_layers(*prepared, options.freeze);
  const int64_t observed_epochs = options.freeze_observers_after >= 0
                                      ? options.freeze_observers_after
                                      : std::max<int64_t>(1, (options.train.epochs + 2) / 3);
  bool observing = true;
  ModelHandle handle = model_handle(prepared);
  handle.set_training = [&](bool on) {
    prepared->train(on);
    prepared->apply(on && observing ? enable_observer : disable_observer);
  };
  TrainHooks with_freezing = hooks;
  with_freezing.on_epoch_begin = [&](int64_t epoch) {
    if (epoch >= observed_epochs) {
      observing = false;
      prepared->apply(disable_observer);
    }
    if (options.freeze_bn_after >= 0 && epoch >= options.freeze_bn_after) freeze_bn_stats(*prepared);
    if (hooks.on_epoch_begin) hooks.on_epoch_begin(epoch);
  };
  QatResult result;
  result.training =
      train(handle, std::move(data), options.train, with_freezing, std::move(evaluation), progress, "qat");
  unfreeze_layers(*prepared, frozen);
  result.quantized = finish(prepared, quantizer);
  return result;
}

}  // namespace octet

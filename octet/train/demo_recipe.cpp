#include "octet/train/demo_recipe.h"

namespace octet {

DemoRecipe demo_recipe(bool full) {
  DemoRecipe recipe;
  if (full) recipe.model = "mobilenet_v2_w050_fine";
  recipe.crops = full;
  TrainOptions& base = recipe.float_training;
  base.epochs = full ? 12 : 4;
  base.batch_size = 128;
  base.learning_rate = 0.1;
  base.optimizer.momentum = 0.9;
  base.optimizer.nesterov = true;
  base.optimizer.weight_decay = 5e-4;
  base.schedule = ScheduleKind::kCosine;
  base.warmup_epochs = 0.1 * static_cast<double>(base.epochs);

  TrainOptions& qat = recipe.qat;
  qat = base;
  qat.epochs = 3;
  qat.samples_per_epoch = full ? 0 : 20000;
  qat.learning_rate = 0.01;
  qat.warmup_epochs = 0;
  recipe.samples_per_epoch_beside = full ? 0 : 4000;
  recipe.freeze_observers_after = 1;
  recipe.freeze_bn_after = 2;
  return recipe;
}

}  // namespace octet

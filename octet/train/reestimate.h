#pragma once

#include <cstdint>

#include "octet/train/loader.h"
#include "octet/train/model_handle.h"

namespace octet {

/// BatchNorm's running statistics found anew, as the mean over the first `batches` batches of the loader's pass
/// `epoch`, of the whole of them: variance = mean of the batches' variances + variance of their means. Running averages
/// lag behind weights that move; these are the weights' own (Wu and Johnson, "Rethinking 'Batch' in BatchNorm", 2021,
/// section 3). The model is in the mode that `model.set_training(true)` gives; nothing for one without statistics.
/// Throws octet::Error where the loader has no batch, or the model can't say what one batch has.
void reestimate_statistics(const ModelHandle& model, const Loader& loader, int64_t epoch, int64_t batches,
                           bool channels_last);

}  // namespace octet

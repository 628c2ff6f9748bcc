#pragma once

#include <cstdint>

#include "octet/support/api.h"
#include "octet/train/data_source.h"

namespace octet {

/// Samples of a batch put together two by two, as torchvision's MixUp and CutMix do: each with the one in front of it,
/// the first with the last, all by one share that is drawn for the batch. Labels become soft targets. With both, each
/// batch has one of the two, by even chance.
struct MixOptions {
  /// MixUp (Zhang and others, 2018): share * x + (1 - share) * y, the share drawn from Beta(a, a); 0: none.
  double mixup = 0;
  /// CutMix (Yun and others, 2019): a box of the other picture, of a part of the area from Beta(a, a); 0: none.
  double cutmix = 0;
  /// Columns of the soft targets: labels become float32 [N, classes].
  int64_t classes = 0;
  /// Of CutMix: pictures come as [N, H, W, C], not [N, C, H, W].
  bool channels_last = false;

  bool any() const { return mixup > 0 || cutmix > 0; }
};

/// Mixes the batch in place; `before` holds one sample, the partner of the first. Everything follows from the seed.
/// MixUp mixes all inputs of floating numbers, CutMix the first. Throws octet::Error for targets that can't be mixed,
/// and for CutMix of what is no batch of pictures.
OCTET_API void mix(Batch& batch, const Batch& before, const MixOptions& options, uint64_t seed);

/// A copy of the last sample.
OCTET_API Batch last_sample(const Batch& batch);

}  // namespace octet

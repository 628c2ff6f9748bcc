#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "octet/images/rand_augment.h"
#include "octet/support/api.h"
#include "octet/support/mix_seed.h"

namespace octet {

class DataSource;

/// A number a sample, from which a transform draws all its chance: the same seeds give the same images, whatever the
/// batch.
using SampleSeeds = std::vector<uint64_t>;

/// Takes float32 images [N, C, H, W] and returns such; may write into its argument. An empty function changes nothing.
using Transform = std::function<at::Tensor(at::Tensor images, const SampleSeeds& seeds)>;

/// (x - mean[c]) / std[c].
OCTET_API Transform normalise(std::vector<double> mean, std::vector<double> std);
/// Zeros around the image up to this size, evenly, the odd pixel behind. Throws octet::Error for larger images.
OCTET_API Transform pad_to(int64_t height, int64_t width);
/// Zeros of `margin` pixels around, then a window of the old size at a random place.
OCTET_API Transform random_crop(int64_t margin);
/// Exchanges left and right with this probability.
OCTET_API Transform random_mirror(double probability = 0.5);
/// RandAugment of images of one channel or three, from 0 to 1, in levels of 1/255 (rand_augment.h); one channel is
/// grey.
OCTET_API Transform random_changes(const images::RandAugment& options);
/// Bilinear, with antialiasing where it shrinks (as torchvision's Resize).
OCTET_API Transform resize(int64_t height, int64_t width);
/// One after the other, each with chance of its own.
OCTET_API Transform compose(std::vector<Transform> steps);

/// What brings the data to a model whose input 0 is [C, H, W] (without the batch): padding by up to a quarter or else
/// resizing, the data set's usual normalisation, and before that with `augment` its random crop and mirroring, and
/// `changes`. Empty for data that is no set of images. Throws octet::Error where the channels differ.
OCTET_API Transform standard_transform(const DataSource& data, const std::vector<int64_t>& input_shape, bool augment,
                                       const images::RandAugment& changes = {});

}  // namespace octet

#pragma once

#include <array>
#include <cstdint>

#include "octet/images/image.h"
#include "octet/support/api.h"
#include "octet/support/draws.h"

namespace octet::images {

/// The changes among which RandAugment draws (Cubuk and others, 2020), in torchvision's order.
enum class Change {
  kIdentity,
  kShearX,
  kShearY,
  kTranslateX,
  kTranslateY,
  kRotate,
  kBrightness,
  kColor,
  kContrast,
  kSharpness,
  kPosterize,
  kSolarize,
  kAutoContrast,
  kEqualize,
};
inline constexpr int kChanges = 14;

using Color = std::array<uint8_t, 3>;

/// torchvision's RandAugment.
struct RandAugment {
  int64_t changes = 0;    ///< a picture; torchvision's num_ops. 0: none
  int64_t magnitude = 9;  ///< from 0 to bins - 1
  int64_t bins = 31;      ///< num_magnitude_bins, at least 2
  Color fill = {};        ///< where a picture was moved away
};

/// How far a change goes at one of `bins` magnitudes: shears as a slope, translations in pixels, a rotation in degrees,
/// the enhancements as what their factor differs from 1, bits that a posterized picture keeps, and the level from which
/// on solarizing inverts. Before its sign is drawn, for those that go both ways.
OCTET_API double strength(Change change, int64_t magnitude, int64_t bins, int64_t height, int64_t width);
OCTET_API bool goes_both_ways(Change change);

/// One change, as torchvision makes it on a PIL image; moved pixels are those nearest.
OCTET_API void apply(Image& image, Change change, double strength, const Color& fill = {});

/// As many changes as the options say, each drawn anew.
OCTET_API void rand_augment(Image& image, const RandAugment& options, Draws& draws);

}  // namespace octet::images

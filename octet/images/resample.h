#pragma once

#include "octet/images/image.h"
#include "octet/support/api.h"

namespace octet::images {

enum class Filter { kBilinear, kBicubic };

/// A rectangle of an image, in pixels.
struct Box {
  int64_t top = 0;
  int64_t left = 0;
  int64_t height = 0;
  int64_t width = 0;
};

/// The box brought to these sizes, with antialiasing where it shrinks, as PIL's Image.resize computes it: weights of 22
/// bits, first along rows, then along columns, with eight bits between (newer versions of PIL exchange the two where
/// that is less work: a step of 255 at most). torchvision's Resize on PIL images is this. Throws octet::Error for a box
/// that is none of the image.
OCTET_API Image resize(const Image& image, const Box& box, int64_t height, int64_t width, Filter filter);
/// Of the whole image.
OCTET_API Image resize(const Image& image, int64_t height, int64_t width, Filter filter = Filter::kBilinear);

/// torchvision's Resize(size): the shorter side becomes `size`, the longer one keeps the proportion, rounded down.
OCTET_API Image resize_shorter(const Image& image, int64_t size, Filter filter = Filter::kBilinear);
/// torchvision's CenterCrop: black around an image that is smaller.
OCTET_API Image center_crop(const Image& image, int64_t height, int64_t width);
/// The pixels of a box.
OCTET_API Image crop(const Image& image, const Box& box);

}  // namespace octet::images

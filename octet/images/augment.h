#pragma once

#include <cstdint>

#include "octet/images/resample.h"
#include "octet/support/api.h"
#include "octet/support/draws.h"

namespace octet::images {

/// The box that torchvision's RandomResizedCrop draws: of a part of the area between the two scales and a proportion
/// between the two ratios, after ten misses the greatest in the middle.
OCTET_API Box random_box(int64_t height, int64_t width, Draws& draws, double least_scale = 0.08,
                         double most_scale = 1.0, double least_ratio = 3.0 / 4.0, double most_ratio = 4.0 / 3.0);

/// Left and right exchanged.
OCTET_API void mirror(Image& image);

/// How far ColorJitter moves each: a factor from 1 - x to 1 + x, not below 0.
struct Jitter {
  double brightness = 0.0;
  double contrast = 0.0;
  double saturation = 0.0;
  double hue = 0.0;  ///< from -x to x of the circle, x at most 0.5
};

/// torchvision's ColorJitter on PIL images, in an order that is drawn.
OCTET_API void color_jitter(Image& image, const Jitter& jitter, Draws& draws);

// The single changes, as PIL's ImageEnhance computes them where nothing else is said.
OCTET_API void adjust_brightness(Image& image, double factor);
OCTET_API void adjust_contrast(Image& image, double factor);
OCTET_API void adjust_saturation(Image& image, double factor);
OCTET_API void adjust_sharpness(Image& image, double factor);
/// torchvision's adjust_hue: turns it by this part of the circle, -0.5 to 0.5, in PIL's HSV of eight bits.
OCTET_API void adjust_hue(Image& image, double part);

/// Brightness of a pixel as PIL's mode L: (19595 R + 38470 G + 7471 B + 32768) / 65536.
inline uint8_t luminance(const uint8_t* rgb) {
  return static_cast<uint8_t>((rgb[0] * 19595 + rgb[1] * 38470 + rgb[2] * 7471 + 0x8000) >> 16);
}

}  // namespace octet::images

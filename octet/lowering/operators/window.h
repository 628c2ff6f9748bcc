#pragma once

#include <array>

#include "octet/lowering/operator_lowering.h"

namespace octet::lowering {

/// A kernel that slides over an image: height, then width.
struct Window {
  std::array<int64_t, 2> kernel{};
  std::array<int64_t, 2> stride{1, 1};
  std::array<int64_t, 2> dilation{1, 1};
  std::array<int64_t, 2> before{};  ///< padding above and on the left
  std::array<int64_t, 2> after{};   ///< below and on the right
  bool is_padded() const { return before[0] + before[1] + after[0] + after[1] > 0; }
};

/// True where TFLite's SAME padding puts the window at the same places: both give `out` positions, and start `before`.
bool is_same_padding(const Window& window, const std::array<int64_t, 2>& in, const std::array<int64_t, 2>& out);

/// Strides, dilations and sizes of a window as options; the padding is VALID.
tflite::Options window_options(const Window& window);

/// What a padded place holds.
enum class Fill { kZero, kLowest };

/// The NHWC image with the window's padding around it, by PAD or PADV2; the image itself where there is none.
ValueId padded_image(OperatorLowering& op, ValueId image, const Window& window, Fill fill);

}  // namespace octet::lowering

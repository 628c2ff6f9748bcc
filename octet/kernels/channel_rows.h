#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

/// Passes over the memory of a float tensor whose channels share a mean, a scale and a shift: what BatchNorm, an
/// activation and a fake quantizer need, in as few reads and writes as there can be. Every sum is made of blocks that
/// depend on the sizes alone, so that results do not depend on the number of threads.
namespace octet {

/// How the channels of a dense tensor lie in memory: element (o, c, i) at (o * channels + c) * inner + i. Channels
/// last: inner 1, outer all pixels. Contiguous: outer the samples, inner the pixels of one.
struct ChannelLayout {
  int64_t outer = 0;
  int64_t channels = 0;
  int64_t inner = 0;

  int64_t numel() const { return outer * channels * inner; }
  /// Elements of one channel.
  int64_t count() const { return outer * inner; }
};

/// Of each channel. Moments are those of numbers with a mean however far from 0: sums of blocks are taken around a
/// value of the block and merged in double.
struct ChannelMoments {
  std::vector<double> mean;
  std::vector<double> squares;  ///< sum of (x - mean)^2
  std::vector<float> low;       ///< of those that are no NaN
  std::vector<float> high;
};
/// One read of `x`.
ChannelMoments channel_moments(const float* x, const ChannelLayout& layout);

/// z = (x - mean) * scale + shift, a number of each a channel.
struct ChannelAffine {
  std::vector<float> mean;
  std::vector<float> scale;
  std::vector<float> shift;

  float operator()(float x, size_t channel) const { return (x - mean[channel]) * scale[channel] + shift[channel]; }
};

/// y = (clip(rint(v * inverse) + zero_point, least, most) - zero_point) * scale of v = clip(z, low, high): an
/// activation and the grid behind it (fake_quantize_kernel.h).
struct ClipAndRound {
  float low;
  float high;
  float inverse;
  float scale;
  float zero_point;
  float least;
  float most;
};

/// The values through which a gradient passes, both ends included; low > high where there are none.
struct PassInterval {
  float low;
  float high;
};
/// Where the gradient of ClipAndRound passes straight through: within the activation's bounds (these excluded with
/// `inside`), and where the level before clipping lies in [least, most].
PassInterval pass_interval(const ClipAndRound& rounding, bool inside);

/// y = ClipAndRound(affine(x)): one read, one write.
void normalize_round(const float* x, float* y, const ChannelLayout& layout, const ChannelAffine& affine,
                     const ClipAndRound& rounding);

/// Of each channel, with g the gradient where z = affine(x) lies in the interval, else 0: the sums of g and of
/// g * (x - mean).
struct GradientSums {
  std::vector<double> plain;
  std::vector<double> with_deviation;
};
GradientSums gradient_sums(const float* x, const float* gradient, const ChannelLayout& layout,
                           const ChannelAffine& affine, const PassInterval& passes);
/// The gradient of x from the same g: affine.scale * g + slope * (x - mean) + offset.
struct GradientFormula {
  ChannelAffine affine;
  PassInterval passes;
  std::vector<float> slope;
  std::vector<float> offset;
};
/// `result` may be `x`.
void normalize_gradient(const float* x, const float* gradient, float* result, const ChannelLayout& layout,
                        const GradientFormula& formula);
/// The same of channels last, pixel by pixel, for who reads it at once: to the bit what normalize_gradient writes.
class GradientPixels {
 public:
  GradientPixels(const float* x, const float* gradient, const GradientFormula& formula);
  /// to[r * channels + c] of pixels [first, first + count).
  void make(int64_t first, int64_t count, float* to) const;

 private:
  const float* x_;
  const float* gradient_;
  int64_t channels_;
  PassInterval passes_;
  std::vector<float> mean_, scale_, shift_, slope_, offset_;  // a number a lane
};

/// Least and greatest of a + b; `b` may be null. NaN both where one of the sums is no finite number.
PassInterval range_of_sum(const float* a, const float* b, int64_t count);
/// y = ClipAndRound(a + b), and where the gradient passes; `b` may be null, and `mask`.
void sum_round(const float* a, const float* b, float* y, uint8_t* mask, int64_t count, const ClipAndRound& rounding,
               const PassInterval& passes);
/// result = gradient where the mask is set, else 0.
void mask_gradient(const float* gradient, const uint8_t* mask, float* result, int64_t count);

}  // namespace octet

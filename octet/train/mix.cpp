#include "octet/train/mix.h"

#include <cmath>
#include <cstring>
#include <random>

#include "octet/support/draws.h"
#include "octet/support/error.h"

namespace octet {
namespace {

// By hand, as in transforms.cpp: this runs on the loader's threads.

// Of two draws of a gamma distribution.
double beta(double a, Draws& draws) {
  std::gamma_distribution<double> gamma(a);
  const double first = gamma(draws), second = gamma(draws);
  return first + second > 0 ? first / (first + second) : 0.5;
}

int64_t elements_of_sample(const at::Tensor& tensor) {
  return tensor.size(0) == 0 ? 0 : tensor.numel() / tensor.size(0);
}

// Calls `put(own, partner)` of each sample's elements, from the last to the first: a partner is still as it came.
template <typename Put>
void with_partners(at::Tensor& all, const at::Tensor& before, const Put& put) {
  const int64_t each = elements_of_sample(all);
  float* own = all.mutable_data_ptr<float>();
  for (int64_t n = all.size(0); n-- > 0;) {
    put(own + n * each, n > 0 ? own + (n - 1) * each : before.const_data_ptr<float>());
  }
}

void blend_samples(at::Tensor& all, const at::Tensor& before, double share) {
  const int64_t each = elements_of_sample(all);
  const auto mine = static_cast<float>(share), theirs = static_cast<float>(1.0 - share);
  with_partners(all, before, [&](float* own, const float* partner) {
    for (int64_t i = 0; i < each; ++i) own[i] = own[i] * mine + partner[i] * theirs;
  });
}

// int64 labels as float32 [N, classes] of zeros and ones; floating targets as they are.
at::Tensor soft(const at::Tensor& targets, int64_t classes) {
  if (at::isFloatingType(targets.scalar_type())) return targets.to(at::kFloat).contiguous();
  if (targets.scalar_type() != at::kLong || targets.dim() != 1 || classes < 1) {
    throw expected("mix", "targets",
                   str("labels below the number of classes, which is ", classes, ", or floating numbers"),
                   octet::str(targets.scalar_type(), targets.sizes()));
  }
  at::Tensor made = at::empty({targets.size(0), classes}, at::kFloat);
  float* to = made.mutable_data_ptr<float>();
  std::memset(to, 0, made.nbytes());
  const int64_t* label = targets.const_data_ptr<int64_t>();
  for (int64_t n = 0; n < targets.size(0); ++n) {
    if (label[n] < 0 || label[n] >= classes) throw expected("mix", "label", str("below ", classes), str(label[n]));
    to[n * classes + label[n]] = 1.0F;
  }
  return made;
}

// A rectangle of rows and columns.
struct Patch {
  int64_t top = 0, bottom = 0, left = 0, right = 0;
};

// torchvision's: about a middle that is drawn, cut off at the edges.
Patch draw_patch(int64_t height, int64_t width, double share, Draws& draws) {
  const int64_t x = draws.below(width), y = draws.below(height);
  const double half = 0.5 * std::sqrt(1.0 - share);
  const auto across = static_cast<int64_t>(half * static_cast<double>(width));
  const auto down = static_cast<int64_t>(half * static_cast<double>(height));
  return {std::max<int64_t>(y - down, 0), std::min(y + down, height), std::max<int64_t>(x - across, 0),
          std::min(x + across, width)};
}

// Puts the partner's pixels into the patch.
void paste(at::Tensor& all, const at::Tensor& before, const Patch& patch, bool channels_last) {
  const int64_t planes = channels_last ? 1 : all.size(1), pixel = channels_last ? all.size(3) : 1;
  const int64_t height = all.size(channels_last ? 1 : 2), row = all.size(channels_last ? 2 : 3) * pixel;
  const auto bytes = static_cast<size_t>((patch.right - patch.left) * pixel) * sizeof(float);
  with_partners(all, before, [&](float* own, const float* partner) {
    for (int64_t plane = 0; plane < planes; ++plane) {
      for (int64_t y = patch.top; y < patch.bottom; ++y) {
        const int64_t at = (plane * height + y) * row + patch.left * pixel;
        if (bytes > 0) std::memcpy(own + at, partner + at, bytes);
      }
    }
  });
}

bool is_floating(const at::Tensor& tensor) { return tensor.scalar_type() == at::kFloat; }

}  // namespace

void mix(Batch& batch, const Batch& before, const MixOptions& options, uint64_t seed) {
  if (!options.any() || batch.size() == 0) return;
  Draws draws(seed);
  const bool cuts = options.cutmix > 0 && (options.mixup <= 0 || draws.below(2) == 1);
  double share = beta(cuts ? options.cutmix : options.mixup, draws);
  for (at::Tensor& input : batch.inputs) input = input.contiguous();
  if (cuts) {
    at::Tensor& pictures = batch.inputs[0];
    if (pictures.dim() != 4 || !is_floating(pictures)) {
      throw expected("CutMix", "samples", "pictures, float32 of four dimensions",
                     octet::str(pictures.scalar_type(), pictures.sizes()));
    }
    const int64_t height = pictures.size(options.channels_last ? 1 : 2);
    const int64_t width = pictures.size(options.channels_last ? 2 : 3);
    const Patch patch = draw_patch(height, width, share, draws);
    paste(pictures, before.inputs[0].contiguous(), patch, options.channels_last);
    const auto part = static_cast<double>((patch.bottom - patch.top) * (patch.right - patch.left));
    share = 1.0 - part / static_cast<double>(height * width);
  } else {
    for (size_t i = 0; i < batch.inputs.size(); ++i) {
      if (is_floating(batch.inputs[i])) blend_samples(batch.inputs[i], before.inputs[i].contiguous(), share);
    }
  }
  if (!batch.targets.defined()) return;
  at::Tensor targets = soft(batch.targets, options.classes);
  blend_samples(targets, soft(before.targets, options.classes), share);
  batch.targets = targets;
}

Batch last_sample(const Batch& batch) {
  const auto copy = [](const at::Tensor& all) {
    if (!all.defined()) return at::Tensor();
    return all.narrow(0, all.size(0) - 1, 1).clone();
  };
  Batch last;
  for (const at::Tensor& input : batch.inputs) last.inputs.push_back(copy(input));
  last.targets = copy(batch.targets);
  return last;
}

}  // namespace octet

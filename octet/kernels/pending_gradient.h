#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/core/ivalue.h>

#include <optional>

#include "octet/kernels/channel_rows.h"

namespace octet {

/// What a convolution and the BatchNorm that alone reads its result tell each other, forward and backward: the gradient
/// between them need not exist in memory. normalize_round's backward leaves its formula here, and the convolution's
/// computes it as it reads it.
struct PendingGradient : torch::CustomClassHolder {
  struct Formula {
    at::Tensor x, gradient;  ///< of normalize_round, laid out alike: channels last
    GradientFormula numbers;

    GradientPixels pixels() const { return {x.const_data_ptr<float>(), gradient.const_data_ptr<float>(), numbers}; }
    /// All of it, in the memory of x.
    at::Tensor in_place() const {
      const ChannelLayout layout{x.numel() / x.size(1), x.size(1), 1};
      normalize_gradient(x.const_data_ptr<float>(), gradient.const_data_ptr<float>(), x.mutable_data_ptr<float>(),
                         layout, numbers);
      return x;
    }
  };

  bool is_awaited = false;         ///< said by the convolution's forward
  std::optional<Formula> formula;  ///< the gradient that autograd passes on then is memory without a meaning
};

}  // namespace octet

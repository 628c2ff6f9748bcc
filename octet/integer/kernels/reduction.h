#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "octet/integer/kernel.h"
#include "octet/integer/kernels/places.h"
#include "octet/support/error.h"

namespace octet::integer {

/// The places in the output that input elements go to.
class Reduction {
 public:
  explicit Reduction(const KernelContext& context) {
    const std::vector<int64_t>& sizes = context.input(0).shape;
    std::vector<bool> reduced(sizes.size(), false);
    for (const int64_t axis : context.integers(1)) reduced[dimension(context, axis, sizes.size())] = true;
    std::vector<int64_t> steps(sizes.size(), 0), shape;
    for (size_t d = 0; d < sizes.size(); ++d) {
      if (!reduced[d] || context.op.options.keep_dims) shape.push_back(reduced[d] ? 1 : sizes[d]);
    }
    if (context.output().shape != shape) {
      context.fail("output shape", octet::str("[", join(", ", shape), "]"),
                   octet::str("[", join(", ", context.output().shape), "]"));
    }
    int64_t kept = 1;
    for (size_t d = sizes.size(); d-- > 0;) {
      if (reduced[d]) {
        count_ *= sizes[d];
      } else {
        steps[d] = kept;
        kept *= sizes[d];
      }
    }
    elements_ = context.input(0).numel();
    for (size_t d = 0; d < sizes.size(); ++d) {
      if (sizes[d] == 1) continue;
      if (!outer_.empty() && outer_.back().step == steps[d] * sizes[d]) {
        outer_.back() = {outer_.back().size * sizes[d], steps[d]};
      } else {
        outer_.push_back({sizes[d], steps[d]});
      }
    }
    if (outer_.empty()) return;
    run_ = outer_.back();
    outer_.pop_back();
  }

  int64_t count() const { return count_; }  ///< input elements of an output element

  /// Calls visit(from, to, count) for runs of input elements in order, of which each goes to the place after the last
  /// one's, or all go to one where is_sum().
  template <typename Visit>
  void each_run(Visit visit) const {
    std::vector<int64_t> at(outer_.size(), 0);
    int64_t to = 0;
    for (int64_t i = 0; i < elements_; i += run_.size) {
      visit(i, to, run_.size);
      for (size_t d = outer_.size(); d-- > 0;) {
        to += outer_[d].step;
        if (++at[d] < outer_[d].size) break;
        to -= outer_[d].step * outer_[d].size;
        at[d] = 0;
      }
    }
  }
  bool is_sum() const { return run_.step == 0; }

 private:
  struct Dimension {
    int64_t size, step;
  };
  std::vector<Dimension> outer_;
  Dimension run_ = {1, 1};
  int64_t count_ = 1;
  int64_t elements_ = 0;
};

/// Folds all input elements, one after another, into those of `to` that they belong to.
template <typename From, typename To, typename Fold>
void reduce(const Reduction& reduction, const From* x, To* to, Fold fold) {
  if (reduction.is_sum()) {
    reduction.each_run([&](int64_t i, int64_t place, int64_t count) {
      To value = to[place];
      for (int64_t k = 0; k < count; ++k) value = fold(value, x[i + k]);
      to[place] = value;
    });
  } else {
    reduction.each_run([&](int64_t i, int64_t place, int64_t count) {
      for (int64_t k = 0; k < count; ++k) to[place + k] = fold(to[place + k], x[i + k]);
    });
  }
}

}  // namespace octet::integer

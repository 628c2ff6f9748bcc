#include "octet/quantize/sqnr.h"

#include <cmath>
#include <limits>

#include "octet/support/error.h"

namespace octet {

double compute_error(const at::Tensor& x, const at::Tensor& y) {
  if (x.sizes() != y.sizes()) {
    throw expected("compute_error", "shapes", octet::str(x.sizes()), octet::str(y.sizes()));
  }
  at::Tensor signal = x.detach().to(at::kDouble);
  at::Tensor approximation = y.detach().to(signal.options());
  if (count_infinities(signal) > 0) {
    const at::Tensor counts = at::isinf(signal).logical_not();
    signal = signal.masked_select(counts);
    approximation = approximation.masked_select(counts);
  }
  const double noise = (signal - approximation).norm().item<double>();
  if (noise == 0) return std::numeric_limits<double>::infinity();
  return 20 * std::log10(signal.norm().item<double>() / noise);
}

int64_t count_infinities(const at::Tensor& x) {
  return x.is_floating_point() ? at::isinf(x.detach()).sum().item<int64_t>() : 0;
}

}  // namespace octet

#include "octet/quantize/sqnr.h"

#include <cmath>
#include <limits>

#include "octet/support/error.h"

namespace octet {

double compute_error(const at::Tensor& x, const at::Tensor& y) {
  if (x.sizes() != y.sizes()) {
    throw expected("compute_error", "shapes", octet::str(x.sizes()), octet::str(y.sizes()));
  }
  const at::Tensor signal = x.detach().to(at::kDouble);
  const double noise = (signal - y.detach().to(signal.options())).norm().item<double>();
  if (noise == 0) return std::numeric_limits<double>::infinity();
  return 20 * std::log10(signal.norm().item<double>() / noise);
}

}  // namespace octet

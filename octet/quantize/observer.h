#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "octet/graph/callable_module.h"
#include "octet/quantize/spec.h"
#include "octet/support/api.h"

namespace octet {

/// The grid that a range gives: the one function for scales and zero points (docs: "One truth"). Formulas of torchao's
/// UniformQuantizationObserverBase: the range is widened to hold 0; symmetric: scale = max|x| / ((qmax-qmin)/2), zero
/// point 0; affine: scale = (max-min)/(qmax-qmin), zero point = clip(qmin - round_half_even(min/scale)); every scale at
/// least eps. `min`, `max`: float32, 0-dim or [channels]; an uninitialised range (empty or +inf, -inf) gives scale 1,
/// zero point 0. `symmetric_zero_point`: the zero point of symmetric schemes, see symmetric_zero_point(). Arithmetic is
/// float32 throughout. The float-qparams scheme (embeddings) gives a float32 zero point. Throws octet::Error for NaN,
/// infinity or min > max.
OCTET_API QParams choose_qparams(const at::Tensor& min, const at::Tensor& max, int64_t quant_min, int64_t quant_max,
                                 at::QScheme qscheme, double eps, int64_t symmetric_zero_point = 0);
/// How torchao's choose_qparams_affine makes a grid of a range, by its names.
enum class MappingType {
  kSymmetric,               ///< scale = max|x| / ((qmax-qmin)/2): the largest positive value may be cut by half a level
  kSymmetricNoClippingErr,  ///< scale = max(min/qmin, max/qmax): both ends hold
  kAsymmetric,              ///< scale = (max-min)/(qmax-qmin), zero point = clip(qmin - round_half_even(min/scale))
};
/// "SYMMETRIC", "SYMMETRIC_NO_CLIPPING_ERR", "ASYMMETRIC"
OCTET_API const char* text(MappingType mapping);
/// The inverse; throws octet::Error naming `where`.
OCTET_API MappingType mapping_from_text(std::string_view text, const std::string& where);

/// The same function by torchao's names. The zero point of symmetric mappings is the middle of the range, 0 for signed
/// ones. Throws octet::Error besides where kSymmetricNoClippingErr has no positive level.
OCTET_API QParams choose_qparams(const at::Tensor& min, const at::Tensor& max, int64_t quant_min, int64_t quant_max,
                                 MappingType mapping, double eps);
/// 0 for signed types, 128 for uint8 (the rounded-down middle of a custom range), 32768 for uint16.
OCTET_API int64_t symmetric_zero_point(at::ScalarType dtype, int64_t quant_min, int64_t quant_max, bool custom_range);

/// quant_min and quant_max of a spec: its own where both are given, else the whole of its dtype. Throws octet::Error
/// for a range that does not hold 0 or that the dtype cannot hold, and for a dtype without a default range.
OCTET_API std::pair<int64_t, int64_t> resolve_quant_range(const ObserverArgs& args, const std::string& where);
/// The whole integer range of a dtype; nullopt for types that are no quantized integers.
OCTET_API std::optional<std::pair<int64_t, int64_t>> dtype_range(at::ScalarType dtype);

/// The base of observers and fake quantizers: what prepare puts into a graph. Identity for observers.
class OCTET_API ObserverBase : public CallableModule {
 public:
  at::ScalarType dtype = at::kChar;
  int64_t quant_min = -128;
  int64_t quant_max = 127;
  at::QScheme qscheme = at::kPerTensorAffine;
  int64_t ch_axis = 0;
  bool is_dynamic = false;
  std::optional<int64_t> given_zero_point = {};  ///< of a symmetric grid, in place of the dtype's own
  std::vector<int64_t> block_size;               ///< see QuantizationSpec; empty: none
  /// True where quant_min and quant_max were given, not taken from the dtype.
  bool custom_range = false;

  /// The spec fields it was made from: what makes one like it.
  ObserverArgs args() const;

  at::Tensor call(const std::vector<at::Tensor>& inputs) override { return forward(inputs.at(0)); }
  virtual at::Tensor forward(const at::Tensor& x) = 0;
  /// Throws octet::Error for those that have none (Placeholder, Recording).
  virtual QParams calculate_qparams() const = 0;
  /// False while no data was seen: the parameters are then the default 1, 0.
  virtual bool has_data() const { return true; }
  /// "HistogramObserver"
  virtual std::string type_name() const = 0;
  bool is_per_channel() const { return qscheme == at::kPerChannelAffine || qscheme == at::kPerChannelSymmetric; }
};

// Switches for `module.apply(...)`, by the reference's names.
OCTET_API void enable_observer(torch::nn::Module& module);
OCTET_API void disable_observer(torch::nn::Module& module);
OCTET_API void enable_fake_quant(torch::nn::Module& module);
OCTET_API void disable_fake_quant(torch::nn::Module& module);
/// BatchNorm statistics of simulated conv-bn modules stay as they are from now on, or move again.
OCTET_API void freeze_bn_stats(torch::nn::Module& module);
OCTET_API void unfreeze_bn_stats(torch::nn::Module& module);

}  // namespace octet

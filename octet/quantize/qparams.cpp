#include <cmath>
#include <limits>

#include "octet/formats/dtype.h"
#include "octet/kernels/small_tensors.h"
#include "octet/quantize/observer.h"
#include "octet/support/error.h"

namespace octet {
namespace {

struct Grid {
  at::QScheme qscheme;
  int64_t quant_min;
  int64_t quant_max;
  float eps;
  int64_t symmetric_zero_point;
  bool clips = true;  // symmetric: the end of the range with more levels decides alone
};

void check_range(float low, float high) {
  if (std::isnan(low) || std::isnan(high)) {
    throw Error("choose_qparams", "the observed range holds NaN").hint("look for a diverging loss or a division by 0");
  }
  if (!std::isfinite(low) || !std::isfinite(high) || !std::isfinite(high - low)) {
    throw expected("choose_qparams", "observed range", "finite", octet::str("[", low, ", ", high, "]"));
  }
  if (low > high)
    throw expected("choose_qparams", "observed range", "min <= max", octet::str("[", low, ", ", high, "]"));
}

// float32 step by step, as the reference's tensors compute it.
std::pair<float, double> scale_and_zero_point(float observed_low, float observed_high, const Grid& grid) {
  const float low = std::min(observed_low, 0.0F);
  const float high = std::max(observed_high, 0.0F);
  const auto steps = static_cast<float>(grid.quant_max - grid.quant_min);
  switch (grid.qscheme) {
    case at::kPerTensorSymmetric:
    case at::kPerChannelSymmetric: {
      const auto half_steps = static_cast<float>(static_cast<double>(grid.quant_max - grid.quant_min) / 2);
      const float scale =
          grid.clips ? std::max(-low, high) / half_steps
                     : std::max(low / static_cast<float>(grid.quant_min), high / static_cast<float>(grid.quant_max));
      return {std::max(scale, grid.eps), static_cast<double>(grid.symmetric_zero_point)};
    }
    case at::kPerChannelAffineFloatQParams: {
      const float scale = (observed_high - observed_low) / steps;
      const float kept = scale > grid.eps ? scale : 1.0F;
      return {kept, -observed_low / kept};
    }
    default: {
      const float scale = std::max((high - low) / steps, grid.eps);
      const auto offset = static_cast<int64_t>(std::nearbyint(low / scale));
      return {scale, static_cast<double>(std::clamp(grid.quant_min - offset, grid.quant_min, grid.quant_max))};
    }
  }
}

struct MappingName {
  MappingType mapping;
  const char* name;
};
constexpr MappingName kMappingNames[] = {{MappingType::kSymmetric, "SYMMETRIC"},
                                         {MappingType::kSymmetricNoClippingErr, "SYMMETRIC_NO_CLIPPING_ERR"},
                                         {MappingType::kAsymmetric, "ASYMMETRIC"}};

QParams grids_of(const at::Tensor& min, const at::Tensor& max, const Grid& grid) {
  if (grid.quant_min >= grid.quant_max) {
    throw expected("choose_qparams", "quant_min", octet::str("below quant_max ", grid.quant_max),
                   octet::str(grid.quant_min));
  }
  if (!min.defined() || !max.defined() || min.sizes() != max.sizes()) {
    throw Error("choose_qparams", "min and max must be tensors of one shape");
  }
  const bool float_zero_point = grid.qscheme == at::kPerChannelAffineFloatQParams;
  const auto zero_point_type = float_zero_point ? at::kFloat : at::kLong;
  const auto in_memory = [](const at::Tensor& x) {
    return plain_values<float>(x) != nullptr ? x : x.detach().to(at::kCPU, at::kFloat).contiguous();
  };
  const at::Tensor low = in_memory(min);
  const at::Tensor high = in_memory(max);
  const float* lows = low.const_data_ptr<float>();
  const float* highs = high.const_data_ptr<float>();
  constexpr float kUnseen = std::numeric_limits<float>::infinity();
  const int64_t count = low.numel();
  const bool unseen = count == 0 || (count == 1 && lows[0] == kUnseen && highs[0] == -kUnseen);

  at::Tensor scale = at::empty({unseen ? 1 : count}, at::kFloat);
  at::Tensor zero_point = at::empty({unseen ? 1 : count}, zero_point_type);
  if (unseen) {
    scale.fill_(1);
    zero_point.zero_();
  } else {
    float* scales = scale.mutable_data_ptr<float>();
    for (int64_t i = 0; i < count; ++i) {
      check_range(lows[i], highs[i]);
      const auto [s, z] = scale_and_zero_point(lows[i], highs[i], grid);
      scales[i] = s;
      if (float_zero_point) {
        zero_point.mutable_data_ptr<float>()[i] = static_cast<float>(z);
      } else {
        zero_point.mutable_data_ptr<int64_t>()[i] = static_cast<int64_t>(z);
      }
    }
  }
  if (min.device().is_cpu()) return {scale, zero_point};
  return {scale.to(min.device()), zero_point.to(min.device())};
}

}  // namespace

const char* text(MappingType mapping) {
  for (const MappingName& entry : kMappingNames) {
    if (entry.mapping == mapping) return entry.name;
  }
  throw Error("", "unknown mapping type");
}

MappingType mapping_from_text(std::string_view text, const std::string& where) {
  for (const MappingName& entry : kMappingNames) {
    if (entry.name == text) return entry.mapping;
  }
  throw expected(where, "mapping type", "SYMMETRIC, SYMMETRIC_NO_CLIPPING_ERR or ASYMMETRIC",
                 octet::str("'", text, "'"));
}

QParams choose_qparams(const at::Tensor& min, const at::Tensor& max, int64_t quant_min, int64_t quant_max,
                       at::QScheme qscheme, double eps, int64_t symmetric_zero_point) {
  return grids_of(min, max, {qscheme, quant_min, quant_max, static_cast<float>(eps), symmetric_zero_point});
}

QParams choose_qparams(const at::Tensor& min, const at::Tensor& max, int64_t quant_min, int64_t quant_max,
                       MappingType mapping, double eps) {
  const bool clips = mapping != MappingType::kSymmetricNoClippingErr;
  if (!clips && (quant_min >= 0 || quant_max <= 0)) {
    throw expected("choose_qparams", octet::str("range for ", text(mapping)), "one with levels on both sides of 0",
                   octet::str("[", quant_min, ", ", quant_max, "]"));
  }
  const at::QScheme scheme = mapping == MappingType::kAsymmetric ? at::kPerTensorAffine : at::kPerTensorSymmetric;
  const int64_t middle = (quant_min + quant_max + 1) / 2;
  return grids_of(min, max, {scheme, quant_min, quant_max, static_cast<float>(eps), middle, clips});
}

int64_t symmetric_zero_point(at::ScalarType dtype, int64_t quant_min, int64_t quant_max, bool custom_range) {
  if (dtype == at::kByte || dtype == at::kQUInt8) return custom_range ? (quant_min + quant_max) >> 1 : 128;
  if (dtype == at::kUInt16) return 32768;
  return 0;
}

std::optional<std::pair<int64_t, int64_t>> dtype_range(at::ScalarType dtype) {
  switch (dtype) {
    case at::kChar:
    case at::kQInt8:
      return std::pair<int64_t, int64_t>{-128, 127};
    case at::kByte:
    case at::kQUInt8:
      return std::pair<int64_t, int64_t>{0, 255};
    case at::kShort:
      return std::pair<int64_t, int64_t>{-32768, 32767};
    case at::kUInt16:
      return std::pair<int64_t, int64_t>{0, 65535};
    case at::kInt:
    case at::kQInt32:
      return std::pair<int64_t, int64_t>{std::numeric_limits<int32_t>::min(), std::numeric_limits<int32_t>::max()};
    default:
      return std::nullopt;
  }
}

std::pair<int64_t, int64_t> resolve_quant_range(const ObserverArgs& args, const std::string& where) {
  const auto whole = dtype_range(args.dtype);
  if (!args.quant_min || !args.quant_max) {
    if (whole) return *whole;
    throw Error(where, octet::str(dtype_name(args.dtype), " has no default range"))
        .hint("set quant_min and quant_max, or a dtype of int8, uint8, int16, uint16, int32");
  }
  const int64_t low = *args.quant_min;
  const int64_t high = *args.quant_max;
  if (low >= high) throw expected(where, "quant_min", octet::str("below quant_max ", high), octet::str(low));
  if (low > 0 || high < 0) {
    throw expected(where, "quantized range", "one that holds 0", octet::str("[", low, ", ", high, "]"));
  }
  if (whole && (low < whole->first || high > whole->second)) {
    throw expected(where, octet::str("quantized range of ", dtype_name(args.dtype)),
                   octet::str("within [", whole->first, ", ", whole->second, "]"),
                   octet::str("[", low, ", ", high, "]"));
  }
  return {low, high};
}

ObserverArgs ObserverBase::args() const {
  ObserverArgs args;
  args.dtype = dtype;
  args.qscheme = qscheme;
  args.ch_axis = ch_axis;
  args.is_dynamic = is_dynamic;
  args.zero_point = given_zero_point;
  args.block_size = block_size;
  if (custom_range) {
    args.quant_min = quant_min;
    args.quant_max = quant_max;
  }
  return args;
}

}  // namespace octet

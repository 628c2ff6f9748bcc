#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "octet/lowering/clip.h"
#include "octet/support/api.h"

namespace octet {

/// What the compiler of a Neutron NPU accepts. Sizes are inclusive upper bounds.
struct NeutronLimits {
  int64_t kernel = 4096;  ///< kernel height and width, also of pools
  int64_t stride = 4096;
  int64_t dilation = 4096;
  int64_t convolution_weights = 65535;  ///< kH * kW * input channels, these rounded up to a multiple of `macs`
  int64_t transposed_stride = 2;
  int64_t softmax_channels = 2040;
  int64_t softmax_positions = 4096;  ///< product of all dimensions but the channels
  int64_t softmax_elements = 524288;
  int64_t reshape_rank = 7;
  int64_t inputs_and_outputs = 255;  ///< of one compiled partition, each
  std::vector<int64_t> upsample_scales = {1, 2, 4, 8};
  int64_t min_split_groups = 2;   ///< a grouped, not depthwise convolution is split for this many groups
  int64_t max_split_groups = 10;  ///< into so many parts at most
  int64_t max_joined_groups = 8;  ///< neighbours in one part, which then multiplies by the zeros between them
  /// Bounds at which clamp and hardtanh are an activation of the NPU.
  std::vector<ActivationBounds> activation_bounds = {{-1.0, 1.0}, {0.0, 1.0}, {0.0, 6.0}, {0.0, std::nullopt}};
  /// Bounds at which hardtanh is computed together with the convolution or matrix product before it.
  std::vector<ActivationBounds> fusable_bounds = {{0.0, 6.0}, {0.0, std::nullopt}};
};

/// A Neutron NPU as data. `NeutronTargetSpec("imxrt700")`; an unknown name throws octet::Error that lists the known
/// ones.
class OCTET_API NeutronTargetSpec {
 public:
  explicit NeutronTargetSpec(const std::string& target);
  static std::vector<std::string> known();

  const std::string& name() const { return name_; }
  const std::string& core() const { return core_; }               ///< "N3-64"
  int64_t hardware_version() const { return hardware_version_; }  ///< 2 stands for N3
  int64_t units() const { return units_; }
  int64_t pipes() const { return pipes_; }
  int64_t macs() const { return macs_; }                    ///< of one pipe in one cycle
  int64_t on_chip_bytes() const { return on_chip_bytes_; }  ///< RAM of the chip, which activations share with all else
  const NeutronLimits& limits() const { return limits_; }

 private:
  NeutronTargetSpec() = default;
  static const std::vector<NeutronTargetSpec>& table();
  static NeutronTargetSpec row(std::string name, std::string core, int64_t hardware_version, int64_t units,
                               int64_t pipes, int64_t macs, int64_t on_chip_bytes, NeutronLimits limits);

  std::string name_;
  std::string core_;
  int64_t hardware_version_ = 0;
  int64_t units_ = 0;
  int64_t pipes_ = 0;
  int64_t macs_ = 0;
  int64_t on_chip_bytes_ = 0;
  NeutronLimits limits_;
};

}  // namespace octet

#include "octet/support/error.h"
#include "octet/targets/engine/passes/passes.h"
#include "octet/targets/engine/placement/operator_view.h"
#include "octet/targets/neutron/constraints.h"

namespace octet::neutron::constraints {

using targets::OperatorView;
using targets::Refusal;

namespace {

std::string grid_type(const std::optional<QuantRecord>& grid) { return grid ? grid->dtype : "float"; }

std::optional<Refusal> at_most(const std::string& what, int64_t limit, int64_t got, const std::string& way_out = "") {
  if (got <= limit) return std::nullopt;
  return Refusal{what, octet::str("<= ", limit), std::to_string(got), way_out};
}

int64_t round_up(int64_t value, int64_t step) { return (value + step - 1) / step * step; }

std::optional<Refusal> weights_fit(const OperatorView& view, const NeutronTargetSpec& target) {
  const auto& weight = view.sizes("weight");
  const auto& input = view.sizes("input");
  const int64_t channels = round_up(input.at(1), target.macs());
  const int64_t size = weight.at(2) * weight.at(3) * channels;
  return at_most(octet::str("kernel height * width * channels (", weight[2], " * ", weight[3], " * ", channels, ")"),
                 target.limits().convolution_weights, size,
                 "split the input channels over several convolutions and add them, or take a smaller kernel");
}

std::optional<Refusal> convolution_limits(const OperatorView& view, const NeutronLimits& limits) {
  const auto& weight = view.sizes("weight");
  if (auto refusal = at_most("kernel", limits.kernel, std::max(weight.at(2), weight.at(3)))) return refusal;
  const auto [stride_h, stride_w] = view.pair("stride", {1, 1});
  if (auto refusal = at_most("stride", limits.stride, std::max(stride_h, stride_w))) return refusal;
  const auto [dilation_h, dilation_w] = view.pair("dilation", {1, 1});
  return at_most("dilation", limits.dilation, std::max(dilation_h, dilation_w));
}

std::optional<Refusal> transposed_limits(const OperatorView& view, const NeutronTargetSpec& target) {
  const NeutronLimits& limits = target.limits();
  const int64_t groups = view.node().arg("groups").to_int();
  if (groups != 1) {
    return Refusal{"groups", "1", std::to_string(groups), "use one group, or resize and a convolution"};
  }
  const auto [dilation_h, dilation_w] = view.pair("dilation", {1, 1});
  if (dilation_h != 1 || dilation_w != 1) {
    return Refusal{"dilation", "1", std::to_string(std::max(dilation_h, dilation_w)), ""};
  }
  const auto& weight = view.sizes("weight");
  const std::pair kernel = {weight.at(2), weight.at(3)};
  if (auto refusal = at_most("kernel", limits.kernel, std::max(kernel.first, kernel.second))) return refusal;
  const auto [stride_h, stride_w] = view.pair("stride", {1, 1});
  if (auto refusal = at_most("stride", limits.transposed_stride, std::max(stride_h, stride_w),
                             "upsample by 2 twice, or resize and a convolution")) {
    return refusal;
  }
  if (stride_h > kernel.first || stride_w > kernel.second) {
    return Refusal{"stride", "<= kernel",
                   octet::str("stride ", stride_h, "x", stride_w, ", kernel ", kernel.first, "x", kernel.second),
                   "a kernel at least as large as the stride"};
  }
  const auto [padding_h, padding_w] = view.pair("padding", {0, 0});
  if (padding_h >= kernel.first || padding_w >= kernel.second) {
    return Refusal{"padding", "< kernel",
                   octet::str("padding ", padding_h, "x", padding_w, ", kernel ", kernel.first, "x", kernel.second),
                   "crop the result instead"};
  }
  return weights_fit(view, target);
}

}  // namespace

Constraint rank(std::string_view argument, int64_t wanted) {
  return {octet::str("rank of ", argument, " ", wanted), [=](const OperatorView& view) -> std::optional<Refusal> {
            const auto got = static_cast<int64_t>(view.sizes(argument).size());
            if (got == wanted) return std::nullopt;
            return Refusal{octet::str("rank of ", argument), std::to_string(wanted), std::to_string(got), ""};
          }};
}

Constraint static_weight(std::string_view argument) {
  return {octet::str("constant int8 ", argument), [=](const OperatorView& view) -> std::optional<Refusal> {
            if (!view.is_static(argument)) {
              return Refusal{std::string(argument), "a parameter or constant", "a computed value",
                             "bmm multiplies two computed matrices"};
            }
            const auto grid = view.input_grid(argument);
            if (grid && grid->dtype == "int8") return std::nullopt;
            return Refusal{std::string(argument), "int8", grid_type(grid), ""};
          }};
}

Constraint static_bias(std::string_view argument) {
  return {std::string("constant int32 bias, or none"), [=](const OperatorView& view) -> std::optional<Refusal> {
            if (view.producers(argument).empty()) return std::nullopt;
            if (!view.is_static(argument)) {
              return Refusal{"bias", "a parameter or constant", "a computed value", "add it behind the operator"};
            }
            const auto grid = view.input_grid(argument);
            if (grid && grid->dtype == "int32") return std::nullopt;
            return Refusal{"bias", "int32", grid_type(grid),
                           "QuantizeFusedConvBnBiasAtenPass quantizes the biases of programs from elsewhere"};
          }};
}

Constraint convolution_weights(const NeutronTargetSpec& target) {
  return {octet::str("kH * kW * channels (rounded up to the MACs) <= ", target.limits().convolution_weights),
          [target](const OperatorView& view) { return weights_fit(view, target); }};
}

Constraint convolution_sizes(const NeutronLimits& limits) {
  return {octet::str("kernel <= ", limits.kernel, ", stride <= ", limits.stride, ", dilation <= ", limits.dilation),
          [limits](const OperatorView& view) { return convolution_limits(view, limits); }};
}

Constraint groups_or_depthwise(const NeutronLimits& limits) {
  return {octet::str("one group, or depthwise; ", limits.min_split_groups,
                     " groups and more are split beforehand, into ", limits.max_split_groups, " parts at most of ",
                     limits.max_joined_groups, " groups at most, or into a depthwise one a filter"),
          [limits](const OperatorView& view) -> std::optional<Refusal> {
            const int64_t groups = view.node().arg("groups").to_int();
            const int64_t in = view.sizes("input").at(1);
            const int64_t out = view.output_sizes().at(1);
            if (groups == 1 || (groups == in && groups == out)) return std::nullopt;
            const int64_t filters = groups == in && out / in <= limits.max_split_groups ? out / in : 1;
            const int64_t parts =
                std::max(filters, targets::group_parts(groups, limits.max_split_groups, limits.max_joined_groups));
            return Refusal{"groups", octet::str("1, or as many as input and output channels (", in, ", ", out, ")"),
                           std::to_string(groups),
                           parts > 1 ? octet::str("quantized after training, it is split into ", parts, " convolutions")
                                     : octet::str("no number of parts from 2 to ", limits.max_split_groups,
                                                  " has at most ", limits.max_joined_groups, " whole groups in each")};
          }};
}

Constraint transposed_convolution(const NeutronTargetSpec& target) {
  const NeutronLimits& limits = target.limits();
  return {octet::str("one group, dilation 1, stride <= ", limits.transposed_stride,
                     " and <= kernel, padding < kernel, kernel <= ", limits.kernel,
                     ", kH * kW * channels (rounded up to the MACs) <= ", limits.convolution_weights),
          [target](const OperatorView& view) { return transposed_limits(view, target); }};
}

Constraint factors_are_one() {
  return {"alpha and beta 1", [](const OperatorView& view) -> std::optional<Refusal> {
            for (const char* factor : {"alpha", "beta"}) {
              const double value = view.node().arg(factor).to_double();
              if (value != 1.0) return Refusal{factor, "1", octet::str(value), "multiply it into the weight or bias"};
            }
            return std::nullopt;
          }};
}

Constraint zero_points_are_zero(std::string_view first, std::string_view second) {
  return {"zero points of both inputs 0",
          [=](const OperatorView& view) -> std::optional<Refusal> {
            for (const std::string_view argument : {first, second}) {
              const auto grid = view.input_grid(argument);
              if (!grid || grid->zero_point.empty() || grid->zero_point.front() == 0) continue;
              return Refusal{octet::str("zero point of ", argument), "0", std::to_string(grid->zero_point.front()),
                             "quantize with the NeutronQuantizer, which takes a symmetric grid here"};
            }
            return std::nullopt;
          },
          /*needs_scales=*/true};
}

}  // namespace octet::neutron::constraints

#pragma once

#include <string_view>
#include <vector>

#include "octet/targets/engine/placement/constraint.h"
#include "octet/targets/neutron/target_spec.h"

/// The requirements that rows of the operator table name (reference: NXP's converters for the Neutron NPU).
namespace octet::neutron::constraints {

using targets::Constraint;

// ---- products with weights
Constraint rank(std::string_view argument, int64_t wanted);
/// int8 parameter or constant.
Constraint static_weight(std::string_view argument);
/// int32 parameter or constant, or none.
Constraint static_bias(std::string_view argument);
/// kH * kW * input channels, these rounded up to the MACs of a pipe.
Constraint convolution_weights(const NeutronTargetSpec& target);
Constraint convolution_sizes(const NeutronLimits& limits);
/// One group, or depthwise.
Constraint groups_or_depthwise(const NeutronLimits& limits);
Constraint transposed_convolution(const NeutronTargetSpec& target);
Constraint factors_are_one();
Constraint zero_points_are_zero(std::string_view first, std::string_view second);

// ---- elementwise
/// One input has as many elements as the result.
Constraint broadcasts_one_input(std::string_view first, std::string_view second);
Constraint alpha_is_one();
Constraint slopes();
/// All inputs of these arguments and the result on one grid.
Constraint same_grid(std::vector<std::string_view> arguments);
Constraint clip_bounds(const NeutronLimits& limits);

// ---- pools, reductions, shapes
Constraint pool_sizes(const NeutronLimits& limits);
Constraint max_pool(const NeutronLimits& limits);
Constraint average_pool();
Constraint divides_evenly();
Constraint softmax(const NeutronLimits& limits);
Constraint slice();
Constraint padding();
Constraint resize(const NeutronLimits& limits, bool aligned_corners);
/// True where resize() holds for a resize of images.
bool takes_resize(const NeutronLimits& limits, const Node& resize);
Constraint reshape_rank(const NeutronLimits& limits);
/// BatchNorm behind no convolution or linear.
Constraint is_folded();

// ---- of an operator that is alone in its partition: the compiler must not be left with an empty graph
Constraint clips_something(const NeutronLimits& limits);
Constraint reduces_something();
Constraint resizes_something();
Constraint moves_data();

}  // namespace octet::neutron::constraints

#include "octet/targets/neutron/passes.h"

#include "octet/lowering/complex_parts.h"
#include "octet/targets/engine/kept_in_float.h"
#include "octet/targets/engine/passes/passes.h"
#include "octet/targets/neutron/constraints.h"

namespace octet::neutron {
namespace {

// conv2d, addmm, mm and linear with a matrix as result: what takes an activation with it.
bool takes_activation(const Node& node) {
  if (node.is_call("aten.conv2d.default") || node.is_call("aten.addmm.default") || node.is_call("aten.mm.default")) {
    return true;
  }
  return node.is_call("aten.linear.default") && node.meta() && node.meta()->rank() == 2;
}

// Activations as products of what the NPU has. On the reference's fixed range of mul they would be cut off: there they
// stay in float, and so does what the reference leaves in float besides.
void add_products(std::vector<targets::Pass>& passes, const NeutronLimits& limits, const targets::RuleTable& rules,
                  const targets::QuantizerOptions& options) {
  passes.push_back({"decompose_powers", targets::decompose_powers});
  passes.push_back({"decompose_fills", targets::decompose_fills});
  passes.push_back({"convert_whole_constants", targets::convert_whole_constants});
  passes.push_back({"decompose_masks", targets::decompose_masks});
  passes.push_back({"decompose_scatters", targets::decompose_scatters});
  passes.push_back({"decompose_diagonals", targets::decompose_diagonals});
  passes.push_back({"decompose_recurrent_cells", targets::decompose_recurrent_cells});
  if (options.settings.at("unroll_rnn") == "yes") {
    passes.push_back({"unroll_recurrent_layers", targets::unroll_recurrent_layers});
  }
  passes.push_back({"decompose_windows", targets::decompose_windows});
  passes.push_back({"decompose_copies", targets::decompose_copies});
  passes.push_back({"decompose_resizes", targets::decompose_resizes});
  passes.push_back({"decompose_other_resizes", [limits](GraphModule& module) {
                      return targets::decompose_other_resizes(
                          module, [&](const Node& node) { return constraints::takes_resize(limits, node); });
                    }});
  passes.push_back({"decompose_uneven_averages", targets::decompose_uneven_averages});
  passes.push_back({"decompose_volume_pools", targets::decompose_volume_pools});
  passes.push_back({"decompose_variances", targets::decompose_variances});
  passes.push_back({"decompose_strided_slices", targets::decompose_strided_slices});
  passes.push_back({"scale_padded_averages", targets::scale_padded_averages});
  passes.push_back({"decompose_pixel_shuffles", targets::decompose_pixel_shuffles});
  passes.push_back({"decompose_gates", targets::decompose_gates});
  passes.push_back({"decompose_silu", targets::decompose_silu});
  passes.push_back({"decompose_hardsigmoid", targets::decompose_hardsigmoid});
  passes.push_back({"decompose_softplus", targets::decompose_softplus});
  passes.push_back({"decompose_mish", targets::decompose_mish});
  passes.push_back({"decompose_elu", targets::decompose_elu});
  passes.push_back({"decompose_shrinks", targets::decompose_shrinks});
  // What an operator in float divides by is computed in float with it, and found by its sums.
  passes.push_back({"decompose_sums", [rules](GraphModule& module) {
                      return targets::decompose_sums(module, [&] {
                        return targets::float_divisors(module,
                                                       [&](const Node& node) { return rules.find(node) == nullptr; });
                      });
                    }});
  passes.push_back({"leave_fixed_grids", targets::leave_fixed_grids});
  if (options.settings.at("norms") == "integer") passes.push_back({"decompose_norms", targets::decompose_norms});
  const std::string& gelu = options.settings.at("gelu");
  if (gelu == "float") return;
  const auto form = gelu == "tanh" ? targets::GeluForm::kTanh : targets::GeluForm::kSigmoid;
  passes.push_back({"decompose_gelu", [form](GraphModule& module) { return targets::decompose_gelu(module, form); }});
}

}  // namespace

std::vector<targets::Pass> default_passes(const NeutronLimits& limits, const targets::RuleTable& rules,
                                          const targets::QuantizerOptions& options) {
  const bool is_qat = options.mode == QuantizationMode::kQat;
  const bool with_products = options.settings.at("mul_range") == "observed";
  const auto joins = [rules](const Node& node) { return rules.is_fusable_activation(node); };
  std::vector<targets::Pass> passes = {
      {"replace_writes", targets::replace_writes},
      {"drop_no_ops", targets::drop_no_ops},
      {"rename_views", targets::rename_views},
  };
  // In front of what joins convolutions with BatchNorms; the reference leaves them in float.
  if (with_products) passes.push_back({"decompose_volumes", targets::decompose_volumes});
  // Pairs of numbers alone: a spectrum's levels differ too much for eight bits, it stays in float.
  if (with_products) {
    passes.push_back({"decompose_complex", [](GraphModule& module) {
                        return lowering::decompose_complex(module, lowering::ComplexSources::kViews);
                      }});
  }
  if (with_products) passes.push_back({"recompose_gelu", targets::recompose_gelu});  // its numbers are constants later
  // While what moves a norm's result is one operator each.
  if (with_products && !is_qat && options.settings.at("norms") == "integer") {
    passes.push_back({"fold_norms", targets::fold_norms});
  }
  if (with_products && !is_qat) {
    passes.push_back({"rename_instance_norms", targets::rename_instance_norms});
    passes.push_back({"spread_transposed_kernels", targets::spread_transposed_kernels});
  }
  if (with_products) {
    passes.push_back({"decompose_adaptive_maxima", targets::decompose_adaptive_maxima});
    passes.push_back({"add_batch_to_convolutions",
                      [joins](GraphModule& module) { return targets::add_batch_to_convolutions(module, joins); }});
  }
  passes.insert(
      passes.end(),
      {
          {"drop_pool_flags", targets::drop_pool_flags},
          {"pad_overhanging_maxima", targets::pad_overhanging_maxima},
          {"widen_resizes", targets::widen_resizes},
          {"add_batch_to_pools", targets::add_batch_to_pools},
          {"decompose_splits", targets::decompose_splits},
          {"decompose_selects", targets::decompose_selects},
          {"decompose_rolls", targets::decompose_rolls},
          {"decompose_arithmetic", targets::decompose_arithmetic},
          {"decompose_attention", targets::decompose_attention},
          {"decompose_einsum", targets::decompose_einsum},
          {"decompose_products", targets::decompose_products},
          {"add_relus_before_products", targets::add_relus_before_products},
          {"drop_expands", targets::drop_expands},
          {"turn_softmax", targets::turn_softmax},
          {"split_gru_layers", targets::split_gru_layers},
          {"fold_known_outputs", [is_qat](GraphModule& module) { return targets::fold_known_outputs(module, is_qat); }},
          {"fuse_linear_and_add", targets::fuse_linear_and_add},
          {"move_activations_before_concat",
           [joins](GraphModule& module) {
             return targets::move_activations_before_concat(module, takes_activation, joins);
           }},
          {"convert_div_to_mul", targets::convert_div_to_mul},
          {"cut_negative_pads", targets::cut_negative_pads},
          {"move_views_before_linears", targets::move_views_before_linears},
      });
  if (with_products) passes.push_back({"decompose_computed_weights", targets::decompose_computed_weights});
  passes.insert(
      passes.end(),
      {
          {"put_convolutions_before_batch_norms",
           [is_qat](GraphModule& module) { return targets::put_convolutions_before_batch_norms(module, is_qat); }},
          {"convert_conv1d_to_conv2d",
           [joins](GraphModule& module) { return targets::convert_conv1d_to_conv2d(module, joins); }},
      });
  if (with_products) add_products(passes, limits, rules, options);
  passes.push_back({"convert_scalars_to_attributes", targets::convert_scalars_to_attributes});
  if (!is_qat) {
    // A BatchNorm folds into the whole convolution; behind the parts it could not.
    passes.push_back({"fuse_batch_norms", targets::fuse_batch_norms});
    passes.push_back({"merge_parallel_convolutions", targets::merge_parallel_convolutions});
    passes.push_back({"split_group_convolutions", [limits](GraphModule& module) {
                        return targets::split_group_convolutions(module, limits.min_split_groups,
                                                                 limits.max_split_groups, limits.max_joined_groups);
                      }});
    if (with_products) {
      passes.push_back({"split_transposed_groups", [limits](GraphModule& module) {
                          return targets::split_transposed_groups(module, limits.max_split_groups,
                                                                  limits.max_joined_groups);
                        }});
    }
  }
  return passes;
}

}  // namespace octet::neutron

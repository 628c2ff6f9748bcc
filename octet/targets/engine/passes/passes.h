#pragma once

#include <functional>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "octet/graph/graph_module.h"

/// Rewrites of the float graph, a file each, of which a target takes those that its compiler wants. Every one leaves
/// the results of the graph as they are, is idempotent, sets shape and type of the nodes it makes, and returns whether
/// it changed anything.
namespace octet::targets {

/// A 2-D pool over [C, H, W] becomes reshape to [1, C, H, W], pool, reshape back.
bool add_batch_to_pools(GraphModule& module);
/// The same for convolutions along one, two and three dimensions, with an activation behind, for which `joins` holds,
/// on the batch too.
bool add_batch_to_convolutions(GraphModule& module, const std::function<bool(const Node&)>& joins);

/// What is written in place becomes a value of its own, and all that reads the memory behind it reads that: copies,
/// writes into a slice or a select (y[:, 2:10] = x becomes a cat of what stays and what is written), and operators in
/// place on what is made of constants alone (y = zeros(...); y += x); slice_scatter, select_scatter and copy, which an
/// export makes of such writes, too. Declined for inputs and tensors of the module,
/// whose writes others see, for slices with a step, for parts of the batch, for numbers that fill computed values,
/// and where another view of the memory is read behind that cannot be made again.
bool replace_writes(GraphModule& module);

/// What gives its input back vanishes: alias, detach, clone, contiguous, conversions to the type that a value has,
/// expand to the sizes that it has, slices of everything, permutations that move nothing, repetitions by 1, padding by
/// 0. Views behind become reshapes, since a copy also put elements in order. Declined for a copy of which one side is
/// written and the other read behind it, and where another batch would make it do something.
bool drop_no_ops(GraphModule& module);

/// Views under other names become reshape, permute, transpose, slice and expand: reshape_as, view_as, unflatten, t,
/// numpy_T, movedim, moveaxis, swapaxes, swapdims, narrow, expand_as. Declined where an argument is computed.
bool rename_views(GraphModule& module);

/// ceil_mode that makes no window more, and count_include_pad=False without padding, are switched off in 1-D and 2-D
/// pools.
bool drop_pool_flags(GraphModule& module);

/// A max_pool1d or max_pool2d whose last window hangs over (ceil_mode) reads its image with -inf behind the end, and
/// ceil_mode is switched off. Declined with dilation.
bool pad_overhanging_maxima(GraphModule& module);

/// Resizes of lines become those of images of one row; nearest-exact, where every element becomes a whole number of
/// neighbours, nearest.
bool widen_resizes(GraphModule& module);

/// Arithmetic on floats becomes add, sub, mul, cat and products of matrices: rsub, stack, baddbmm, addmm of two
/// computed matrices, and mul, sub, div, cat and clamp under their other names. Declined where a factor or a bound is
/// computed.
bool decompose_arithmetic(GraphModule& module);

/// square, pow with 2, 3 and 4, addcmul and cross become products and sums; pow with -0.5 becomes rsqrt. Declined for
/// other exponents, where a factor is computed, and for a cross over samples or of other sizes.
bool decompose_powers(GraphModule& module);

/// sum along dimensions becomes an add for each of up to four terms, a 1x1 convolution by ones over the channels of an
/// image, or a linear by ones: its terms keep their grid, where a sum has to share it with its result. `kept` gives
/// what stays as it is. Declined over samples and for more than 65536 terms.
bool decompose_sums(GraphModule& module, const std::function<std::unordered_set<const Node*>()>& kept);

/// addmm becomes mm and add, its factors products with constants.
bool decompose_addmm(GraphModule& module);

/// add and sub with a factor alpha become a product with it and the sum; a number is multiplied at once.
bool decompose_alpha(GraphModule& module);

/// reciprocal becomes a division of 1.
bool decompose_reciprocal(GraphModule& module);

/// Functions that few targets have become those that more have: acos, tan, atan2, expm1, log1p, log2, log10, sinh,
/// cosh, asinh, acosh, atanh, trunc, remainder, div with a rounding mode, threshold, glu, var, linalg_vector_norm,
/// max_pool3d, and pad with reflection of images, which becomes reflection_pad2d. In-place forms too, unless a reader
/// sees that they write. Declined for integers, variances over samples, norms of everything or of order 0, dilated
/// pools.
bool decompose_functions(GraphModule& module);

/// Of these functions glu alone: one half of its input times the sigmoid of the other.
bool decompose_gates(GraphModule& module);

/// var, and std as its root, alone: means of squares of differences.
bool decompose_variances(GraphModule& module);

/// gelu written out, x / 2 times 1 + erf(x / sqrt 2) in any order of its products, becomes gelu.
bool recompose_gelu(GraphModule& module);

/// view, permute, reshape that take the pixels of an image apart become pixel_unshuffle.
bool recompose_pixel_unshuffle(GraphModule& module);

/// pixel_shuffle and pixel_unshuffle become two transpositions, of three and of four dimensions, between reshapes.
/// Declined by a factor of 1.
bool decompose_pixel_shuffles(GraphModule& module);

/// fold of torch.nn.functional (col2im) becomes pixel_shuffle where windows lie side by side, else a transposed
/// convolution by ones, of many channels several; declined above a million weights and 16 parts.
/// unfold of torch.nn.functional (im2col) and of tensors become slices, one for each place of a window or for each
/// window, that are joined; windows that lie side by side become pixel_unshuffle, or one reshape and a permutation.
/// Declined along samples, for more than 256 parts, and for an unfold whose memory is written later.
bool decompose_windows(GraphModule& module);

/// conv1d, conv2d and linear whose weight is computed from the inputs (CondConv, hypernetworks) become bmm, of a
/// convolution by its windows (im2col), a product a group. Declined for convolutions of more than one sample.
bool decompose_computed_weights(GraphModule& module);

/// index by constants along neighbouring dimensions, flip, repeat, repeat_interleave, pad by the nearest element or
/// around become cats of slices; a flip of more than 32 elements in rows; an index of more than 32 pieces, or of one,
/// becomes index_select; more than 32 copies of one sample are a product with ones. Declined along samples, but for
/// repeat_interleave, and for more than 1024 copies.
bool decompose_copies(GraphModule& module);

/// Bicubic resizes, those with antialiasing, and bilinear ones by a scale that is not the ratio of the sizes, become
/// two linears, whose weights are the shares of each row and column. Declined where these are more than 16 million.
bool decompose_resizes(GraphModule& module);

/// Bilinear resizes that the target does not take (`is_taken`) become two linears, too; those to the nearest a cat of
/// slices for each dimension, or of copies between reshapes where each element becomes as many. Declined for resizes to
/// the nearest of more than 32 pieces that differ.
bool decompose_other_resizes(GraphModule& module, const std::function<bool(const Node&)>& is_taken);

/// adaptive_max_pool1d and adaptive_max_pool2d become amax, max_pool1d and max_pool2d, or slices, an amax of each, and
/// a cat where windows differ in size; max and min along a dimension become amax and amin. Declined where their places
/// are read, and for more than 32 windows along a dimension that differ in size.
bool decompose_adaptive_maxima(GraphModule& module);

/// adaptive_avg_pool1d and adaptive_avg_pool2d whose windows differ in size become one linear or two, whose weights are
/// the shares of each row and column.
bool decompose_uneven_averages(GraphModule& module);

/// conv3d becomes one conv2d over images whose channels are what the depth of a filter sees; a BatchNorm and an
/// activation that alone read it go with it.
bool decompose_volumes(GraphModule& module);

/// max_pool3d, avg_pool3d and the mean of a volume (adaptive_avg_pool3d to 1) become pools of images. Declined for
/// dilations and divisors.
bool decompose_volume_pools(GraphModule& module);

/// split, split_with_sizes, chunk, tensor_split and unbind become one slice for each piece that is read, for unbind
/// with a squeeze behind it; a split into one piece vanishes. Declined where the pieces are read other than one by one.
bool decompose_splits(GraphModule& module);

/// select becomes slice and squeeze. Declined where the index is computed.
bool decompose_selects(GraphModule& module);

/// A slice with a step becomes a max_pool2d with kernel 1 and that stride where it is over height or width of an image,
/// else a reshape into rows of as many elements, of which a column is sliced. Declined along dimension 0, where a bound
/// is computed, and for a slice that is written behind it.
bool decompose_strided_slices(GraphModule& module);

/// roll becomes two slices and a cat for each dimension. Declined along dimension 0, and without dimensions.
bool decompose_rolls(GraphModule& module);

/// scaled_dot_product_attention becomes products, the sum with its mask, and a softmax. A causal mask and one of
/// booleans become constants of 0 and -inf; heads that read one key (enable_gqa) become rows of one matrix. Declined
/// with dropout, where a mask of booleans is computed, and where heads that read one key have masks of their own.
bool decompose_attention(GraphModule& module);
/// scaled_dot_product_attention becomes what a tracer sees ATen call for it: query and key times the root of the scale,
/// products by bmm between views, _safe_softmax. Declined with a mask of booleans or a causal one, and with enable_gqa.
bool trace_attention(GraphModule& module);

/// A transposed convolution with dilation becomes one without, whose kernel has zeros between. Not in training: it
/// would train them. Declined above four million weights.
bool spread_transposed_kernels(GraphModule& module);

/// masked_fill and where by a constant mask, of a constant and a computed value, index_put, index_fill, scatter and
/// diagonal_scatter of constants at constant places, tril and triu become a product with 0 and 1 and a sum with what
/// stands in the masked places; the sum alone where that is -inf, or so low that the softmax which alone reads it gives
/// 0. where of two computed values by a constant mask becomes two products and a sum, nan_to_num vanishes. Equal for
/// values that are finite.
bool decompose_masks(GraphModule& module);

/// index_copy, index_put, scatter and diagonal_scatter of computed values at constant places become a cat of slices of
/// both; of more than 32 pieces a product with 0 and 1 and a sum with the values in their places, by a linear of 0 and
/// 1, or a cat and index_select. index_add and scatter_add become such a linear and a sum. Declined along samples, for
/// places that stand twice where values do not add up, and for a linear of more than four million weights.
bool decompose_scatters(GraphModule& module);

/// diagonal becomes a slice with a step of rows laid behind one another; diag_embed zeros between the elements, which
/// become rows. Declined where samples are rows or columns.
bool decompose_diagonals(GraphModule& module);

/// einsum becomes permutations, reshapes and a matmul for each factor behind the first; a sum over a letter of one
/// factor alone, a strided slice for one that stands twice in a term, mul where nothing is summed over. Declined where
/// samples are summed over within their factor or stand twice, for sizes that differ, and for a number as result.
bool decompose_einsum(GraphModule& module);

/// matmul, and mm of two computed matrices, become bmm on three dimensions between reshapes, or linear and mm where one
/// factor is a constant matrix. Matrices that one factor has but once become rows of the other. Declined for the
/// product of two vectors, and where each factor has matrices along dimensions that the other lacks.
bool decompose_products(GraphModule& module);

/// What a softmax or sigmoid gives, on the fixed grid that it gives it on, goes through a relu before a bmm reads it,
/// which leaves it as it is: for targets whose bmm takes a grid with zero point 0 alone.
bool add_relus_before_products(GraphModule& module);

/// What a softmax, sigmoid or tanh gives, on the fixed grid that it gives it on, goes through a relu or a hardtanh
/// before a cat, maximum or minimum joins it with values on other grids, or a sum or neg leads beyond it: the
/// activation leaves it as it is, and has the grid that all share.
bool leave_fixed_grids(GraphModule& module);

/// add, sub, mul and div read what stands in front of an expand where their other operand has the result's sizes.
bool drop_expands(GraphModule& module);

/// A softmax along another dimension than its target's kernel takes (the channels of an image, the last one of other
/// values) becomes permute, softmax along the last, permute.
bool turn_softmax(GraphModule& module);

/// The parts into which split_group_convolutions cuts a convolution of `groups` groups: that many where they are at
/// most `most`, else their largest divisor that is, with at most `joined` groups in a part, else `most` parts with as
/// many groups as others or one more; 1: it stays whole.
int64_t group_parts(int64_t groups, int64_t most, int64_t joined);

/// A convolution of several groups becomes slices of the input, a convolution each, and a concatenation. Where the
/// groups are more than `most`, neighbours go into one convolution, whose weights are zero between them (group_parts);
/// with one input channel in each group and several filters, it becomes a depthwise convolution a filter, whose results
/// are put in order by a permutation. Declined for depthwise ones (groups = input channels = output channels), for
/// transposed ones, for fewer groups than `least`, and where weight or bias is computed. A 1-D convolution waits until
/// convert_conv1d_to_conv2d made it a 2-D one.
bool split_group_convolutions(GraphModule& module, int64_t least, int64_t most, int64_t joined);

/// A transposed convolution of several groups becomes one of one group, whose weights are zero between what was apart;
/// above `joined` groups, slices of the input, a convolution for so many, and a concatenation. Declined above `most`
/// times `joined` groups, and where weight or bias is computed.
bool split_transposed_groups(GraphModule& module, int64_t most, int64_t joined);

/// lstm_cell, gru_cell, rnn_tanh_cell and rnn_relu_cell on matrices become linear, slices, sigmoid, tanh, products and
/// sums.
bool decompose_recurrent_cells(GraphModule& module);

/// lstm, gru and rnn over a sequence of up to 512 steps are written out: a cell a step, layer and direction, the
/// results joined. The length becomes fixed; the samples stay free. Declined with dropout in training, for projected
/// states, for sequences without samples, and for longer ones, with a warning.
bool unroll_recurrent_layers(GraphModule& module);

/// A GRU of several layers becomes a chain of one-layer ones. Declined where dropout between layers is active.
bool split_gru_layers(GraphModule& module);

/// A computation on constants alone becomes a constant; new_zeros and its kin are such. Declined for random and
/// mutating ops, and for what another node writes. Where `keep_shared`, parameters are to be trained through what is
/// computed from them: only a parameter that is moved (a view, permute, ...) for one reader becomes the moved one.
bool fold_known_outputs(GraphModule& module, bool keep_shared);

/// linear(x) + constant[out_features] becomes a linear with that bias. Declined where the linear has other readers or
/// is the second operand, and for other shapes.
bool fuse_linear_and_add(GraphModule& module);

/// cat(convolutions) -> activation becomes cat(convolution -> activation, ...), so that each is computed with its
/// convolution: the parts are those for which `takes` holds, the activations those for which `joins` does. Declined
/// where a part has other readers.
bool move_activations_before_concat(GraphModule& module, const std::function<bool(const Node&)>& takes,
                                    const std::function<bool(const Node&)>& joins);

/// x / constant becomes x * (1 / constant). Declined where an element is within 1e-12 of zero.
bool convert_div_to_mul(GraphModule& module);

/// A constant pad by negative amounts, which cuts, becomes slices, and a pad by what is left. Declined for other modes.
bool cut_negative_pads(GraphModule& module);

/// conv1d and conv_transpose1d become unsqueeze, 2-D convolution, squeeze; a BatchNorm and an activation behind, for
/// which `joins` holds, stay beside the convolution. Declined where weight or bias is computed from more than
/// parameters, and for inputs without a batch.
bool convert_conv1d_to_conv2d(GraphModule& module, const std::function<bool(const Node&)>& joins);

/// zeros_like, ones_like and full_like of a computed value of float32 become a number where an operator element by
/// element reads them, else a product with 0 and a sum. Declined for what is written, for inputs that may be infinite,
/// and for numbers from 1e4 on that must have the size.
bool decompose_fills(GraphModule& module);

/// Constants of whole numbers and booleans that arithmetic on floats reads are read as floats. Declined where an
/// operator writes them.
bool convert_whole_constants(GraphModule& module);

/// Numbers in add, sub, mul and their in-place forms (and the .Scalar forms of these) become constants of the module.
bool convert_scalars_to_attributes(GraphModule& module);
/// The same for these operators alone, "aten.add.Tensor".
bool convert_scalars_of(GraphModule& module, const std::vector<std::string_view>& ops);

/// Numbers where operators take tensors become constants of the module, and operators on numbers (the .Scalar forms,
/// leaky_relu, which becomes prelu, masked_fill, where) those on tensors. In-place forms are replaced where no reader
/// sees that they write.
bool lift_scalars(GraphModule& module);

/// In training: a convolution without a bias that a BatchNorm alone reads gets one of zeros. A buffer: BatchNorm's own
/// bias does all that it could, and once the statistics are frozen each of its steps would count (gamma / sigma)^2
/// times.
bool add_biases_before_batch_norms(GraphModule& module);

/// BatchNorm behind a convolution, a transposed one, or a linear with a matrix as result, that it alone reads, goes
/// into weight and bias. Declined in train mode.
bool fuse_batch_norms(GraphModule& module);

/// instance_norm by statistics that were gathered (track_running_stats, in eval mode) becomes batch_norm.
bool rename_instance_norms(GraphModule& module);

/// A BatchNorm of its own, behind no convolution or linear that it alone reads, gets a depthwise 1x1 convolution of
/// ones in front of it, with which it then folds or trains. For values of two to four dimensions; those of two and
/// three become images of one pixel or one row by conv1d. Declined in train mode unless `trains`.
bool put_convolutions_before_batch_norms(GraphModule& module, bool trains);

/// linear(x) -> flatten or reshape to a matrix of as many columns -> BatchNorm becomes reshape, linear, BatchNorm, so
/// that the last two are neighbours. Declined where the linear or the view has other readers.
bool move_views_before_linears(GraphModule& module);

/// The sum of two convolutions of one input that nothing else reads becomes one convolution, whose kernel is the sum of
/// theirs: the branches of a re-parametrized block, three and more of them two by two. A convolution plus 0 is the
/// convolution. Declined where strides or output
/// sizes differ, where the smaller kernel's taps are none of the larger one's, where weights or biases are computed,
/// and where the sum would hold more weights than the two.
bool merge_parallel_convolutions(GraphModule& module);

/// avg_pool1d and avg_pool2d that leave the padding out of their averages, whose last window hangs over (ceil_mode), or
/// that have a divisor of their own become pools that divide by the window's size, times a constant of the result's
/// size. What hangs over reads zeros that the image is padded with.
bool scale_padded_averages(GraphModule& module);

// Activations taken apart into operators that more targets know, with the same result. In-place forms too, unless a
// reader sees that they write (may_be_replaced).

/// silu(x) = x * sigmoid(x)
bool decompose_silu(GraphModule& module);
/// hardsigmoid(x) = relu6(x + 3) / 6: a clamp at -3 and 3 would have the grid of its input, however wide that is.
bool decompose_hardsigmoid(GraphModule& module);
/// softplus(x) = relu(x) - log(sigmoid(|x|)), which is log(1 + exp(x)) without its wide range; |x| = 2 relu(x) - x.
/// Declined for a threshold below 15, which shows in the result.
bool decompose_softplus(GraphModule& module);
/// mish(x) = x * tanh(softplus(x))
bool decompose_mish(GraphModule& module);
/// elu(x) = relu(x) + exp(min(x, 0)) - 1 with its factors; selu and celu too.
bool decompose_elu(GraphModule& module);

/// softshrink(x) = x - clamp(x, -l, l), log_sigmoid(x) = min(x, 0) + log(sigmoid(|x|)), rrelu in eval mode a
/// leaky_relu, a threshold that gives itself below a clamp. Declined for other thresholds, and for rrelu in train mode.
bool decompose_shrinks(GraphModule& module);

/// layer_norm, rms_norm, group_norm and instance_norm of float32 become a mean by linear, a difference, the mean of its
/// size, the sum of squares of what that leaves by bmm, rsqrt, products and a sum; x / clamp(linalg_vector_norm(x),
/// eps), which normalize is, the same without a mean. Declined above 65536 elements in a row, whose squares an int32
/// accumulator does not hold, and for an instance norm that keeps statistics.
bool decompose_norms(GraphModule& module);
/// The weight and bias of such a norm go into the linears and convolutions that alone read it, through moves and
/// averages over positions. Declined where anything else reads it, where a convolution pads, and for weights that
/// several nodes read.
bool fold_norms(GraphModule& module);

/// What may stand for a gelu.
enum class GeluForm {
  kSigmoid,  ///< x * sigmoid(1.702 x): up to 0.021 beside gelu
  kTanh,     ///< x * sigmoid(1.5958 (x + 0.044715 x^3)), which is gelu's tanh form: up to 0.0005 beside gelu
};
/// gelu becomes the form: an approximation, unlike all others here, unless it is of the tanh form itself.
bool decompose_gelu(GraphModule& module, GeluForm form);

}  // namespace octet::targets

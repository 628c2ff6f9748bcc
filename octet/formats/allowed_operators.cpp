#include "octet/formats/allowed_operators.h"

#include <algorithm>
#include <array>
#include <sstream>

#include "octet/support/error.h"

namespace octet {
namespace {

struct Reach {
  std::string_view name;  // of an operator without its overload; of a namespace, where it ends in a dot
  std::string_view what;
};

constexpr std::string_view kOpens = "opens, maps or writes files";
constexpr std::string_view kTalks = "talks to other processes or devices";
constexpr std::string_view kPrints = "prints";
constexpr std::string_view kMemory = "takes memory at its word: storage, strides or indices that nobody checks";
constexpr std::string_view kState = "changes the state of the process";
constexpr std::string_view kCalls = "calls other code";

// What no option lets in.
constexpr std::array kReaches = {
    Reach{"aten.from_file", kOpens},
    Reach{"aten.save", kOpens},
    Reach{"aten._print", kPrints},
    Reach{"prim.Print", kPrints},
    Reach{"c10d.", kTalks},
    Reach{"_c10d_functional.", kTalks},
    Reach{"_c10d_functional_autograd.", kTalks},
    Reach{"_dtensor.", kTalks},
    Reach{"symm_mem.", kTalks},
    Reach{"aten.record_stream", kTalks},
    Reach{"aten._cufft_get_plan_cache_size", kState},
    Reach{"aten._cufft_get_plan_cache_max_size", kState},
    Reach{"aten._cufft_set_plan_cache_max_size", kState},
    Reach{"aten._cufft_clear_plan_cache", kState},
    Reach{"aten.manual_seed", kState},
    Reach{"profiler.", kState},
    Reach{"debug_mode_ops.", kState},
    Reach{"static_runtime.", kCalls},
    Reach{"rngprims.", kCalls},
    Reach{"debugprims.", kCalls},
    Reach{"_test.", kCalls},
    Reach{"inductor.", kMemory},
    Reach{"inductor_prims.", kMemory},
    Reach{"aten.set_", kMemory},
    Reach{"aten.set", kMemory},
    Reach{"aten.set_data", kMemory},
    Reach{"aten.resize_", kMemory},
    Reach{"aten.resize", kMemory},
    Reach{"aten._resize_output_", kMemory},
    Reach{"aten._resize_output", kMemory},
    Reach{"aten._reshape_alias", kMemory},
    Reach{"aten._reshape_alias_copy", kMemory},
    Reach{"aten._convert_indices_from_coo_to_csr", kMemory},
    Reach{"aten._convert_indices_from_csr_to_coo", kMemory},
    Reach{"aten._sparse_coo_tensor_unsafe", kMemory},
    Reach{"aten._sparse_compressed_tensor_unsafe", kMemory},
    Reach{"aten._sparse_csr_tensor_unsafe", kMemory},
    Reach{"aten._sparse_csc_tensor_unsafe", kMemory},
    Reach{"aten._sparse_bsr_tensor_unsafe", kMemory},
    Reach{"aten._sparse_bsc_tensor_unsafe", kMemory},
    Reach{"aten._sparse_coo_tensor_with_dims_and_tensors", kMemory},
    Reach{"aten._nested_view_from_buffer", kMemory},
    Reach{"aten._nested_view_from_buffer_copy", kMemory},
    Reach{"aten._nested_view_from_jagged", kMemory},
    Reach{"aten._nested_view_from_jagged_copy", kMemory},
};

std::string_view packet_of(std::string_view text) {
  const size_t first = text.find('.');
  const size_t second = first == std::string_view::npos ? first : text.find('.', first + 1);
  return text.substr(0, second);
}

// Names of ATen without backward operators (autograd makes them), `out` forms and names of dimensions, which no export
// holds (but for div.out, which torch.nn's code for TorchScript names).
constexpr std::array kClasses = std::to_array<OperatorClass>({
    {"aten", "an element of the result comes of the elements at its place",
     R"(
div.out abs.default abs_.default absolute.default absolute_.default acos.default acos_.default acosh.default
acosh_.default add.Scalar add.Tensor add_.Scalar add_.Tensor addcdiv.default addcdiv_.default addcmul.default
addcmul_.default angle.default arccos.default arccos_.default arccosh.default arccosh_.default arcsin.default
arcsin_.default arcsinh.default arcsinh_.default arctan.default arctan_.default arctan2.default arctan2_.default
arctanh.default arctanh_.default asin.default asin_.default asinh.default asinh_.default atan.default atan_.default
atan2.default atan2_.default atanh.default atanh_.default bitwise_and.Scalar bitwise_and.Scalar_Tensor
bitwise_and.Tensor bitwise_and_.Scalar bitwise_and_.Tensor bitwise_left_shift.Scalar_Tensor
bitwise_left_shift.Tensor bitwise_left_shift.Tensor_Scalar bitwise_left_shift_.Tensor
bitwise_left_shift_.Tensor_Scalar bitwise_not.default bitwise_not_.default bitwise_or.Scalar
bitwise_or.Scalar_Tensor bitwise_or.Tensor bitwise_or_.Scalar bitwise_or_.Tensor bitwise_right_shift.Scalar_Tensor
bitwise_right_shift.Tensor bitwise_right_shift.Tensor_Scalar bitwise_right_shift_.Tensor
bitwise_right_shift_.Tensor_Scalar bitwise_xor.Scalar bitwise_xor.Scalar_Tensor bitwise_xor.Tensor
bitwise_xor_.Scalar bitwise_xor_.Tensor __and__.Scalar __and__.Tensor __or__.Scalar __or__.Tensor __xor__.Scalar
__xor__.Tensor __lshift__.Scalar __lshift__.Tensor __rshift__.Scalar __rshift__.Tensor __iand__.Scalar
__iand__.Tensor __ior__.Scalar __ior__.Tensor __ixor__.Scalar __ixor__.Tensor __ilshift__.Scalar __ilshift__.Tensor
__irshift__.Scalar __irshift__.Tensor ceil.default ceil_.default celu.default celu_.default clamp.Tensor
clamp.default clamp_.Tensor clamp_.default clamp_max.Tensor clamp_max.default clamp_max_.Tensor clamp_max_.default
clamp_min.Tensor clamp_min.default clamp_min_.Tensor clamp_min_.default clip.Tensor clip.default clip_.Tensor
clip_.default complex.default conj.default conj_physical.default conj_physical_.default _conj.default
_conj_physical.default resolve_conj.default resolve_neg.default copysign.Scalar copysign.Tensor copysign_.Scalar
copysign_.Tensor cos.default cos_.default cosh.default cosh_.default deg2rad.default deg2rad_.default
digamma.default digamma_.default div.Scalar div.Scalar_mode div.Tensor div.Tensor_mode div_.Scalar div_.Scalar_mode
div_.Tensor div_.Tensor_mode divide.Scalar divide.Scalar_mode divide.Tensor divide.Tensor_mode divide_.Scalar
divide_.Scalar_mode divide_.Tensor divide_.Tensor_mode elu.default elu_.default eq.Scalar eq.Tensor eq_.Scalar
eq_.Tensor erf.default erf_.default erfc.default erfc_.default erfinv.default erfinv_.default exp.default
exp_.default exp2.default exp2_.default expm1.default expm1_.default fix.default fix_.default float_power.Scalar
float_power.Tensor_Scalar float_power.Tensor_Tensor float_power_.Scalar float_power_.Tensor floor.default
floor_.default floor_divide.Scalar floor_divide.default floor_divide_.Scalar floor_divide_.Tensor fmax.default
fmin.default fmod.Scalar fmod.Tensor fmod_.Scalar fmod_.Tensor frac.default frac_.default frexp.Tensor gcd.default
gcd_.default ge.Scalar ge.Tensor ge_.Scalar ge_.Tensor gelu.default gelu_.default glu.default greater.Scalar
greater.Tensor greater_.Scalar greater_.Tensor greater_equal.Scalar greater_equal.Tensor greater_equal_.Scalar
greater_equal_.Tensor gt.Scalar gt.Tensor gt_.Scalar gt_.Tensor hardshrink.default hardsigmoid.default
hardsigmoid_.default hardswish.default hardswish_.default hardtanh.default hardtanh_.default heaviside.default
heaviside_.default hypot.default hypot_.default i0.default i0_.default igamma.default igamma_.default
igammac.default igammac_.default imag.default isclose.default isfinite.default isinf.default isnan.default
isneginf.default isposinf.default isreal.default lcm.default lcm_.default ldexp.Tensor ldexp_.default le.Scalar
le.Tensor le_.Scalar le_.Tensor leaky_relu.default leaky_relu_.default lerp.Scalar lerp.Tensor lerp_.Scalar
lerp_.Tensor less.Scalar less.Tensor less_.Scalar less_.Tensor less_equal.Scalar less_equal.Tensor
less_equal_.Scalar less_equal_.Tensor lgamma.default lgamma_.default log.default log_.default log10.default
log10_.default log1p.default log1p_.default log2.default log2_.default log_sigmoid.default
log_sigmoid_forward.default logaddexp.default logaddexp2.default logical_and.default logical_and_.default
logical_not.default logical_not_.default logical_or.default logical_or_.default logical_xor.default
logical_xor_.default logit.default logit_.default lt.Scalar lt.Tensor lt_.Scalar lt_.Tensor masked_fill.Scalar
masked_fill.Tensor masked_fill_.Scalar masked_fill_.Tensor maximum.default minimum.default mish.default
mish_.default mul.Scalar mul.Tensor mul_.Scalar mul_.Tensor multiply.Scalar multiply.Tensor multiply_.Scalar
multiply_.Tensor mvlgamma.default mvlgamma_.default nan_to_num.default nan_to_num_.default ne.Scalar ne.Tensor
ne_.Scalar ne_.Tensor neg.default neg_.default negative.default negative_.default nextafter.default
nextafter_.default not_equal.Scalar not_equal.Tensor not_equal_.Scalar not_equal_.Tensor polar.default
polygamma.default polygamma_.default positive.default pow.Scalar pow.Tensor_Scalar pow.Tensor_Tensor pow_.Scalar
pow_.Tensor prelu.default _prelu_kernel.default rad2deg.default rad2deg_.default real.default reciprocal.default
reciprocal_.default relu.default relu_.default relu6.default relu6_.default remainder.Scalar remainder.Scalar_Tensor
remainder.Tensor remainder_.Scalar remainder_.Tensor round.decimals round.default round_.decimals round_.default
rrelu.default rrelu_.default rsqrt.default rsqrt_.default rsub.Scalar rsub.Tensor selu.default selu_.default
sgn.default sgn_.default sigmoid.default sigmoid_.default sign.default sign_.default signbit.default silu.default
silu_.default sin.default sin_.default sinc.default sinc_.default sinh.default sinh_.default softplus.default
softshrink.default sqrt.default sqrt_.default square.default square_.default sub.Scalar sub.Tensor sub_.Scalar
sub_.Tensor subtract.Scalar subtract.Tensor subtract_.Scalar subtract_.Tensor tan.default tan_.default tanh.default
tanh_.default threshold.default threshold_.default true_divide.Scalar true_divide.Tensor true_divide_.Scalar
true_divide_.Tensor trunc.default trunc_.default where.Scalar where.ScalarOther where.ScalarSelf where.default
where.self xlogy.Scalar_Other xlogy.Scalar_Self xlogy.Tensor xlogy_.Scalar_Other xlogy_.Tensor view_as_real.default
view_as_complex.default special_digamma.default special_entr.default special_erf.default special_erfc.default
special_erfcx.default special_erfinv.default special_exp2.default special_expit.default special_expm1.default
special_gammaln.default special_i0.default special_i0e.default special_i1.default special_i1e.default
special_log1p.default special_log_ndtr.default special_logit.default special_ndtr.default special_ndtri.default
special_psi.default special_round.default special_sinc.default special_xlog1py.default special_xlog1py.other_scalar
special_xlog1py.self_scalar special_xlogy.default special_xlogy.other_scalar special_xlogy.self_scalar
_add_relu.Scalar _add_relu.Tensor _add_relu_.Scalar _add_relu_.Tensor
)"},
    {"aten", "reduces, scans or sorts its own argument; dimensions are checked",
     R"(
all.default all.dim all.dims amax.default amin.default aminmax.default any.default any.dim any.dims argmax.default
argmin.default count_nonzero.default count_nonzero.dim_IntList cummax.default cummin.default cumprod.default
cumprod_.default cumsum.default cumsum_.default cumulative_trapezoid.dx cumulative_trapezoid.x diff.default
dist.default frobenius_norm.dim histc.default kthvalue.default logcumsumexp.default logsumexp.default max.default
max.dim max.other mean.default mean.dim median.default median.dim min.default min.dim min.other mode.default
msort.default nanmean.default nanmedian.default nanmedian.dim nanquantile.default nanquantile.scalar nansum.default
norm.Scalar norm.ScalarOpt_dim norm.ScalarOpt_dim_dtype norm.ScalarOpt_dtype norm_except_dim.default
nuclear_norm.default nuclear_norm.dim prod.default prod.dim_int quantile.default quantile.scalar sort.default
sort.stable argsort.default argsort.stable topk.default std.correction std.default std.dim std_mean.correction
std_mean.default std_mean.dim sum.default sum.dim_IntList sum_to_size.default var.correction var.default var.dim
var_mean.correction var_mean.default var_mean.dim unique_consecutive.default unique_dim.default _unique2.default
linalg_vector_norm.default linalg_norm.default linalg_norm.ord_str linalg_matrix_norm.default
linalg_matrix_norm.str_ord cosine_similarity.default pairwise_distance.default cdist.default _cdist_forward.default
pdist.default _euclidean_dist.default trapezoid.dx trapezoid.x trapz.dx trapz.x gradient.array gradient.scalararray
gradient.scalarint gradient.scalarrayarray gradient.scalarrayint gradient.tensorarray gradient.tensorarrayint
cov.default corrcoef.default softmax.int log_softmax.int _softmax.default _log_softmax.default _safe_softmax.default
special_softmax.default special_log_softmax.default special_logsumexp.default bincount.default
)"},
    {"aten", "products, convolutions, attention and recurrent layers; shapes are checked",
     R"(
addbmm.default addbmm_.default addmm.default addmm.dtype addmm_.default addmv.default addmv_.default addr.default
addr_.default baddbmm.default baddbmm.dtype baddbmm_.default bilinear.default bmm.default bmm.dtype
chain_matmul.default conv1d.default conv1d.padding conv2d.default conv2d.padding conv3d.default conv3d.padding
conv_tbc.default conv_transpose1d.default conv_transpose2d.input conv_transpose3d.input convolution.default
_convolution.default _convolution.deprecated _convolution_mode.default cross.default dot.default einsum.default
ger.default inner.default kron.default linalg_cross.default linalg_matmul.default linalg_multi_dot.default
linalg_vecdot.default linear.default matmul.default mm.default mm.dtype mv.default outer.default tensordot.default
vdot.default _int_mm.default _trilinear.default _addmm_activation.default scaled_dot_product_attention.default
_scaled_dot_product_attention_math.default _scaled_dot_product_flash_attention_for_cpu.default
_native_multi_head_attention.default _transformer_encoder_layer_fwd.default gru.data gru.input gru_cell.default
lstm.data lstm.input lstm_cell.default rnn_relu.data rnn_relu.input rnn_relu_cell.default rnn_tanh.data
rnn_tanh.input rnn_tanh_cell.default
)"},
    {"aten", "linear algebra on checked shapes, by LAPACK",
     R"(
cholesky.default cholesky_inverse.default cholesky_solve.default det.default inverse.default linalg_cholesky.default
linalg_cholesky_ex.default linalg_cond.default linalg_cond.p_str linalg_det.default _linalg_det.default
linalg_eigh.default _linalg_eigh.default linalg_eigvalsh.default linalg_householder_product.default
linalg_inv.default linalg_inv_ex.default linalg_lu.default linalg_lu_factor.default linalg_lu_factor_ex.default
linalg_lu_solve.default linalg_matrix_exp.default linalg_matrix_power.default linalg_matrix_rank.atol_rtol_float
linalg_matrix_rank.atol_rtol_tensor linalg_matrix_rank.default linalg_matrix_rank.tol_tensor
linalg_pinv.atol_rtol_float linalg_pinv.atol_rtol_tensor linalg_pinv.default linalg_pinv.rcond_tensor
linalg_qr.default linalg_slogdet.default _linalg_slogdet.default linalg_solve.default linalg_solve_ex.default
_linalg_solve_ex.default linalg_solve_triangular.default linalg_svd.default _linalg_svd.default
linalg_svdvals.default linalg_tensorinv.default linalg_tensorsolve.default linalg_vander.default logdet.default
matrix_exp.default matrix_power.default pinverse.default slogdet.default svd.default trace.default
triangular_solve.default qr.default
)"},
    {"aten", "normalizes; statistics and affine parameters are checked against the channels",
     R"(
batch_norm.default _batch_norm_impl_index.default native_batch_norm.default _native_batch_norm_legit.default
_native_batch_norm_legit.no_stats _native_batch_norm_legit_functional.default
_native_batch_norm_legit_no_training.default _batch_norm_no_update.default _batch_norm_with_update.default
_batch_norm_with_update_functional.default group_norm.default native_group_norm.default instance_norm.default
layer_norm.default native_layer_norm.default rms_norm.default _fused_rms_norm.default _weight_norm.default
_weight_norm_interface.default renorm.default renorm_.default
)"},
    {"aten", "pools, resamples and pads; what it reads is clamped to the input or checked",
     R"(
adaptive_avg_pool1d.default adaptive_avg_pool2d.default adaptive_avg_pool3d.default _adaptive_avg_pool2d.default
_adaptive_avg_pool3d.default adaptive_max_pool1d.default adaptive_max_pool2d.default adaptive_max_pool3d.default
avg_pool1d.default avg_pool2d.default avg_pool3d.default max_pool1d.default max_pool1d_with_indices.default
max_pool2d.default max_pool2d_with_indices.default max_pool3d.default max_pool3d_with_indices.default
upsample_bicubic2d.default upsample_bicubic2d.vec upsample_bilinear2d.default upsample_bilinear2d.vec
upsample_linear1d.default upsample_linear1d.vec upsample_nearest1d.default upsample_nearest1d.vec
upsample_nearest2d.default upsample_nearest2d.vec upsample_nearest3d.default upsample_nearest3d.vec
upsample_trilinear3d.default upsample_trilinear3d.vec _upsample_bicubic2d_aa.default _upsample_bicubic2d_aa.vec
_upsample_bilinear2d_aa.default _upsample_bilinear2d_aa.vec _upsample_lanczos2d_aa.default
_upsample_lanczos2d_aa.vec _upsample_nearest_exact1d.default _upsample_nearest_exact1d.vec
_upsample_nearest_exact2d.default _upsample_nearest_exact2d.vec _upsample_nearest_exact3d.default
_upsample_nearest_exact3d.vec affine_grid_generator.default grid_sampler.default grid_sampler_2d.default
grid_sampler_3d.default im2col.default col2im.default unfold.default pad.default constant_pad_nd.default
_pad_circular.default _pad_enum.default reflection_pad1d.default reflection_pad2d.default reflection_pad3d.default
replication_pad1d.default replication_pad2d.default replication_pad3d.default
)"},
    {"aten", "rearranges; sizes, strides and offsets are checked against the storage",
     R"(
alias.default adjoint.default atleast_1d.Sequence atleast_1d.default atleast_2d.Sequence atleast_2d.default
atleast_3d.Sequence atleast_3d.default block_diag.default broadcast_tensors.default broadcast_to.default
cartesian_prod.default cat.default channel_shuffle.default native_channel_shuffle.default chunk.default
clone.default column_stack.default combinations.default concat.default concatenate.default contiguous.default
diag.default diag_embed.default diagflat.default diagonal.default diagonal_scatter.default dsplit.array dsplit.int
dstack.default expand.default expand_as.default flatten.using_ints flip.default fliplr.default flipud.default
hsplit.array hsplit.int hstack.default mH.default mT.default matrix_H.default meshgrid.default meshgrid.indexing
moveaxis.int moveaxis.intlist movedim.int movedim.intlist narrow.Tensor narrow.default narrow_copy.default
numpy_T.default permute.default pixel_shuffle.default pixel_unshuffle.default ravel.default repeat.default
reshape.default reshape_as.default roll.default rot90.default row_stack.default select.int select_scatter.default
slice.Tensor slice_scatter.default split.Tensor split.sizes split_with_sizes.default squeeze.default squeeze.dim
squeeze.dims squeeze_.default squeeze_.dim squeeze_.dims stack.default swapaxes.default swapaxes_.default
swapdims.default swapdims_.default t.default t_.default tensor_split.indices tensor_split.sections
tensor_split.tensor_indices_or_sections tile.default transpose.int transpose_.default tril.default tril_.default
triu.default triu_.default unbind.int unflatten.int unsafe_chunk.default unsafe_split.Tensor
unsafe_split_with_sizes.default unsqueeze.default unsqueeze_.default view.default view.dtype view_as.default
_unsafe_view.default _reshape_copy.default vsplit.array vsplit.int vstack.default alias_copy.default
detach_copy.default diagonal_copy.default expand_copy.default permute_copy.default select_copy.int slice_copy.Tensor
split_copy.Tensor split_with_sizes_copy.default squeeze_copy.default squeeze_copy.dim squeeze_copy.dims
t_copy.default transpose_copy.int unbind_copy.int unfold_copy.default unsqueeze_copy.default view_copy.default
view_copy.dtype view_as_real_copy.default view_as_complex_copy.default as_strided.default as_strided_.default
as_strided_copy.default as_strided_scatter.default pad_sequence.default fill_diagonal_.default
)"},
    {"aten", "copies, converts and fills",
     R"(
copy.default copy_.default _to_copy.default to.device to.dtype to.dtype_layout to.other type_as.default
detach.default detach_.default lift.default lift_fresh.default lift_fresh_copy.default fill.Scalar fill.Tensor
fill_.Scalar fill_.Tensor zero.default zero_.default chalf.default requires_grad_.default _cast_Byte.default
_cast_Char.default _cast_Double.default _cast_Float.default _cast_Half.default _cast_Int.default _cast_Long.default
_cast_Short.default
)"},
    {"aten", "makes a tensor of a given size",
     R"(
arange.default arange.start arange.start_step bartlett_window.default bartlett_window.periodic
blackman_window.default blackman_window.periodic empty.memory_format empty_like.default empty_permuted.default
empty_strided.default eye.default eye.m full.default full_like.default hamming_window.default
hamming_window.periodic hamming_window.periodic_alpha hamming_window.periodic_alpha_beta hann_window.default
hann_window.periodic kaiser_window.beta kaiser_window.default kaiser_window.periodic linspace.Scalar_Tensor
linspace.Tensor_Scalar linspace.Tensor_Tensor linspace.default logspace.Scalar_Tensor logspace.Tensor_Scalar
logspace.Tensor_Tensor logspace.default new_empty.default new_empty_strided.default new_full.default
new_ones.default new_zeros.default ones.default ones_like.default scalar_tensor.default tril_indices.default
triu_indices.default zeros.default zeros_like.default vander.default
)"},
    {"aten", "draws from libtorch's generator, whose state nobody else sees",
     R"(
alpha_dropout.default alpha_dropout_.default bernoulli.Tensor bernoulli.default bernoulli.p bernoulli_.Tensor
bernoulli_.float dropout.default dropout_.default feature_alpha_dropout.default feature_alpha_dropout_.default
feature_dropout.default feature_dropout_.default native_dropout.default normal_.default normal.Tensor_Tensor
normal.Tensor_float normal.float_Tensor normal.float_float uniform_.default uniform.default exponential.default
exponential_.default rand.default rand_like.default randint.default randint.low randint_like.Tensor
randint_like.default randint_like.low_dtype randint_like.low_generator_dtype randn.default randn_like.default
random.default random_.default randperm.default multinomial.default rrelu_with_noise.default
rrelu_with_noise_.default normal_functional.default
)"},
    {"aten", "indices are checked against the sizes when it runs (a test calls each beyond them)",
     R"(
_nested_tensor_from_mask.default _nested_tensor_from_mask_left_aligned.default to_padded_tensor.default
bucketize.Scalar bucketize.Tensor embedding.default embedding_bag.default embedding_bag.padding_idx
_embedding_bag.default _embedding_bag_forward_only.default gather.default index.Tensor index_add.default
index_add_.default index_copy.default index_copy_.default index_fill.int_Scalar index_fill.int_Tensor
index_fill_.int_Scalar index_fill_.int_Tensor index_put.default index_put_.default index_reduce.default
index_reduce_.default index_select.default isin.Scalar_Tensor isin.Tensor_Scalar isin.Tensor_Tensor
masked_scatter.default masked_scatter_.default masked_select.default nonzero.default nonzero_numpy.default
nonzero_static.default argwhere.default one_hot.default put.default put_.default repeat_interleave.Tensor
repeat_interleave.self_Tensor repeat_interleave.self_int scatter.reduce scatter.src scatter.value
scatter.value_reduce scatter_.reduce scatter_.src scatter_.value scatter_.value_reduce scatter_add.default
scatter_add_.default scatter_reduce.two scatter_reduce_.two searchsorted.Scalar searchsorted.Tensor take.default
take_along_dim.default _unsafe_index.Tensor _unsafe_index_put.default max_unpool2d.default max_unpool3d.default
_index_put_impl_.default
)"},
    {"aten", "losses; class indices are checked",
     R"(
binary_cross_entropy.default binary_cross_entropy_with_logits.default cosine_embedding_loss.default
cross_entropy_loss.default hinge_embedding_loss.default huber_loss.default kl_div.default l1_loss.default
margin_ranking_loss.default mse_loss.default multi_margin_loss.default nll_loss.default nll_loss2d.default
nll_loss2d_forward.default nll_loss_forward.default nll_loss_nd.default poisson_nll_loss.default
smooth_l1_loss.default soft_margin_loss.default triplet_margin_loss.default
)"},
    {"aten", "Fourier transforms of checked sizes",
     R"(
fft_fft.default fft_fft2.default fft_fftfreq.default fft_fftn.default fft_fftshift.default fft_hfft.default
fft_hfft2.default fft_hfftn.default fft_ifft.default fft_ifft2.default fft_ifftn.default fft_ifftshift.default
fft_ihfft.default fft_ihfft2.default fft_ihfftn.default fft_irfft.default fft_irfft2.default fft_irfftn.default
fft_rfft.default fft_rfft2.default fft_rfftfreq.default fft_rfftn.default _fft_c2c.default _fft_c2r.default
_fft_r2c.default istft.default stft.center stft.default
)"},
    {"aten", "fake quantization; channels are checked",
     R"(
fake_quantize_per_channel_affine.default fake_quantize_per_channel_affine_cachemask.default
fake_quantize_per_tensor_affine.default fake_quantize_per_tensor_affine.tensor_qparams
fake_quantize_per_tensor_affine_cachemask.default _fake_quantize_per_tensor_affine_cachemask_tensor_qparams.default
_fake_quantize_learnable_per_channel_affine.default _fake_quantize_learnable_per_tensor_affine.default
fused_moving_avg_obs_fake_quant.default _fused_moving_avg_obs_fq_helper.default
_fused_moving_avg_obs_fq_helper_functional.default
)"},
    {"aten", "reads sizes, types and values, or checks what was true while tracing",
     R"(
sym_size.int sym_numel.default sym_stride.int sym_storage_offset.default size.int numel.default dim.default
item.default _local_scalar_dense.default is_nonzero.default equal.default allclose.default is_complex.default
is_floating_point.default is_same_size.default is_contiguous.default is_contiguous.memory_format result_type.Scalar
result_type.Scalar_Scalar result_type.Scalar_Tensor result_type.Tensor promote_types.default can_cast.default
_shape_as_tensor.default _assert_async.default _assert_async.msg _assert_scalar.default
_assert_tensor_metadata.default sym_constrain_range.default sym_constrain_range_for_size.default
_functional_assert_async.msg _functional_assert_scalar.default _functional_sym_constrain_range.default
_functional_sym_constrain_range_for_size.default is_signed.default stride.int storage_offset.default
get_device.default sym_is_contiguous.default
)"},
    {"quantized_decomposed", "PyTorch's quantize and dequantize, in octet's own implementation",
     R"(
quantize_per_tensor.default quantize_per_tensor.tensor quantize_per_tensor.tensor2 dequantize_per_tensor.default
dequantize_per_tensor.tensor dequantize_per_tensor.tensor2 quantize_per_channel.default dequantize_per_channel.default
choose_qparams.tensor choose_qparams_symmetric.tensor choose_qparams_per_token.default
_choose_qparams_per_token_asymmetric_impl.default choose_qparams_per_token_asymmetric.default quantize_per_token.default
dequantize_per_token.default quantize_per_channel_group.default dequantize_per_channel_group.default
fake_quant_per_channel.default convert_element_type.no_fuse
)"},
    {"torchao", "torchao's quantize and dequantize in blocks, in octet's own implementation",
     R"(
choose_qparams_affine.default quantize_affine.default dequantize_affine.default
)"},
    {"torchao", "more of its affine grids, where a process has registered them",
     R"(
choose_qparams_affine_with_min_max.default quantize_affine_float8.default dequantize_affine_float8.default
)"},
    {"octet", "octet's own",
     R"(
fake_quantize.default
)"},
});

}  // namespace

const std::vector<OperatorClass>& allowed_operator_classes() {
  static const std::vector<OperatorClass> classes(kClasses.begin(), kClasses.end());
  return classes;
}

const std::unordered_set<std::string>& allowed_operator_names() {
  static const std::unordered_set<std::string> names = [] {
    std::unordered_set<std::string> all;
    for (const OperatorClass& row : kClasses) {
      std::istringstream words{std::string(row.operators)};
      for (std::string word; words >> word;) all.insert(str(row.name_space, '.', word));
    }
    return all;
  }();
  return names;
}

std::string_view reaches_out(const std::string& text) {
  const std::string_view packet = packet_of(text);
  for (const Reach& reach : kReaches) {
    const bool whole_namespace = reach.name.back() == '.';
    if (whole_namespace ? packet.substr(0, reach.name.size()) == reach.name : packet == reach.name) return reach.what;
  }
  return {};
}

AllowedOperators::AllowedOperators(const std::vector<std::string>& more) {
  for (const std::string& name : more) {
    if (const std::string_view what = reaches_out(name); !what.empty()) {
      throw Error("allowed operators", str("'", name, "' ", what, "; no file may hold it, whatever is allowed"));
    }
    more_.insert(Op::find(name).text());
  }
}

bool AllowedOperators::has(const std::string& text) const {
  return allowed_operator_names().count(text) > 0 || more_.count(text) > 0;
}

bool AllowedOperators::adds_packet(const std::string& packet) const {
  return std::any_of(more_.begin(), more_.end(), [&](const std::string& text) { return packet_of(text) == packet; });
}

Op AllowedOperators::find(const std::string& text, const std::string& where) const {
  if (const std::string_view what = reaches_out(text); !what.empty()) {
    throw Error(where, str("the operator '", text, "' ", what, "; no file may hold it"));
  }
  const auto op = Op::try_find(text);
  if (!op) {
    throw Error(where, "unknown operator '" + text + "'")
        .hint("it may be a custom operator, or newer than this libtorch");
  }
  check(*op, where);
  return *op;
}

void AllowedOperators::check(const Op& op, const std::string& where) const {
  if (has(op.text())) return;
  if (const std::string_view what = reaches_out(op.text()); !what.empty()) {
    throw Error(where, str("the operator '", op.text(), "' ", what, "; no file may hold it"));
  }
  throw Error(where, "the operator '" + op.text() + "' is not among those that files may hold")
      .hint("where you trust file and operator, let it in: --allow-operator " + op.text());
}

}  // namespace octet

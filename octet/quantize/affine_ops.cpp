#include "octet/quantize/affine_ops.h"

#include <torch/library.h>

#include <limits>
#include <tuple>

#include "octet/formats/dtype.h"
#include "octet/graph/late_operators.h"
#include "octet/kernels/fake_quantize_kernel.h"
#include "octet/support/error.h"

namespace octet::affine {
namespace {

// Each dimension as blocks and what is in a block: [2, 6] in blocks of [1, 3] is [2, 1, 2, 3].
std::vector<int64_t> split_sizes(const std::vector<int64_t>& counts, at::IntArrayRef block_size) {
  std::vector<int64_t> split;
  for (size_t i = 0; i < counts.size(); ++i) {
    split.push_back(counts[i]);
    split.push_back(block_size[i]);
  }
  return split;
}

// One value a block, seen beside the split value.
at::Tensor beside(const at::Tensor& values, const std::vector<int64_t>& counts, const char* where, const char* what) {
  if (values.numel() != c10::multiply_integers(counts)) {
    throw expected(where, what, octet::str(c10::multiply_integers(counts), ", one a block"),
                   octet::str(values.numel()));
  }
  std::vector<int64_t> shape;
  for (const int64_t count : counts) {
    shape.push_back(count);
    shape.push_back(1);
  }
  return values.reshape(shape);
}

bool is_given(const std::optional<at::Tensor>& tensor) { return tensor && tensor->defined() && tensor->numel() > 0; }

void check_float(at::ScalarType dtype, const char* where, const char* what) {
  if (dtype != at::kFloat && dtype != at::kHalf && dtype != at::kBFloat16) {
    throw expected(where, what, "float32, float16 or bfloat16", dtype_name(dtype));
  }
}

std::pair<int64_t, int64_t> range_of(at::ScalarType dtype, std::optional<int64_t> low, std::optional<int64_t> high,
                                     const char* where) {
  const auto whole = dtype_range(dtype);
  if (!whole) throw Error(where, octet::str("cannot quantize to ", dtype_name(dtype)));
  const std::pair<int64_t, int64_t> range = {low.value_or(whole->first), high.value_or(whole->second)};
  if (range.first < whole->first || range.second > whole->second || range.first >= range.second) {
    throw expected(where, octet::str("range of ", dtype_name(dtype)),
                   octet::str("within [", whole->first, ", ", whole->second, "]"),
                   octet::str("[", range.first, ", ", range.second, "]"));
  }
  return range;
}

double smallest_normal(at::ScalarType dtype) {
  switch (dtype) {
    case at::kHalf:
      return 0x1p-14;
    default:
      return std::numeric_limits<float>::min();  // bfloat16 has float32's exponents
  }
}

// torchao drops the dimensions that are one block of several elements, where they are not to be kept.
std::vector<int64_t> reported_shape(at::IntArrayRef sizes, at::IntArrayRef block_size,
                                    const std::vector<int64_t>& counts, bool keepdim) {
  std::vector<int64_t> shape;
  for (size_t i = 0; i < counts.size(); ++i) {
    if (keepdim || block_size[i] == 1 || block_size[i] != sizes[i]) shape.push_back(counts[i]);
  }
  return shape;
}

std::optional<int64_t> integer(const std::optional<at::Scalar>& bound) {
  return bound ? std::optional(bound->toLong()) : std::nullopt;
}

std::tuple<at::Tensor, at::Tensor> choose_qparams_affine(
    const std::optional<at::Tensor>& input, std::string_view mapping, at::IntArrayRef block_size,
    at::ScalarType target_dtype, const std::optional<at::Scalar>& quant_min, const std::optional<at::Scalar>& quant_max,
    std::optional<double> eps, std::optional<at::ScalarType> scale_dtype,
    std::optional<at::ScalarType> zero_point_dtype, bool keepdim) {
  constexpr const char* kWhere = "choose_qparams_affine";
  if (!input || !input->defined()) throw Error(kWhere, "is given no input");
  const QParams grid =
      choose_qparams(*input, block_size,
                     {mapping_from_text(mapping, kWhere), target_dtype, integer(quant_min), integer(quant_max), eps});
  const std::vector<int64_t> shape =
      reported_shape(input->sizes(), block_size, block_counts(input->sizes(), block_size, kWhere), keepdim);
  const at::ScalarType scales = scale_dtype.value_or(input->scalar_type());
  check_float(scales, kWhere, "scale_dtype");
  // Symmetric mappings leave torchao's zero points in the scale's type where none is asked for.
  const bool affine = mapping == text(MappingType::kAsymmetric);
  const at::ScalarType zero_points = zero_point_dtype.value_or(affine ? at::kInt : input->scalar_type());
  return {grid.scale.reshape(shape).to(scales), grid.zero_point.reshape(shape).to(zero_points)};
}

at::Tensor quantize_affine(const at::Tensor& input, at::IntArrayRef block_size, const at::Tensor& scale,
                           const std::optional<at::Tensor>& zero_point, at::ScalarType output_dtype,
                           const std::optional<at::Scalar>& quant_min, const std::optional<at::Scalar>& quant_max) {
  return quantize(input, block_size, scale, zero_point, output_dtype, integer(quant_min), integer(quant_max));
}

at::Tensor dequantize_affine(const at::Tensor& input, at::IntArrayRef block_size, const at::Tensor& scale,
                             const std::optional<at::Tensor>& zero_point, at::ScalarType input_dtype,
                             const std::optional<at::Scalar>& /*quant_min*/,
                             const std::optional<at::Scalar>& /*quant_max*/, at::ScalarType output_dtype) {
  return dequantize(input, block_size, scale, zero_point, input_dtype, output_dtype);
}

// torchao's own schemas, so that programs written by either run on both.
void define_missing_affine() {
  // Never taken away again: programs may run until the process ends.
  static auto* library = new torch::Library(torch::Library::FRAGMENT, kNamespace, std::nullopt, __FILE__, __LINE__);
  const auto add = [&](const std::string& schema, auto function) {
    const std::string name = schema.substr(0, schema.find('('));
    if (c10::Dispatcher::singleton().findSchema({octet::str(kNamespace, "::", name), ""})) return;
    library->def(schema.c_str());
    library->impl(name.c_str(), c10::DispatchKey::CompositeExplicitAutograd, std::move(function));
  };
  const std::string range = "Scalar? quant_min=None, Scalar? quant_max=None";
  add("choose_qparams_affine(Tensor? input, str mapping_type, SymInt[] block_size, ScalarType target_dtype, " + range +
          ", float? eps=None, ScalarType? scale_dtype=None, ScalarType? zero_point_dtype=None, bool keepdim=False)"
          " -> (Tensor, Tensor)",
      TORCH_FN(choose_qparams_affine));
  add("quantize_affine(Tensor input, SymInt[] block_size, Tensor scale, Tensor? zero_point, ScalarType output_dtype, " +
          range + ") -> Tensor",
      TORCH_FN(quantize_affine));
  add("dequantize_affine(Tensor input, SymInt[] block_size, Tensor scale, Tensor? zero_point, ScalarType "
      "input_dtype, " +
          range + ", ScalarType output_dtype=6) -> Tensor",
      TORCH_FN(dequantize_affine));
}

const LateOperators late_affine(kNamespace, define_missing_affine);

}  // namespace

std::vector<int64_t> block_counts(at::IntArrayRef sizes, at::IntArrayRef block_size, const char* where) {
  if (block_size.size() != sizes.size()) {
    throw expected(where, "block_size", octet::str("a size for each of ", sizes.size(), " dimensions"),
                   octet::str("[", join(", ", block_size), "]"));
  }
  std::vector<int64_t> counts;
  for (size_t i = 0; i < sizes.size(); ++i) {
    if (block_size[i] < 1 || sizes[i] % block_size[i] != 0) {
      throw expected(where, octet::str("block_size of dimension ", i), octet::str("a divisor of ", sizes[i]),
                     octet::str(block_size[i]));
    }
    counts.push_back(sizes[i] / block_size[i]);
  }
  return counts;
}

std::pair<at::Tensor, at::Tensor> block_range(const at::Tensor& x, at::IntArrayRef block_size, const char* where) {
  const std::vector<int64_t> counts = block_counts(x.sizes(), block_size, where);
  if (counts.empty()) return {x, x};
  std::vector<int64_t> inside;
  for (size_t i = 0; i < counts.size(); ++i) inside.push_back(static_cast<int64_t>(2 * i + 1));
  const at::Tensor split = x.reshape(split_sizes(counts, block_size));
  return {split.amin(inside), split.amax(inside)};
}

at::Tensor quantize(const at::Tensor& x, at::IntArrayRef block_size, const at::Tensor& scale,
                    const std::optional<at::Tensor>& zero_point, at::ScalarType dtype, std::optional<int64_t> quant_min,
                    std::optional<int64_t> quant_max) {
  constexpr const char* kWhere = "quantize_affine";
  check_float(x.scalar_type(), kWhere, "input");
  const auto [low, high] = range_of(dtype, quant_min, quant_max, kWhere);
  const std::vector<int64_t> counts = block_counts(x.sizes(), block_size, kWhere);
  at::Tensor q = x.reshape(split_sizes(counts, block_size)) * at::reciprocal(beside(scale, counts, kWhere, "scales"));
  q = q.round();
  if (is_given(zero_point)) q = q + beside(*zero_point, counts, kWhere, "zero points");
  return q.clamp(float_bound(low), float_bound(high)).to(dtype).reshape(x.sizes());
}

at::Tensor dequantize(const at::Tensor& q, at::IntArrayRef block_size, const at::Tensor& scale,
                      const std::optional<at::Tensor>& zero_point, at::ScalarType dtype, at::ScalarType output_dtype) {
  constexpr const char* kWhere = "dequantize_affine";
  if (q.scalar_type() != dtype) throw expected(kWhere, "input", dtype_name(dtype), dtype_name(q.scalar_type()));
  if (!dtype_range(dtype)) throw Error(kWhere, octet::str("cannot dequantize ", dtype_name(dtype)));
  check_float(output_dtype, kWhere, "output_dtype");
  const std::vector<int64_t> counts = block_counts(q.sizes(), block_size, kWhere);
  at::Tensor x = q.reshape(split_sizes(counts, block_size)).to(output_dtype);
  if (is_given(zero_point)) x = x - beside(*zero_point, counts, kWhere, "zero points").to(output_dtype);
  return (x * beside(scale, counts, kWhere, "scales")).reshape(q.sizes()).to(output_dtype);
}

QParams choose_qparams(const at::Tensor& x, at::IntArrayRef block_size, const ChoiceOfGrid& choice) {
  constexpr const char* kWhere = "choose_qparams_affine";
  check_float(x.scalar_type(), kWhere, "input");
  const auto [quant_min, quant_max] = range_of(choice.dtype, choice.quant_min, choice.quant_max, kWhere);
  const std::vector<int64_t> counts = block_counts(x.sizes(), block_size, kWhere);
  if (x.numel() == 0) return {at::empty(counts, at::kFloat), at::empty(counts, at::kLong)};
  const auto [low, high] = block_range(x.detach(), block_size, kWhere);
  const double eps = choice.eps.value_or(smallest_normal(x.scalar_type()));
  const QParams grid = octet::choose_qparams(low, high, quant_min, quant_max, choice.mapping, eps);
  return {grid.scale.reshape(counts), grid.zero_point.reshape(counts)};
}

}  // namespace octet::affine

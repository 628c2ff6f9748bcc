#include "octet/graph/call_check.h"

#include <ATen/ExpandUtils.h>
#include <ATen/Functions.h>
#include <c10/core/Layout.h>
#include <c10/core/MemoryFormat.h>
#include <c10/core/ScalarType.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <utility>

#include "octet/support/error.h"

namespace octet {
namespace {

using CallValues = c10::ArrayRef<c10::IValue>;

constexpr int64_t kMostParts = int64_t{1} << 16;

// An argument by name; None where the operator has none of this name.
const c10::IValue& value_of(const Op& op, CallValues values, std::string_view name) {
  static const c10::IValue none;
  const int index = op.argument_index(name);
  return index < 0 || static_cast<size_t>(index) >= values.size() ? none : values[static_cast<size_t>(index)];
}

bool has_tensor(const c10::IValue& value) { return value.isTensor() && value.toTensor().defined(); }

const at::Tensor& tensor_of(const Op& op, CallValues values, std::string_view name) {
  const c10::IValue& value = value_of(op, values, name);
  if (!has_tensor(value)) throw Error("", str("argument '", name, "' of ", op.text(), " is no tensor"));
  return value.toTensor();
}

void require(bool holds, const Op& op, std::string_view name, const std::string& wanted) {
  if (!holds) throw Error("", str("argument '", name, "' of ", op.text(), " is not ", wanted));
}

// The last element that is reached lies in the storage, however large the numbers are.
void check_strided(const Op& op, CallValues values) {
  const at::Tensor& self = tensor_of(op, values, "self");
  const std::vector<int64_t> sizes = value_of(op, values, "size").toIntVector();
  const std::vector<int64_t> strides = value_of(op, values, "stride").toIntVector();
  const c10::IValue& begin = value_of(op, values, "storage_offset");
  const int64_t offset = begin.isInt() ? begin.toInt() : self.storage_offset();
  require(sizes.size() == strides.size(), op, "stride", "one for each size");
  require(offset >= 0, op, "storage_offset", "within the storage");
  int64_t last = offset;
  bool empty = false;
  bool absurd = false;
  for (size_t i = 0; i < sizes.size(); ++i) {
    require(sizes[i] >= 0 && strides[i] >= 0, op, "stride", "positive, or the size is not");
    empty = empty || sizes[i] == 0;
    int64_t step = 0;
    absurd = absurd || __builtin_mul_overflow(std::max<int64_t>(sizes[i] - 1, 0), strides[i], &step) ||
             __builtin_add_overflow(last, step, &last);
  }
  const auto elements = static_cast<int64_t>(self.storage().nbytes() / self.element_size());
  require(empty || (!absurd && last < elements), op, "stride", "within the storage");
}

// Vectors of the input's channels, and statistics where the batch's are not taken.
void check_batch_norm(const Op& op, CallValues values) {
  const at::Tensor& input = tensor_of(op, values, "input");
  require(input.dim() >= 2 && input.numel() > 0, op, "input", "a batch with channels");
  for (const char* name : {"weight", "bias", "running_mean", "running_var"}) {
    const c10::IValue& value = value_of(op, values, name);
    if (!has_tensor(value)) continue;
    const at::Tensor& vector = value.toTensor();
    require(vector.dim() == 1 && vector.size(0) == input.size(1), op, name, "a vector of the input's channels");
    require(vector.is_floating_point() == input.is_floating_point(), op, name, "of the input's kind of numbers");
  }
  const bool mean = has_tensor(value_of(op, values, "running_mean"));
  require(mean == has_tensor(value_of(op, values, "running_var")), op, "running_var",
          "given together with running_mean");
  const c10::IValue& training = value_of(op, values, "training");
  const bool of_batch =
      training.isBool() ? training.toBool() : op.short_name().find("with_update") != std::string::npos;
  require(of_batch || mean, op, "running_mean", "given, where the batch's own statistics are not taken");
}

// g holds one element for each slice of v along `dim`, the first or the last.
void check_weight_norm(const Op& op, CallValues values) {
  const at::Tensor& v = tensor_of(op, values, "v");
  const at::Tensor& g = tensor_of(op, values, "g");
  const int64_t dim = value_of(op, values, "dim").toInt();
  require(v.dim() > 0 && v.numel() > 0, op, "v", "a weight with elements");
  require(dim >= 0 && dim < v.dim(), op, "dim", "a dimension of v");
  require(g.dim() == v.dim() && g.numel() == v.size(dim) && g.size(dim) == v.size(dim), op, "g",
          "one element for each slice of v");
  require(g.scalar_type() == v.scalar_type(), op, "g", "of v's type");
}

void check_fft(const Op& op, CallValues values) {
  const at::Tensor& self = tensor_of(op, values, "self");
  std::vector<int64_t> dims = value_of(op, values, "dim").toIntVector();
  for (const int64_t dim : dims) {
    require(dim >= 0 && dim < self.dim() && self.size(dim) > 0, op, "dim", "a dimension that has elements");
  }
  std::sort(dims.begin(), dims.end());
  require(std::adjacent_find(dims.begin(), dims.end()) == dims.end(), op, "dim", "each dimension once");
  const int64_t normalization = value_of(op, values, "normalization").toInt();
  require(normalization >= 0 && normalization <= 2, op, "normalization", "0, 1 or 2");
}

// Packed sequences: how many go on at each step.
void check_packed(const Op& op, CallValues values) {
  const at::Tensor& data = tensor_of(op, values, "data");
  const at::Tensor& sizes = tensor_of(op, values, "batch_sizes");
  require(sizes.dim() == 1 && sizes.numel() > 0 && sizes.scalar_type() == at::kLong && sizes.is_cpu(), op,
          "batch_sizes", "a vector of integers");
  require(data.dim() == 2, op, "data", "a matrix");
  const at::Tensor steps = sizes.contiguous();
  const int64_t* step = steps.const_data_ptr<int64_t>();
  int64_t before = data.size(0);
  int64_t sum = 0;
  for (int64_t i = 0; i < steps.numel(); ++i) {
    require(step[i] > 0 && step[i] <= before, op, "batch_sizes", "positive and falling");
    before = step[i];
    sum += step[i];
  }
  require(sum == data.size(0), op, "batch_sizes", "as many in all as data has rows");
  const c10::IValue& hx = value_of(op, values, "hx");
  const std::vector<at::Tensor> states = hx.isTensor() ? std::vector{hx.toTensor()} : hx.toTensorVector();
  for (const at::Tensor& state : states) {
    require(state.defined() && state.dim() == 3 && state.size(1) == step[0], op, "hx", "a state for each sequence");
  }
}

// Weights, states and input of one size: the fused kernel goes by the input's.
void check_lstm(const Op& op, CallValues values) {
  const at::Tensor& input = tensor_of(op, values, "input");
  const std::vector<at::Tensor> states = value_of(op, values, "hx").toTensorVector();
  const std::vector<at::Tensor> params = value_of(op, values, "params").toTensorVector();
  const bool biases = value_of(op, values, "has_biases").toBool();
  const int64_t layers = value_of(op, values, "num_layers").toInt();
  const int64_t directions = value_of(op, values, "bidirectional").toBool() ? 2 : 1;
  require(input.dim() == 3, op, "input", "steps of a batch");
  require(layers > 0 && layers <= kMostParts, op, "num_layers", str("1 to ", kMostParts));
  const int64_t batch = input.size(value_of(op, values, "batch_first").toBool() ? 0 : 1);
  require(states.size() == 2 && states[0].dim() == 3 && states[1].dim() == 3, op, "hx", "two states");
  for (const at::Tensor& state : states) {
    require(
        state.size(0) == layers * directions && state.size(1) == batch && state.scalar_type() == input.scalar_type(),
        op, "hx", "states for each layer, direction and sample");
  }
  const int64_t width = states[1].size(2);
  const int64_t given_back = states[0].size(2);  // less than the width where there is a projection
  std::vector<std::vector<int64_t>> sizes;
  for (int64_t layer = 0; layer < layers; ++layer) {
    const int64_t taken = layer == 0 ? input.size(2) : given_back * directions;
    for (int64_t direction = 0; direction < directions; ++direction) {
      sizes.push_back({4 * width, taken});
      sizes.push_back({4 * width, given_back});
      if (biases) sizes.insert(sizes.end(), 2, {4 * width});
      if (given_back != width) sizes.push_back({given_back, width});
    }
  }
  require(params.size() == sizes.size(), op, "params", str(sizes.size(), " weights"));
  for (size_t i = 0; i < params.size(); ++i) {
    require(params[i].defined() && params[i].sizes() == sizes[i] && params[i].scalar_type() == input.scalar_type(), op,
            "params", octet::str("of the sizes ", c10::IntArrayRef(sizes[i]), " at place ", i));
  }
}

// Bags begin at rising places of the indices, which name rows.
void check_embedding_bag(const Op& op, CallValues values) {
  const at::Tensor& weight = tensor_of(op, values, "weight");
  const at::Tensor& indices = tensor_of(op, values, "indices");
  const at::Tensor& offsets = tensor_of(op, values, "offsets");
  require(weight.dim() == 2 && weight.is_floating_point(), op, "weight", "a matrix of floats");
  const auto is_vector = [](const at::Tensor& tensor) {
    return tensor.dim() == 1 && (tensor.scalar_type() == at::kLong || tensor.scalar_type() == at::kInt);
  };
  require(is_vector(indices), op, "indices", "a vector of int64 or int32");
  require(is_vector(offsets) && offsets.scalar_type() == indices.scalar_type() && offsets.numel() > 0, op, "offsets",
          "a vector of the indices' type");
  const int64_t mode = value_of(op, values, "mode").toInt();
  require(mode >= 0 && mode <= 2, op, "mode", "0, 1 or 2");
  const at::Tensor rows = indices.to(at::kLong).contiguous();
  for (int64_t i = 0; i < rows.numel(); ++i) {
    const int64_t row = rows.const_data_ptr<int64_t>()[i];
    require(row >= 0 && row < weight.size(0), op, "indices", "rows of the weight");
  }
  const at::Tensor begins = offsets.to(at::kLong).contiguous();
  for (int64_t i = 0; i < begins.numel(); ++i) {
    const int64_t begin = begins.const_data_ptr<int64_t>()[i];
    const int64_t before = i == 0 ? 0 : begins.const_data_ptr<int64_t>()[i - 1];
    require(i == 0 ? begin == 0 : begin >= before && begin <= rows.numel(), op, "offsets",
            "rising places of the indices, from 0");
  }
  const c10::IValue& padding = value_of(op, values, "padding_idx");
  require(!padding.isInt() || (padding.toInt() >= -weight.size(0) && padding.toInt() < weight.size(0)), op,
          "padding_idx", "a row of the weight");
  if (!has_tensor(value_of(op, values, "per_sample_weights"))) return;
  const at::Tensor& factors = tensor_of(op, values, "per_sample_weights");
  require(mode == 0 && factors.dim() == 1 && factors.numel() == rows.numel() &&
              factors.scalar_type() == weight.scalar_type(),
          op, "per_sample_weights", "a factor for each index, of the weight's type");
}

// Named by code of torch.nn that a recording never takes.
void refuse_nested(const Op& op, CallValues /*values*/) {
  throw Error("", str(op.text(), " makes tensors of ragged rows, which a graph does not hold; argument 'mask'"));
}

// The fused layers of torch.nn's Transformer.
void check_attention(const Op& op, CallValues values) {
  const bool is_layer = op.short_name() == "_transformer_encoder_layer_fwd";
  const at::Tensor& query = tensor_of(op, values, is_layer ? "src" : "query");
  const int64_t width = value_of(op, values, "embed_dim").toInt();
  const int64_t heads = value_of(op, values, is_layer ? "num_heads" : "num_head").toInt();
  require(query.dim() == 3 && query.numel() > 0 && query.size(2) == width, op, "embed_dim", "the width of the input");
  require(heads > 0 && width % heads == 0, op, "num_heads", "a divisor of the width");
  const auto shape = [&](const char* name, std::vector<int64_t> sizes) {
    require(tensor_of(op, values, name).sizes() == sizes, op, name,
            octet::str("of the sizes ", c10::IntArrayRef(sizes)));
  };
  shape("qkv_weight", {3 * width, width});
  shape("qkv_bias", {3 * width});
  shape("proj_weight", {width, width});
  shape("proj_bias", {width});
  if (!is_layer) {
    for (const char* name : {"key", "value"}) {
      require(tensor_of(op, values, name).sizes() == query.sizes(), op, name, "of the query's sizes");
    }
    return;
  }
  for (const char* name : {"norm_weight_1", "norm_bias_1", "norm_weight_2", "norm_bias_2", "ffn_bias_2"}) {
    shape(name, {width});
  }
  const at::Tensor& first = tensor_of(op, values, "ffn_weight_1");
  require(first.dim() == 2 && first.size(1) == width, op, "ffn_weight_1", "a matrix over the width");
  shape("ffn_bias_1", {first.size(0)});
  shape("ffn_weight_2", {width, first.size(0)});
}

// As many values as keys, and a mask that spreads over queries and keys: the fused kernel asks for neither.
void check_attention_product(const Op& op, CallValues values) {
  const at::Tensor& query = tensor_of(op, values, "query");
  const at::Tensor& key = tensor_of(op, values, "key");
  const at::Tensor& value = tensor_of(op, values, "value");
  for (const auto& [name, tensor] : {std::pair("query", &query), std::pair("key", &key), std::pair("value", &value)}) {
    require(tensor->dim() >= 2, op, name, "steps of a width");
  }
  require(key.size(-1) == query.size(-1), op, "key", "of the query's width");
  require(value.size(-2) == key.size(-2), op, "value", "as many as there are keys");
  if (!has_tensor(value_of(op, values, "attn_mask"))) return;
  const at::Tensor& mask = tensor_of(op, values, "attn_mask");
  const auto spreads = [&](int64_t dim, int64_t size) {
    return mask.dim() < dim || mask.size(-dim) == 1 || mask.size(-dim) == size;
  };
  require(spreads(1, key.size(-2)) && spreads(2, query.size(-2)), op, "attn_mask",
          "a mask that spreads over queries and keys");
}

// The kernel itself, which takes four dimensions for granted.
void check_flash_attention(const Op& op, CallValues values) {
  check_attention_product(op, values);
  const at::Tensor& query = tensor_of(op, values, "query");
  require(query.dim() == 4 && query.numel() > 0, op, "query", "batch, heads, steps, width");
  for (const char* name : {"key", "value"}) {
    const at::Tensor& other = tensor_of(op, values, name);
    require(other.dim() == 4 && other.numel() > 0 && other.size(0) == query.size(0) && other.size(1) == query.size(1) &&
                other.size(3) == query.size(3) && other.scalar_type() == query.scalar_type(),
            op, name, "of the query's batch, heads, width and type");
  }
  if (!has_tensor(value_of(op, values, "attn_mask"))) return;
  const at::Tensor& mask = tensor_of(op, values, "attn_mask");
  bool spreads = mask.dim() == 2 || mask.dim() == 4;
  for (int64_t i = 0; spreads && mask.dim() == 4 && i < 2; ++i) {
    spreads = mask.size(i) == 1 || mask.size(i) == query.size(i);
  }
  require(spreads, op, "attn_mask", "a mask that spreads over batch and heads");
}

// A scale that leads to another size than the one asked for makes the filter read beyond its weights.
void check_antialias(const Op& op, CallValues values) {
  const at::Tensor& input = tensor_of(op, values, op.argument_index("self") < 0 ? "input" : "self");
  const c10::IValue& output = value_of(op, values, "output_size");
  if (output.isNone() || input.dim() != 4) return;  // the kernel says so
  const std::vector<int64_t> sizes = output.toIntVector();
  const char* const names[] = {"scales_h", "scales_w"};
  for (size_t i = 0; i < 2 && i < sizes.size(); ++i) {
    const c10::IValue& scale = value_of(op, values, names[i]);
    if (!scale.isDouble()) continue;
    const double led_to = static_cast<double>(input.size(static_cast<int64_t>(i) + 2)) * scale.toDouble();
    require(std::abs(led_to - static_cast<double>(sizes[i])) <= 1.0, op, names[i], "the scale of the size asked for");
  }
}

// A range, a scale and a zero point for each channel, or for the whole.
void check_moving_average(const Op& op, CallValues values) {
  const at::Tensor& self = tensor_of(op, values, "self");
  const bool per_channel = value_of(op, values, "per_row_fake_quant").toBool();
  const int64_t axis = value_of(op, values, "ch_axis").toInt();
  require(self.scalar_type() == at::kFloat && self.numel() > 0, op, "self", "float32");
  require(!per_channel || (axis >= 0 && axis < self.dim()), op, "ch_axis", "a dimension of self");
  const int64_t channels = per_channel ? self.size(axis) : 1;
  for (const char* name : {"observer_on", "fake_quant_on"}) {
    const at::Tensor& flag = tensor_of(op, values, name);
    require(flag.numel() == 1 && !flag.is_complex(), op, name, "one number");
  }
  for (const char* name : {"running_min", "running_max", "scale", "zero_point"}) {
    const at::Tensor& vector = tensor_of(op, values, name);
    const at::ScalarType type = std::string_view(name) == "zero_point" ? at::kInt : at::kFloat;
    require(vector.scalar_type() == type && vector.dim() <= 1 && vector.numel() == channels && vector.is_contiguous(),
            op, name, str("a vector of ", channels, type == at::kInt ? " of int32" : " of float32"));
  }
}

// The kernel sorts in place what it takes for rows.
void check_median(const Op& op, CallValues values) {
  const at::Tensor& self = tensor_of(op, values, "self");
  for (int64_t i = 0; i < self.dim(); ++i) {
    require(self.size(i) <= 1 || self.stride(i) != 0, op, "self", "a tensor of its own elements: clone it");
  }
}

// A window longer than the input is walked to its end all the same.
void check_window(const Op& op, CallValues values) {
  const at::Tensor& self = tensor_of(op, values, "self");
  const std::vector<int64_t> window = value_of(op, values, "kernel_size").toIntVector();
  const int64_t most = 4 * std::max<int64_t>(1, self.dim() > 0 ? self.size(-1) : 1) + 4;
  for (const int64_t size : window) require(size <= most, op, "kernel_size", "a window over the input");
}

// The smallest whole number has no quotient by -1, at which processors stop the program.
void check_quotient(const Op& op, CallValues values) {
  const c10::IValue& mode = value_of(op, values, "rounding_mode");
  if (op.argument_index("rounding_mode") >= 0 && mode.isNone()) return;  // in floats
  const at::Tensor& self = tensor_of(op, values, "self");
  const c10::IValue& by = value_of(op, values, "other");
  const at::Tensor other =
      by.isTensor() ? by.toTensor() : at::scalar_tensor(by.toScalar(), by.isInt() ? at::kLong : at::kDouble);
  if (!at::isIntegralType(self.scalar_type(), true) || !at::isIntegralType(other.scalar_type(), true)) return;
  if (!at::are_expandable(self.sizes(), other.sizes())) return;  // the kernel says so
  const at::ScalarType type = by.isTensor() ? at::result_type(self, other) : self.scalar_type();
  if (type != at::kInt && type != at::kLong) return;
  const int64_t lowest = type == at::kInt ? std::numeric_limits<int32_t>::min() : std::numeric_limits<int64_t>::min();
  const at::Tensor overflows = self.to(at::kLong).eq(lowest).logical_and(other.to(at::kLong).eq(-1));
  require(!overflows.any().item<bool>(), op, "other", str("a number by which ", lowest, " has a quotient"));
}

// A result's size is computed from these without a look at overflow: beyond it the kernel would be told of another one.
void check_steps(const Op& op, CallValues values) {
  constexpr int64_t kMost = std::numeric_limits<int32_t>::max();
  for (const char* name : {"stride", "padding", "output_padding", "dilation"}) {
    const c10::IValue& steps = value_of(op, values, name);
    if (!steps.isIntList()) continue;
    for (const int64_t step : steps.toIntVector()) {
      require(step >= -kMost && step <= kMost, op, name, str("at most ", kMost));
    }
  }
}

void check_parts(const Op& op, CallValues values) {
  const int64_t parts = value_of(op, values, "sections").toInt();
  require(parts <= kMostParts, op, "sections", str("at most ", kMostParts));
}

struct Row {
  std::string_view name;  // without the overload, or with it
  CallCheck check;
};

constexpr std::array kChecks = {
    Row{"aten.as_strided", check_strided},
    Row{"aten.as_strided_", check_strided},
    Row{"aten.as_strided_copy", check_strided},
    Row{"aten.as_strided_scatter", check_strided},
    Row{"aten.native_batch_norm", check_batch_norm},
    Row{"aten._native_batch_norm_legit", check_batch_norm},
    Row{"aten._native_batch_norm_legit_functional", check_batch_norm},
    Row{"aten._native_batch_norm_legit_no_training", check_batch_norm},
    Row{"aten._batch_norm_no_update", check_batch_norm},
    Row{"aten._batch_norm_with_update", check_batch_norm},
    Row{"aten._batch_norm_with_update_functional", check_batch_norm},
    Row{"aten._weight_norm", check_weight_norm},
    Row{"aten._weight_norm_interface", check_weight_norm},
    Row{"aten._fft_c2c", check_fft},
    Row{"aten._fft_c2r", check_fft},
    Row{"aten._fft_r2c", check_fft},
    Row{"aten.lstm.input", check_lstm},
    Row{"aten.lstm.data", check_packed},
    Row{"aten.gru.data", check_packed},
    Row{"aten.rnn_tanh.data", check_packed},
    Row{"aten.rnn_relu.data", check_packed},
    Row{"aten._native_multi_head_attention", check_attention},
    Row{"aten._transformer_encoder_layer_fwd", check_attention},
    Row{"aten.scaled_dot_product_attention", check_attention_product},
    Row{"aten._scaled_dot_product_flash_attention_for_cpu", check_flash_attention},
    Row{"aten._upsample_bilinear2d_aa", check_antialias},
    Row{"aten._upsample_bicubic2d_aa", check_antialias},
    Row{"aten.fused_moving_avg_obs_fake_quant", check_moving_average},
    Row{"aten._fused_moving_avg_obs_fq_helper", check_moving_average},
    Row{"aten._fused_moving_avg_obs_fq_helper_functional", check_moving_average},
    Row{"aten._upsample_lanczos2d_aa", check_antialias},
    Row{"aten.embedding_bag", check_embedding_bag},
    Row{"aten._embedding_bag", check_embedding_bag},
    Row{"aten._embedding_bag_forward_only", check_embedding_bag},
    Row{"aten._nested_tensor_from_mask", refuse_nested},
    Row{"aten._nested_tensor_from_mask_left_aligned", refuse_nested},
    Row{"aten.to_padded_tensor", refuse_nested},
    Row{"aten.max_pool1d", check_window},
    Row{"aten.max_pool1d_with_indices", check_window},
    Row{"aten.median.dim", check_median},
    Row{"aten.nanmedian.dim", check_median},
    Row{"aten.tensor_split.sections", check_parts},
    Row{"aten.conv1d", check_steps},
    Row{"aten.conv2d", check_steps},
    Row{"aten.conv3d", check_steps},
    Row{"aten.conv_transpose1d", check_steps},
    Row{"aten.conv_transpose2d", check_steps},
    Row{"aten.conv_transpose3d", check_steps},
    Row{"aten.convolution", check_steps},
    Row{"aten._convolution", check_steps},
    Row{"aten.im2col", check_steps},
    Row{"aten.col2im", check_steps},
    Row{"aten.div.Tensor_mode", check_quotient},
    Row{"aten.div.Scalar_mode", check_quotient},
    Row{"aten.div_.Tensor_mode", check_quotient},
    Row{"aten.div_.Scalar_mode", check_quotient},
    Row{"aten.divide.Tensor_mode", check_quotient},
    Row{"aten.divide.Scalar_mode", check_quotient},
    Row{"aten.divide_.Tensor_mode", check_quotient},
    Row{"aten.divide_.Scalar_mode", check_quotient},
    Row{"aten.floor_divide", check_quotient},
    Row{"aten.floor_divide_", check_quotient},
};

c10::TypeKind kind_of(const c10::Argument& argument) {
  const c10::TypePtr& type = argument.real_type();
  const auto optional = type->cast<c10::OptionalType>();
  return optional ? optional->getElementType()->kind() : type->kind();
}

bool is_type_code(int64_t code) {
  if (code < 0 || code >= static_cast<int64_t>(c10::ScalarType::Undefined)) return false;
  const auto type = static_cast<c10::ScalarType>(code);
  return c10::isFloatingType(type) || c10::isComplexType(type) || c10::isIntegralType(type, /*includeBool=*/true);
}

}  // namespace

CallCheck call_check(const Op& op) {
  const auto found = std::find_if(kChecks.begin(), kChecks.end(),
                                  [&](const Row& row) { return row.name == op.packet() || row.name == op.text(); });
  return found == kChecks.end() ? nullptr : found->check;
}

bool is_code(const c10::Argument& argument) {
  const c10::TypeKind kind = kind_of(argument);
  return kind == c10::TypeKind::ScalarTypeType || kind == c10::TypeKind::LayoutType ||
         kind == c10::TypeKind::MemoryFormatType || kind == c10::TypeKind::DeviceObjType;
}

std::string wrong_code(const c10::Argument& argument, const c10::IValue& value) {
  if (value.isNone() || !is_code(argument)) return {};
  const c10::TypeKind kind = kind_of(argument);
  if (kind == c10::TypeKind::DeviceObjType) {
    if (!value.isDevice() || value.toDevice().is_cpu()) return {};
    return "a device other than the CPU: " + value.toDevice().str();
  }
  if (!value.isInt()) return "no code of its kind";
  const int64_t code = value.toInt();
  if (kind == c10::TypeKind::ScalarTypeType) return is_type_code(code) ? "" : str("no type of elements: ", code);
  if (kind == c10::TypeKind::LayoutType) {
    return code == static_cast<int64_t>(c10::kStrided) ? "" : str("a layout other than strided: ", code);
  }
  return code >= 0 && code < static_cast<int64_t>(c10::MemoryFormat::NumOptions) ? "" : str("no memory format: ", code);
}

std::string wrong_integers(const c10::IValue& value) {
  constexpr int64_t kLowest = std::numeric_limits<int64_t>::min() / 2;
  if (!value.isIntList()) return {};
  const c10::List<int64_t> numbers = value.toIntList();
  const auto low = std::find_if(numbers.begin(), numbers.end(), [&](int64_t number) { return number < kLowest; });
  return low == numbers.end() ? "" : str("beyond what a size or a step can be: ", static_cast<int64_t>(*low));
}

void check_call(const Op& op, c10::ArrayRef<c10::IValue> values, const std::string& where) {
  const auto& arguments = op.schema().arguments();
  for (size_t i = 0; i < arguments.size() && i < values.size(); ++i) {
    std::string wrong = wrong_code(arguments[i], values[i]);
    if (wrong.empty()) wrong = wrong_integers(values[i]);
    if (!wrong.empty()) throw Error(where, str("argument '", arguments[i].name(), "' of ", op.text(), " is ", wrong));
  }
  const CallCheck check = call_check(op);
  if (check == nullptr) return;
  try {
    check(op, values);
  } catch (const Error& error) {
    throw Error(where, error.what());
  }
}

}  // namespace octet

#include "octet/integer/executor.h"

#include <ATen/ops/empty.h>

#include <algorithm>
#include <cstring>

#include "octet/integer/fixed_point.h"
#include "octet/integer/folded.h"
#include "octet/integer/grid.h"
#include "octet/integer/line_vector.h"
#include "octet/integer/rows.h"
#include "octet/integer/steps.h"
#include "octet/kernels/crew.h"
#include "octet/kernels/parallel.h"
#include "octet/support/error.h"

namespace octet::integer {

using tflite::Tensor;
using tflite::Type;

at::ScalarType scalar_type(Type type) {
  switch (type) {
    case Type::kFloat32:
      return at::kFloat;
    case Type::kFloat16:
      return at::kHalf;
    case Type::kInt32:
      return at::kInt;
    case Type::kUInt8:
      return at::kByte;
    case Type::kInt64:
      return at::kLong;
    case Type::kBool:
      return at::kBool;
    case Type::kInt16:
      return at::kShort;
    case Type::kInt8:
      return at::kChar;
  }
  throw Error("tflite", octet::str("type ", static_cast<int>(type), " has no counterpart"));
}

namespace {

const Tensor& tensor_of(const tflite::Model& model, int32_t index) { return model.tensors[static_cast<size_t>(index)]; }

// One element after the other, on several threads.
template <typename From, typename To, typename Turn>
void turn_all(const From* from, To* to, int64_t count, const Turn& turn) {
  constexpr int64_t kTurned = 1 << 15;
  parallel_for(0, count, kTurned,
               [&](int64_t begin, int64_t end) { std::transform(from + begin, from + end, to + begin, turn); });
}

// A tensor without elements may have no memory.
void copy_bytes(void* to, const void* from, size_t count) {
  if (count > 0) std::memcpy(to, from, count);
}

size_t bytes_of(const Tensor& tensor) { return static_cast<size_t>(tensor.numel() * tflite::type_size(tensor.type)); }

at::Tensor quantized(const at::Tensor& values, const Tensor& tensor) {
  const std::optional<Grid> grid = grid_of(tensor);
  if (!grid) throw expected(tensor.name, "grid", "one scale and zero point", "another");
  const at::Tensor from = values.to(at::kFloat).contiguous();
  at::Tensor levels = at::empty(from.sizes(), at::TensorOptions(scalar_type(tensor.type)));
  const auto zero_point = static_cast<int32_t>(grid->zero_point);
  with_level_type(tensor.type, [&]<typename Level>(Level) {
    turn_all(from.const_data_ptr<float>(), levels.mutable_data_ptr<Level>(), from.numel(),
             [&](float value) { return quantize_level<Level>(value, grid->scale, zero_point); });
  });
  return levels;
}

at::Tensor dequantized(const at::Tensor& levels, const Tensor& tensor) {
  const std::optional<Grid> grid = grid_of(tensor);
  if (!grid) return levels;
  at::Tensor values = at::empty(levels.sizes(), at::TensorOptions(at::kFloat));
  const auto zero_point = static_cast<int32_t>(grid->zero_point);
  with_level_type(tensor.type, [&]<typename Level>(Level) {
    turn_all(levels.const_data_ptr<Level>(), values.mutable_data_ptr<float>(), levels.numel(),
             [&](Level level) { return dequantize_level(level, grid->scale, zero_point); });
  });
  return values;
}

// Samples that a thread takes through layers of matrices at once: the weights come from a far cache.
constexpr int64_t kSamplesAtOnce = 8;

constexpr auto kLine = static_cast<int64_t>(LineAllocator<uint8_t>::kLine);  // bytes

}  // namespace

Executor::Executor(tflite::Model model, ExecutorOptions options)
    : model_(folded(std::move(model)).program), plan_(plan_memory(model_)), one_(prepare(model_, 1, options)) {
  // The kernels of matrices keep nothing of the model that they were made from.
  if (!options.check_overflow && works_by_rows(model_)) {
    several_ = prepare(with_rows(model_, kSamplesAtOnce), kSamplesAtOnce, options);
  }
}

Executor::Pass Executor::prepare(const tflite::Model& model, int64_t samples, const ExecutorOptions& options) {
  Pass pass;
  pass.samples = samples;
  const std::vector<Step> steps = steps_of(model);
  int64_t scratch_bytes = 0;
  for (const auto& [op, frame] : steps) {
    pass.kernels.push_back(make_kernel({model, op, options.check_overflow, options.path, frame}));
    scratch_bytes = std::max(scratch_bytes, pass.kernels.back().scratch_bytes());
  }
  pass.layout = plan_memory(outline(model, steps), kLine);
  pass.pool = std::make_shared<MemoryPool>(static_cast<size_t>(pass.layout.arena_bytes + scratch_bytes));
  return pass;
}

void Executor::execute(const Pass& pass, const std::vector<const void*>& inputs,
                       const std::vector<void*>& outputs) const {
  MemoryPool::Block block(*pass.pool);
  uint8_t* memory = block.data();
  const auto bytes = [&](int32_t tensor) {
    return static_cast<size_t>(pass.samples) * bytes_of(tensor_of(model_, tensor));
  };
  Values values(model_.tensors.size(), memory + pass.layout.arena_bytes);
  for (size_t i = 0; i < model_.tensors.size(); ++i) {
    const Tensor& tensor = model_.tensors[i];
    if (tensor.is_constant) {
      values.set(static_cast<int32_t>(i), tensor.data.empty() ? memory : const_cast<uint8_t*>(tensor.data.data()));
    } else if (pass.layout.offsets[i] >= 0) {
      values.set(static_cast<int32_t>(i), memory + pass.layout.offsets[i]);
    }
  }
  for (size_t i = 0; i < inputs.size(); ++i) {
    copy_bytes(values.at<void>(model_.inputs[i]), inputs[i], bytes(model_.inputs[i]));
  }
  for (const Kernel& kernel : pass.kernels) kernel(values);
  for (size_t i = 0; i < outputs.size(); ++i) {
    copy_bytes(outputs[i], values.at<const void>(model_.outputs[i]), bytes(model_.outputs[i]));
  }
}

std::vector<at::Tensor> Executor::run(const std::vector<at::Tensor>& inputs) const {
  if (inputs.size() != model_.inputs.size()) {
    throw expected("program", "inputs", std::to_string(model_.inputs.size()), std::to_string(inputs.size()));
  }
  std::vector<at::Tensor> taken;
  int64_t samples = -1;  // runs of the program
  for (size_t i = 0; i < inputs.size(); ++i) {
    const Tensor& wanted = tensor_of(model_, model_.inputs[i]);
    const std::string where = "input '" + wanted.name + "'";
    at::Tensor given = inputs[i];
    if (at::isFloatingType(given.scalar_type()) && is_level_type(wanted.type)) given = quantized(given, wanted);
    if (given.scalar_type() != scalar_type(wanted.type)) {
      throw expected(where, "type", tflite::type_name(wanted.type), octet::str(given.scalar_type()));
    }
    const std::vector<int64_t> shape = given.sizes().vec();
    bool fits = shape.size() == wanted.shape.size();
    for (size_t d = 1; fits && d < shape.size(); ++d) fits = shape[d] == wanted.shape[d];
    int64_t runs = 1;
    if (fits && !shape.empty()) {
      fits = wanted.shape[0] > 0 && shape[0] > 0 && shape[0] % wanted.shape[0] == 0;
      runs = fits ? shape[0] / wanted.shape[0] : 0;
    }
    if (!fits || (samples >= 0 && runs != samples)) {
      throw expected(where, "shape",
                     octet::str("[", join(", ", wanted.shape),
                                "], or a multiple of it in dimension 0, the same for "
                                "every input"),
                     octet::str("[", join(", ", shape), "]"));
    }
    samples = runs;
    taken.push_back(given.contiguous());
  }
  if (samples < 0) samples = 1;
  std::vector<at::Tensor> results;
  for (const int32_t index : model_.outputs) {
    const Tensor& tensor = tensor_of(model_, index);
    std::vector<int64_t> shape = tensor.shape;
    if (samples > 1) {
      if (shape.empty()) throw expected("result '" + tensor.name + "'", "dimensions", "at least 1", "0");
      shape[0] *= samples;
    }
    results.push_back(at::empty(shape, at::TensorOptions(scalar_type(tensor.type))));
  }
  const auto run_samples = [&](const Pass& pass, int64_t sample) {
    std::vector<const void*> from;
    std::vector<void*> to;
    for (size_t i = 0; i < taken.size(); ++i) {
      const size_t bytes = bytes_of(tensor_of(model_, model_.inputs[i]));
      from.push_back(static_cast<const uint8_t*>(taken[i].const_data_ptr()) + static_cast<size_t>(sample) * bytes);
    }
    for (size_t i = 0; i < results.size(); ++i) {
      const size_t bytes = bytes_of(tensor_of(model_, model_.outputs[i]));
      to.push_back(static_cast<uint8_t*>(results[i].mutable_data_ptr()) + static_cast<size_t>(sample) * bytes);
    }
    execute(pass, from, to);
  };
  // Several at once first, then what is left one by one.
  const int64_t at_once = several_ ? several_->samples : 1;
  const int64_t wide = several_ ? samples / at_once : 0, units = wide + samples - wide * at_once;
  const auto work = [&](int64_t begin, int64_t end) {
    for (int64_t unit = begin; unit < end; ++unit) {
      if (unit < wide) {
        run_samples(*several_, unit * at_once);
      } else {
        run_samples(one_, wide * at_once + unit - wide);
      }
    }
  };
  if (units == 1) {
    work(0, 1);  // the operators may use the threads
  } else {
    share_out(units, 1, in_parallel_region() ? 1 : threads(), work);
  }
  return results;
}

std::vector<at::Tensor> Executor::run_dequantized(const std::vector<at::Tensor>& inputs) const {
  std::vector<at::Tensor> results = run(inputs);
  for (size_t i = 0; i < results.size(); ++i) {
    results[i] = dequantized(results[i], tensor_of(model_, model_.outputs[i]));
  }
  return results;
}

}  // namespace octet::integer

#include <limits>
#include <random>

#include "fuzz/fuzz.h"
#include "fuzz/program.h"

// Programs that are files in order, and yet make no sense: the mutator changes the program, not its bytes.

namespace {

using octet::tflite::Model;
using octet::tflite::Operator;
using octet::tflite::Tensor;

class Mutator {
 public:
  explicit Mutator(unsigned seed) : random_(seed) {}

  void change(Model& model) {
    if (model.tensors.empty() || model.operators.empty()) return;
    for (size_t edits = 1 + below(3); edits > 0; --edits) {
      if (below(2) == 0) {
        change(one_of(model.tensors));
      } else {
        change(one_of(model.operators), model.tensors.size());
      }
    }
  }

 private:
  size_t below(size_t count) { return random_() % count; }
  template <typename T>
  T& one_of(std::vector<T>& values) {
    return values[below(values.size())];
  }
  // Near the value, small, or at the edge of what there is.
  int64_t number(int64_t old) {
    constexpr int64_t kEdges[] = {std::numeric_limits<int32_t>::max(), std::numeric_limits<int32_t>::min(), 1 << 16, 0};
    switch (below(4)) {
      case 0:
        return octet::fuzz::wrapping_sum(old, static_cast<int64_t>(below(5)) - 2);
      case 1:
        return static_cast<int64_t>(below(12)) - 3;
      case 2:
        return octet::fuzz::wrapping_sum(old, old);
      default:
        return kEdges[below(4)];
    }
  }
  int32_t small(int32_t old) {
    return static_cast<int32_t>(
        std::clamp<int64_t>(number(old), std::numeric_limits<int32_t>::min(), std::numeric_limits<int32_t>::max()));
  }
  float real(float old) {
    constexpr float kEdges[] = {1e-38F, 3e38F, 1e-10F, 1e10F, 1.0F, 1.0F / 256, 1.0F / 128};
    return below(2) == 0 ? kEdges[below(7)] : old * static_cast<float>(below(64)) / 16.0F;
  }

  void change(Tensor& tensor) {
    switch (below(6)) {
      case 0:
        if (!tensor.shape.empty()) one_of(tensor.shape) = number(tensor.shape[0]);
        break;
      case 1:
        if (!tensor.quantization.scale.empty()) {
          float& scale = one_of(tensor.quantization.scale);
          scale = real(scale);
        }
        break;
      case 2:
        if (!tensor.quantization.zero_point.empty()) one_of(tensor.quantization.zero_point) = number(0);
        break;
      case 3: {
        constexpr int kTypes[] = {0, 2, 4, 6, 7, 9};
        tensor.type = static_cast<octet::tflite::Type>(kTypes[below(6)]);
        break;
      }
      case 4:
        if (below(2) == 0 && !tensor.shape.empty()) {
          tensor.shape.pop_back();
        } else {
          tensor.shape.insert(tensor.shape.begin() + static_cast<ptrdiff_t>(below(tensor.shape.size() + 1)), 1);
        }
        break;
      default:
        if (!tensor.data.empty()) one_of(tensor.data) = static_cast<uint8_t>(random_());
    }
    if (!tensor.is_constant) return;
    // As many bytes as the shape asks for, or the writer refuses it.
    int64_t elements = 1;
    for (const int64_t size : tensor.shape) {
      if (size < 0 || size > octet::fuzz::kMaxElements) return;
      elements *= size;
      if (elements > octet::fuzz::kMaxElements) return;
    }
    tensor.data.resize(static_cast<size_t>(elements * octet::tflite::type_size(tensor.type)));
  }

  void change(Operator& op, size_t tensors) {
    octet::tflite::Options& options = op.options;
    int32_t* const numbers[] = {&options.stride_h, &options.stride_w, &options.dilation_h, &options.dilation_w,
                                &options.filter_h, &options.filter_w, &options.axis,       &options.depth_multiplier};
    switch (below(7)) {
      case 0:
      case 1: {
        int32_t& value = *numbers[below(8)];
        value = small(value);
        break;
      }
      case 2:
        options.padding = static_cast<octet::tflite::Padding>(below(2));
        options.activation = static_cast<octet::tflite::Activation>(below(4));
        break;
      case 3:
        bool* const flags[4] = {&options.align_corners, &options.half_pixel_centers, &options.adj_x,
                                &options.keep_dims};
        *flags[below(4)] ^= true;
        break;
    }
    if (below(4) == 0) (below(2) == 0 ? options.alpha : options.beta) = real(options.alpha);
    if (below(4) == 0 && !op.inputs.empty()) one_of(op.inputs) = static_cast<int32_t>(below(tensors));
    if (below(4) == 0) {
      constexpr int kCodes[] = {0,  1,  2,  3,  4,  6,  9,  14, 17, 18, 19, 22, 23, 25, 28,  34,  39,  40,  41,  43, 47,
                                49, 54, 55, 57, 60, 65, 67, 73, 74, 76, 82, 89, 97, 98, 100, 101, 102, 114, 117, 126};
      op.code = static_cast<octet::tflite::OpCode>(kCodes[below(std::size(kCodes))]);
    }
  }

  std::minstd_rand random_;
};

}  // namespace

extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t max_size, unsigned seed) {
  Mutator mutator(seed);
  Model model;
  try {
    model = octet::tflite::read(octet::fuzz::source(octet::fuzz::view(data, size)));
  } catch (const octet::Error&) {
    return size;
  }
  for (int attempt = 0; attempt < 8; ++attempt) {
    try {
      Model changed = model;
      mutator.change(changed);
      const std::vector<uint8_t> bytes = octet::tflite::serialize(changed);
      if (bytes.size() > max_size) continue;
      std::copy(bytes.begin(), bytes.end(), data);
      return bytes.size();
    } catch (const octet::Error&) {  // a program that no reader would take
    }
  }
  return size;
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  return octet::fuzz::only_errors([&] {
    const std::string_view bytes = octet::fuzz::view(data, size);
    octet::fuzz::run(octet::tflite::read(octet::fuzz::source(bytes)), bytes);
  });
}

// libtorch_cuda.so of the tests: CUDA devices without a GPU. What CUDA's memory holds lies in the host's, out of reach
// of whoever asks for the device; every operator runs by the CPU's kernel on the same memory. As on a GPU, a kernel
// does not mix devices: a tensor of the CPU beside one of a device is an error, but for a scalar (0-dim), and a kernel
// that was made for the CPU's tensors is not found for others. How many devices there are OCTET_SIMULATED_DEVICES says.
#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>
#include <ATen/EmptyTensor.h>
#include <ATen/detail/CUDAHooksInterface.h>
#include <ATen/native/Resize.h>
#include <ATen/ops/_reshape_alias_native.h>
#include <ATen/ops/as_strided_native.h>
#include <ATen/ops/resize_native.h>
#include <ATen/ops/set_native.h>
#include <ATen/ops/unfold_native.h>
#include <ATen/ops/view_native.h>
#include <c10/core/CPUAllocator.h>
#include <c10/core/impl/DeviceGuardImplInterface.h>
#include <torch/library.h>

#include <cstdlib>
#include <cstring>

namespace {

constexpr c10::DeviceType kDevice = c10::DeviceType::CUDA;

c10::DeviceIndex device_count() {
  const char* text = std::getenv("OCTET_SIMULATED_DEVICES");
  return static_cast<c10::DeviceIndex>(text != nullptr ? std::atoi(text) : 2);
}

thread_local c10::DeviceIndex current = 0;

// ---- memory, devices, streams ---------------------------------------------------------------------------------------

void release(void* memory) { std::free(memory); }

struct DeviceMemory : c10::Allocator {
  c10::DataPtr allocate(size_t bytes) override {
    constexpr size_t kAlignment = 64;
    void* memory = std::aligned_alloc(kAlignment, (bytes / kAlignment + 1) * kAlignment);
    return {memory, memory, &release, c10::Device(kDevice, current)};
  }
  c10::DeleterFnPtr raw_deleter() const override { return &release; }
  void copy_data(void* to, const void* from, size_t bytes) const override { std::memcpy(to, from, bytes); }
};

DeviceMemory& memory() {
  static DeviceMemory all;
  return all;
}

const c10::AllocatorRegisterer<kDevice> registered_memory(&memory());

struct Guard final : c10::impl::DeviceGuardImplInterface {
  c10::DeviceType type() const override { return kDevice; }
  c10::Device exchangeDevice(c10::Device device) const override {
    const c10::Device before = getDevice();
    setDevice(device);
    return before;
  }
  c10::Device getDevice() const override { return {kDevice, current}; }
  void setDevice(c10::Device device) const override {
    TORCH_CHECK(device.index() < device_count(), "invalid device ordinal");
    uncheckedSetDevice(device);
  }
  void uncheckedSetDevice(c10::Device device) const noexcept override {
    if (device.has_index()) current = device.index();
  }
  c10::Stream getStream(c10::Device device) const override { return c10::Stream(c10::Stream::DEFAULT, device); }
  c10::Stream getDefaultStream(c10::Device device) const override { return c10::Stream(c10::Stream::DEFAULT, device); }
  c10::Stream exchangeStream(c10::Stream stream) const override { return stream; }
  c10::DeviceIndex deviceCount() const noexcept override { return device_count(); }
  bool queryStream(const c10::Stream&) const override { return true; }
  void synchronizeStream(const c10::Stream&) const override {}
  void recordDataPtrOnStream(const c10::DataPtr&, const c10::Stream&) const override {}
};

C10_REGISTER_GUARD_IMPL(CUDA, Guard);

struct CUDAHooks : at::CUDAHooksInterface {
  explicit CUDAHooks(at::CUDAHooksArgs) {}
  void init() const override {}
  bool hasCUDA() const override { return device_count() > 0; }
  bool isBuilt() const override { return true; }
  bool isAvailable() const override { return hasCUDA(); }
  bool hasPrimaryContext(c10::DeviceIndex) const override { return true; }
  c10::DeviceIndex current_device() const override { return current; }
  c10::DeviceIndex deviceCount() const override { return device_count(); }
  int getNumGPUs() const override { return device_count(); }
  const at::Generator& getDefaultGenerator(c10::DeviceIndex) const override {
    return at::detail::getDefaultCPUGenerator();
  }
  c10::Allocator* getPinnedMemoryAllocator() const override { return c10::GetCPUAllocator(); }
};

using at::CUDAHooksRegistry;
using at::RegistererCUDAHooksRegistry;
REGISTER_CUDA_HOOKS(CUDAHooks);

// ---- kernels --------------------------------------------------------------------------------------------------------

// The same memory as a tensor of the CPU.
at::Tensor on_cpu(const at::Tensor& tensor) {
  const c10::Storage& own = tensor.storage();
  const c10::Storage shared(c10::Storage::use_byte_size_t(), own.nbytes(),
                            c10::DataPtr(const_cast<void*>(own.data()), c10::kCPU), c10::GetCPUAllocator(), true);
  return at::empty({0}, at::TensorOptions(tensor.scalar_type()))
      .set_(shared, tensor.storage_offset(), tensor.sizes(), tensor.strides());
}

at::Tensor empty_like_strided(at::IntArrayRef sizes, at::IntArrayRef strides, at::ScalarType type) {
  return at::Tensor(
      at::detail::empty_strided_generic(sizes, strides, &memory(), c10::DispatchKeySet(c10::DispatchKey::CUDA), type));
}

// A result of the CPU's as a tensor of the device.
at::Tensor on_device(const at::Tensor& result) {
  if (!result.defined()) return result;
  const at::Tensor dense = result.is_non_overlapping_and_dense() ? result : result.contiguous();
  const at::Tensor made = empty_like_strided(dense.sizes(), dense.strides(), dense.scalar_type());
  if (dense.numel() > 0) std::memcpy(made.storage().mutable_data(), dense.const_data_ptr(), dense.nbytes());
  return made;
}

struct Crossing {
  const c10::OperatorHandle& op;
  std::vector<std::pair<at::Tensor, at::Tensor>> passed = {};  // of the device, and as the kernel got it
  std::optional<c10::Device> device = {};

  at::Tensor in(const at::Tensor& tensor) {
    if (!tensor.defined()) return tensor;
    if (tensor.device().type() != kDevice) {
      TORCH_CHECK(tensor.dim() == 0, "Expected all tensors to be on the same device, but ", op.operator_name(),
                  " was given one on ", tensor.device(), " of sizes ", tensor.sizes());
      return tensor;
    }
    TORCH_CHECK(!device || *device == tensor.device(), "Expected all tensors to be on the same device, but ",
                op.operator_name(), " was given some on ", *device, " and on ", tensor.device());
    device = tensor.device();
    passed.emplace_back(tensor, on_cpu(tensor));
    return passed.back().second;
  }

  // What a kernel has made anew of an output that it was given.
  void take_back() const {
    for (const auto& [own, given] : passed) {
      if (given.sizes() == own.sizes() && given.storage().data() == own.storage().data()) continue;
      at::native::resize_(own, given.sizes());
      own.unsafeGetTensorImpl()->set_sizes_and_strides(given.sizes(), given.strides());
      std::memcpy(own.storage().mutable_data(), given.const_data_ptr(), given.nbytes());
    }
  }

  at::Tensor out(const at::Tensor& result) const {
    for (const auto& [own, given] : passed) {
      if (given.is_same(result)) return own;
    }
    return on_device(result);
  }
};

void by_the_cpu(const c10::OperatorHandle& op, torch::jit::Stack* stack) {
  Crossing crossing{op};
  const size_t begin = stack->size() - op.schema().arguments().size();
  for (size_t i = begin; i < stack->size(); ++i) {
    c10::IValue& value = (*stack)[i];
    if (value.isTensor()) {
      value = crossing.in(value.toTensor());
    } else if (value.isTensorList()) {
      std::vector<at::Tensor> all = value.toTensorVector();
      for (at::Tensor& each : all) each = crossing.in(each);
      value = all;
    } else if (value.isOptionalTensorList()) {
      c10::List<std::optional<at::Tensor>> all;
      for (const std::optional<at::Tensor>& each : value.toOptionalTensorVector()) {
        all.push_back(each ? std::optional(crossing.in(*each)) : std::nullopt);
      }
      value = all;
    } else if (value.isDevice()) {
      value = c10::Device(c10::kCPU);
    }
  }
  const c10::DeviceIndex before = current;
  if (crossing.device) current = crossing.device->index();
  op.redispatchBoxed(c10::DispatchKeySet(c10::DispatchKey::CPU), stack);
  crossing.take_back();
  for (size_t i = begin; i < stack->size(); ++i) {
    c10::IValue& value = (*stack)[i];
    if (value.isTensor()) {
      value = crossing.out(value.toTensor());
    } else if (value.isTensorList()) {
      std::vector<at::Tensor> all = value.toTensorVector();
      for (at::Tensor& each : all) each = crossing.out(each);
      value = all;
    }
  }
  current = before;
}

at::Tensor empty(at::IntArrayRef sizes, std::optional<at::ScalarType> type, std::optional<at::Layout>,
                 std::optional<at::Device> device, std::optional<bool>, std::optional<at::MemoryFormat> format) {
  const c10::OptionalDeviceGuard guard(device);
  return at::Tensor(at::detail::empty_generic(sizes, &memory(), c10::DispatchKeySet(c10::DispatchKey::CUDA),
                                              type.value_or(at::kFloat), format));
}

at::Tensor empty_strided(at::IntArrayRef sizes, at::IntArrayRef strides, std::optional<at::ScalarType> type,
                         std::optional<at::Layout>, std::optional<at::Device> device, std::optional<bool>) {
  const c10::OptionalDeviceGuard guard(device);
  return empty_like_strided(sizes, strides, type.value_or(at::kFloat));
}

// The one kernel that sees tensors of two devices.
at::Tensor& copy_(at::Tensor& to, const at::Tensor& from, bool) {
  const auto here = [](const at::Tensor& tensor) { return tensor.is_cpu() ? tensor : on_cpu(tensor); };
  at::Tensor target = here(to);
  target.copy_(here(from));
  return to;
}

at::Tensor view(const at::Tensor& tensor, at::IntArrayRef sizes) { return at::native::view(tensor, sizes); }

TORCH_LIBRARY_IMPL(_, CUDA, library) { library.fallback(torch::CppFunction::makeFromBoxedFunction<&by_the_cpu>()); }

TORCH_LIBRARY_IMPL(aten, CUDA, library) {
  library.impl("empty.memory_format", &empty);
  library.impl("empty_strided", &empty_strided);
  library.impl("copy_", &copy_);
  library.impl("view", &view);
  library.impl("as_strided", TORCH_FN(at::native::as_strided_tensorimpl));
  library.impl("_reshape_alias", TORCH_FN(at::native::_reshape_alias));
  library.impl("unfold", TORCH_FN(at::native::unfold));
  library.impl("resize_", TORCH_FN(at::native::resize_));
  library.impl("set_.source_Tensor", TORCH_FN(at::native::set_tensor_));
  library.impl("set_.source_Storage_storage_offset", TORCH_FN(at::native::set_storage_cpu_));
  // These would look for kernels of CUDA's own by other ways than the dispatcher.
  for (const char* name : {"convolution", "convolution_backward", "_fused_sgd_", "_fused_adamw_"}) {
    library.impl(name, torch::CppFunction::makeFromBoxedFunction<&by_the_cpu>());
  }
}

}  // namespace

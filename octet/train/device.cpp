#include "octet/train/device.h"

#include <ATen/Context.h>
#include <ATen/core/grad_mode.h>
#include <c10/core/impl/DeviceGuardImplInterface.h>
#include <dlfcn.h>
#include <torch/headeronly/version.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <limits>

#include "octet/support/error.h"

namespace octet {
namespace {

constexpr const char* kDeviceFlag = "--device";
constexpr const char* kCudaLibrary = "libtorch_cuda.so";

// The folder that libtorch's part for the CPU was loaded from.
std::filesystem::path folder_of_libtorch() {
  Dl_info found{};
  const auto* inside = reinterpret_cast<const void*>(&at::globalContext);
  if (dladdr(inside, &found) == 0 || found.dli_fname == nullptr) return {};
  return std::filesystem::path(found.dli_fname).parent_path();
}

// Its kernels enter themselves as it is loaded; nothing of it is called by name.
void load_cuda() {
  if (c10::impl::hasDeviceGuardImpl(at::kCUDA)) return;
  if (dlopen(kCudaLibrary, RTLD_NOW | RTLD_GLOBAL) != nullptr) return;
  const std::string why = dlerror();
  if (!why.starts_with(kCudaLibrary)) {  // it is there, and what it needs is not
    throw Error(str(kDeviceFlag, " cuda"), octet::str(kCudaLibrary, " is there, but can't be loaded: ", why))
        .hint(octet::str("install NVIDIA's packages that this torch wants, beside it (pip install torch==",
                         TORCH_VERSION, "), or leave --device out"));
  }
  throw Error(str(kDeviceFlag, " cuda"),
              octet::str("expected ", kCudaLibrary, " beside libtorch ", TORCH_VERSION, " in ",
                         folder_of_libtorch().string(), ", which is of a build for the CPU alone"))
      .hint("build octet on a torch with CUDA (OCTET_TORCH_DIR, docs/training.md), or leave --device out");
}

const c10::impl::DeviceGuardImplInterface& cuda_devices() {
  load_cuda();
  if (!c10::impl::hasDeviceGuardImpl(at::kCUDA)) {
    throw Error(str(kDeviceFlag, " cuda"), octet::str(kCudaLibrary, " brings no devices"));
  }
  const c10::impl::DeviceGuardImplInterface& devices = *c10::impl::getDeviceGuardImpl(at::kCUDA);
  if (devices.deviceCount() == 0) {
    throw Error(str(kDeviceFlag, " cuda"), "expected a GPU that CUDA can use, found none")
        .hint("look at nvidia-smi (driver) and CUDA_VISIBLE_DEVICES, or leave --device out");
  }
  if (!at::globalContext().hasCUDA()) {
    throw Error(str(kDeviceFlag, " cuda"), octet::str("libtorch had looked for devices before ", kCudaLibrary,
                                                      " was loaded, and does not look again"))
        .hint("call ready_device before all else");
  }
  return devices;
}

// A step that makes a tensor from nothing, where it is told.
bool makes_anew(const Node& node) {
  const std::vector<c10::Argument>& arguments = node.op().schema().arguments();
  return std::none_of(arguments.begin(), arguments.end(), [](const c10::Argument& each) {
    return each.type()->isSubtypeOf(*c10::TensorType::get()) || each.type()->isSubtypeOf(*c10::ListType::ofTensors());
  });
}

}  // namespace

at::Device device_named(const std::string& text) {
  if (text == "cpu") return at::kCPU;
  if (text == "cuda") return at::kCUDA;
  constexpr std::string_view kNumbered = "cuda:";
  int number = -1;
  if (text.starts_with(kNumbered)) {
    const auto [end, failure] = std::from_chars(text.data() + kNumbered.size(), text.data() + text.size(), number);
    const bool is_number = failure == std::errc() && end == text.data() + text.size();
    if (!is_number || number > std::numeric_limits<c10::DeviceIndex>::max()) number = -1;
  }
  if (number < 0) {
    throw expected("", kDeviceFlag, "cpu, cuda or cuda:N", "'" + text + "'").as(ErrorCategory::kUsage);
  }
  return {at::kCUDA, static_cast<c10::DeviceIndex>(number)};
}

at::Device ready_device(const std::string& text, const std::optional<GroupAddress>& address) {
  at::Device device = device_named(text);
  if (device.is_cpu()) return device;
  if (address && device.has_index()) {
    throw Error(text, "several processes have a device each").hint("--device cuda").as(ErrorCategory::kUsage);
  }
  const c10::impl::DeviceGuardImplInterface& devices = cuda_devices();
  const int64_t number = address ? address->local_rank : (device.has_index() ? device.index() : 0);
  if (number >= devices.deviceCount()) {
    const std::string what = address ? "process of this machine" : "number";
    throw expected(str(kDeviceFlag, ' ', text), what,
                   octet::str("below ", static_cast<int64_t>(devices.deviceCount()), ", as many as there are GPUs"),
                   octet::str(number));
  }
  device.set_index(static_cast<c10::DeviceIndex>(number));
  devices.setDevice(device);
  return device;
}

at::Device device_of(const ModelHandle& model) {
  if (!model.parameters.empty()) return model.parameters.front().device();
  const auto all = state_of(model);
  return all.empty() ? at::Device(at::kCPU) : all.begin()->second.device();
}

OnDevice::OnDevice(std::shared_ptr<GraphModule> model, at::Device device) : model_(std::move(model)) {
  if (device.is_cpu()) return;
  is_away_ = true;
  for (Node* node : model_->graph().nodes()) {
    if (!node->is_call()) continue;
    const int place = node->op().argument_index("device");
    if (place < 0) continue;
    const auto argument = static_cast<size_t>(place);
    const Arg before = node->arg(argument);
    if (!before.is_constant() || (before.is_none() && !makes_anew(*node))) continue;
    literals_.push_back({node, argument, before});
    node->set_arg(argument, Arg(c10::IValue(device)));
  }
  const at::NoGradGuard no_grad;
  model_->to(device);
}

OnDevice::~OnDevice() {
  try {
    back();
  } catch (const std::exception&) {  // of a device that is lost: what threw before says so
  }
}

void OnDevice::back() {
  if (!is_away_) return;
  is_away_ = false;
  for (const Literal& literal : literals_) literal.node->set_arg(literal.argument, literal.before);
  const at::NoGradGuard no_grad;
  model_->to(at::kCPU);
}

}  // namespace octet

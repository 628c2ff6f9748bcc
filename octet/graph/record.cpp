#include "octet/graph/record.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/core/grad_mode.h>
#include <c10/core/impl/LocalDispatchKeySet.h>

#include "octet/graph/compose.h"
#include "octet/graph/recorder.h"
#include "octet/graph/state_guard.h"

namespace octet {
namespace {

// The generator as it was: recording in train mode draws for dropout.
class RandomGuard {
 public:
  RandomGuard() : state_(generator().get_state()) {}
  ~RandomGuard() { generator().set_state(state_); }
  RandomGuard(const RandomGuard&) = delete;
  RandomGuard& operator=(const RandomGuard&) = delete;

 private:
  static at::Generator generator() { return at::detail::getDefaultCPUGenerator(); }
  at::Tensor state_;
};

// Modes of a module and of all below it. Parents come first, so that a child's own mode has the last word.
class ModeGuard {
 public:
  ModeGuard(torch::nn::Module& module, std::optional<bool> train) {
    if (!train) return;
    modes_.emplace_back(&module, module.is_training());
    for (const auto& child : module.modules(/*include_self=*/false))
      modes_.emplace_back(child.get(), child->is_training());
    module.train(*train);
  }
  ~ModeGuard() {
    for (auto& [module, mode] : modes_) module->train(mode);
  }
  ModeGuard(const ModeGuard&) = delete;
  ModeGuard& operator=(const ModeGuard&) = delete;

 private:
  std::vector<std::pair<torch::nn::Module*, bool>> modes_;
};

}  // namespace

std::shared_ptr<GraphModule> record(const ForwardFunction& forward, const Tensors& sample_inputs,
                                    const std::vector<NamedTensor>& named, const ExportOptions& options) {
  if (!options.input_names.empty() && options.input_names.size() != sample_inputs.size()) {
    throw expected("export_module", "input names", std::to_string(sample_inputs.size()),
                   std::to_string(options.input_names.size()));
  }
  auto module = std::make_shared<GraphModule>();
  Recorder recorder(*module);
  std::vector<at::Tensor> state;
  for (const NamedTensor& tensor : named) {
    recorder.name(tensor);
    if (tensor.kind != AttrKind::kParameter && tensor.tensor.defined()) state.push_back(tensor.tensor);
  }
  Tensors inputs;
  for (size_t i = 0; i < sample_inputs.size(); ++i) {
    std::string name = sample_inputs.size() == 1 ? "x" : "x" + std::to_string(i);
    if (!options.input_names.empty()) name = options.input_names[i];
    if (!sample_inputs[i].defined()) throw Error("input '" + name + "'", "is given an undefined tensor");
    inputs.push_back(recorder.input(name, sample_inputs[i]));
  }
  Tensors results;
  {
    const at::NoGradGuard no_grad;
    const StateGuard keep_state(state);
    const RandomGuard keep_random;
    results = recorder.run(forward, inputs);
    recorder.finish(results);
  }
  compose_synonyms(*module);
  put_linears_together(*module);
  module->graph().eliminate_dead_code();
  module->verify();
  return module;
}

std::shared_ptr<GraphModule> export_module(torch::nn::Module& module, const ForwardFunction& forward,
                                           const Tensors& sample_inputs, const ExportOptions& options) {
  std::vector<NamedTensor> named;
  for (const auto& entry : module.named_parameters())
    named.push_back({entry.key(), entry.value(), AttrKind::kParameter});
  for (const auto& entry : module.named_buffers()) named.push_back({entry.key(), entry.value(), AttrKind::kBuffer});
  const ModeGuard modes(module, options.train);
  const bool training = module.is_training();
  auto program = record(forward, sample_inputs, named, options);
  program->torch::nn::Module::train(training);  // the nodes' flags are recorded already
  program->facts()["source"] = "C++ module " + module.name();
  return program;
}

}  // namespace octet

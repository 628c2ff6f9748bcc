#pragma once

#include <concepts>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "octet/graph/graph_module.h"
#include "octet/support/api.h"
#include "octet/support/error.h"

namespace octet {

struct ExportOptions {
  /// The mode to record in; the module's own where it is not set. The module gets its own modes back.
  std::optional<bool> train = {};
  /// Names of the inputs; "x" for a single one and "x0", "x1", ... for several where not given.
  std::vector<std::string> input_names = {};
};

using Tensors = std::vector<at::Tensor>;
using ForwardFunction = std::function<Tensors(const Tensors&)>;

/// A tensor that a recording knows by name.
struct NamedTensor {
  std::string name;
  at::Tensor tensor;
  AttrKind kind = AttrKind::kParameter;
};

/// Runs `forward` once on the sample inputs and writes down every operator that it dispatches, above autograd: whole
/// `aten.conv2d`, `aten.batch_norm`, `aten.dropout`, as torch.export's training dialect has them. `named` tensors
/// become copies under their names, several names of one tensor are tied; tensors that nobody named become constants.
/// Buffers and the random generator are left as they were. Throws octet::Error where control flow or shapes depend on
/// the values of tensors, which a recording would silently freeze.
OCTET_API std::shared_ptr<GraphModule> record(const ForwardFunction& forward, const Tensors& sample_inputs,
                                              const std::vector<NamedTensor>& named, const ExportOptions& options = {});

/// The same for a module: its parameters and buffers under their dotted names.
OCTET_API std::shared_ptr<GraphModule> export_module(torch::nn::Module& module, const ForwardFunction& forward,
                                                     const Tensors& sample_inputs, const ExportOptions& options = {});

namespace detail {

inline Tensors as_tensors(at::Tensor result) { return {std::move(result)}; }
inline Tensors as_tensors(Tensors results) { return results; }
template <typename... Results>
Tensors as_tensors(const std::tuple<Results...>& results) {
  return std::apply([](const auto&... each) { return Tensors{each...}; }, results);
}
template <typename A, typename B>
Tensors as_tensors(const std::pair<A, B>& results) {
  return {results.first, results.second};
}

/// Calls `forward` with as many tensors as there are inputs, or with the whole vector where it takes that.
template <typename Module>
Tensors call_forward(Module& module, const Tensors& in) {
  if constexpr (requires { as_tensors(module.forward(in[0])); }) {
    if (in.size() == 1) return as_tensors(module.forward(in[0]));
  }
  if constexpr (requires { as_tensors(module.forward(in[0], in[1])); }) {
    if (in.size() == 2) return as_tensors(module.forward(in[0], in[1]));
  }
  if constexpr (requires { as_tensors(module.forward(in[0], in[1], in[2])); }) {
    if (in.size() == 3) return as_tensors(module.forward(in[0], in[1], in[2]));
  }
  if constexpr (requires { as_tensors(module.forward(in)); }) return as_tensors(module.forward(in));
  throw Error("export_module", str("the module's forward does not take ", in.size(), " tensors"))
      .hint("give export_module a function that calls it");
}

}  // namespace detail

/// Any C++ module with a `forward` of tensors, giving a tensor, a tuple, a pair or a vector of them:
///
///     auto program = octet::export_module(*net, {at::randn({1, 3, 32, 32})}, {.train = false});
template <typename Module>
requires std::derived_from<Module, torch::nn::Module> std::shared_ptr<GraphModule> export_module(
    Module& module, const Tensors& sample_inputs, const ExportOptions& options = {}) {
  return export_module(
      module, [&module](const Tensors& inputs) { return detail::call_forward(module, inputs); }, sample_inputs,
      options);
}

/// The same for a `std::shared_ptr` of a module or a torch::nn::ModuleHolder (`torch::nn::Sequential net(...)`).
template <typename Holder>
requires requires(Holder holder) {
  { *holder } -> std::convertible_to<const torch::nn::Module&>;
}
std::shared_ptr<GraphModule> export_module(const Holder& module, const Tensors& sample_inputs,
                                           const ExportOptions& options = {}) {
  auto& held = const_cast<std::remove_cvref_t<decltype(*module)>&>(*module);
  return export_module(held, sample_inputs, options);
}

/// `t` with `addmm`, or `matmul` and `add_`, of a weight is `aten.linear`, as torch.nn.Linear exports it. `record` has
/// done it already.
OCTET_API void put_linears_together(GraphModule& module);

}  // namespace octet

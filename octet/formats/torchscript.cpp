#include "octet/formats/torchscript.h"

#include <torch/csrc/jit/api/module.h>
#include <torch/csrc/jit/runtime/interpreter.h>

#include <sstream>

#include "octet/formats/guard.h"
#include "octet/formats/script_archive.h"
#include "octet/formats/script_graph.h"
#include "octet/formats/script_numbers.h"
#include "octet/formats/zip.h"
#include "octet/graph/late_operators.h"
#include "octet/graph/libtorch_error.h"

namespace octet {
namespace {

// libtorch's messages hold code and backtraces. Of an interpreter's error the last line says what happened, of a
// reader's the first.
std::string one_line_of(const std::string& message, bool last) {
  std::istringstream lines(message);
  std::string line;
  std::string chosen;
  while (std::getline(lines, line)) {
    if (line.find_first_not_of(" \t\r~^") == std::string::npos) continue;
    if (chosen.empty() || last) chosen = line;
  }
  return chosen;
}

torch::jit::Module load(const std::string& path, const AllowedOperators& operators) {
  const auto source = open_file(path);
  if (!ZipReader::is_zip(*source)) throw Error(path, "cannot be read as TorchScript: is no zip archive");
  try {
    define_all_late_operators();  // libtorch asks the dispatcher itself
    check_script_numbers();
    return guard_loading(path, [&] { return read_script_archive(ZipReader(source), operators); });
  } catch (const Error&) {
    throw;
  } catch (const std::exception& error) {
    throw Error(path, "cannot be read as TorchScript: " + one_line_of(plain_message(error), false));
  }
}

void add_results(const c10::IValue& value, Tensors& results) {
  if (value.isTensor()) {
    results.push_back(value.toTensor());
  } else if (value.isTuple()) {
    for (const c10::IValue& element : value.toTupleRef().elements()) add_results(element, results);
  } else if (value.isList()) {
    for (const c10::IValue& element : value.toListRef()) add_results(element, results);
  } else if (value.isGenericDict()) {
    for (const auto& entry : value.toGenericDict()) add_results(entry.value(), results);
  } else if (!value.isNone()) {
    throw Error("forward", "gives a " + value.tagKind() + ", where only tensors can be results of a program");
  }
}

}  // namespace

std::shared_ptr<GraphModule> load_torchscript(const std::string& path, const Tensors& sample_inputs,
                                              const ExportOptions& options, const AllowedOperators& operators) {
  torch::jit::Module module = load(path, operators);
  const auto method = module.find_method("forward");
  if (!method) throw Error(path, "holds a module without a forward method");
  const size_t inputs = method->function().getSchema().arguments().size() - 1;
  if (sample_inputs.empty()) {
    throw Error(path, octet::str("is TorchScript, which does not say the shapes of its inputs; forward takes ", inputs))
        .hint("give a sample or the sizes of each input");
  }
  if (options.train) module.train(*options.train);
  std::vector<NamedTensor> named;
  for (const auto& parameter : module.named_parameters()) {
    named.push_back({parameter.name, parameter.value, AttrKind::kParameter});
  }
  for (const auto& buffer : module.named_buffers()) named.push_back({buffer.name, buffer.value, AttrKind::kBuffer});

  // The plain interpreter: a graph executor would fuse and rewrite what is to be recorded.
  const torch::jit::Code code(judged_script_graph(method->function(), operators, path), "forward");
  const auto forward = [&](const Tensors& in) {
    c10::Stack stack = {module._ivalue()};
    for (const at::Tensor& tensor : in) stack.emplace_back(tensor);
    method->function().getSchema().checkAndNormalizeInputs(stack);
    const ScriptBudget limits;
    torch::jit::InterpreterState(code).run(stack);
    Tensors results;
    for (const c10::IValue& value : stack) add_results(value, results);
    return results;
  };
  std::shared_ptr<GraphModule> program;
  try {
    program = record(forward, sample_inputs, named, options);
  } catch (const Error& error) {
    throw Error(path, error.what());
  } catch (const std::exception& error) {
    throw Error(path, "fails on the sample inputs: " + one_line_of(plain_message(error), true));
  }
  program->torch::nn::Module::train(module.hasattr("training") && module.is_training());
  program->facts()["source"] = "TorchScript";
  return program;
}

std::shared_ptr<GraphModule> load_torchscript_of_sizes(const std::string& path,
                                                       const std::vector<std::vector<int64_t>>& input_sizes,
                                                       const ExportOptions& options,
                                                       const AllowedOperators& operators) {
  Tensors samples;
  for (const auto& sizes : input_sizes) samples.push_back(at::zeros(sizes));
  return load_torchscript(path, samples, options, operators);
}

}  // namespace octet

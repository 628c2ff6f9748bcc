#include "octet/models/state_dict.h"

#include <ATen/core/grad_mode.h>
#include <torch/nn/module.h>

#include <unordered_map>
#include <unordered_set>

#include "octet/support/error.h"

namespace octet {
namespace {

constexpr size_t kNamesShown = 5;
constexpr const char* kCounter = "num_batches_tracked";

bool is_counter(const std::string& name) {
  const std::string tail = kCounter;
  return name.size() >= tail.size() && name.compare(name.size() - tail.size(), tail.size(), tail) == 0;
}

std::string list(const std::vector<std::string>& names) {
  std::string text;
  for (size_t i = 0; i < names.size() && i < kNamesShown; ++i) text += str(i == 0 ? "'" : ", '", names[i], "'");
  if (names.size() > kNamesShown) text += str(" and ", names.size() - kNamesShown, " more");
  return text;
}

}  // namespace

StateDict state_dict(const torch::nn::Module& module) {
  StateDict state;
  for (const auto& item : module.named_parameters()) state.emplace_back(item.key(), item.value());
  for (const auto& item : module.named_buffers()) state.emplace_back(item.key(), item.value());
  return state;
}

LoadReport load_state_dict(torch::nn::Module& module, const StateDict& state, bool strict, const std::string& where) {
  std::unordered_map<std::string, at::Tensor> own;
  for (auto& [name, tensor] : state_dict(module)) {
    if (tensor.defined()) own.emplace(name, tensor);
  }
  std::unordered_set<std::string> seen;
  LoadReport report;
  std::vector<std::string> misshaped;
  std::vector<std::pair<at::Tensor, at::Tensor>> copies;
  for (const auto& [name, tensor] : state) {
    if (!seen.insert(name).second) throw Error(where, str("'", name, "' is given twice"));
    auto found = own.find(name);
    if (found == own.end()) {
      report.unexpected.push_back(name);
    } else if (!tensor.defined()) {
      throw Error(where, str("'", name, "' holds no tensor"));
    } else if (tensor.sizes() != found->second.sizes()) {
      misshaped.push_back(octet::str("'", name, "' shape: expected ", found->second.sizes(), ", got ", tensor.sizes()));
    } else {
      copies.emplace_back(found->second, tensor);
    }
  }
  for (const auto& [name, tensor] : state_dict(module)) {
    if (tensor.defined() && seen.count(name) == 0 && !is_counter(name)) report.missing.push_back(name);
  }
  if (!misshaped.empty()) {
    std::string text;
    for (size_t i = 0; i < misshaped.size() && i < kNamesShown; ++i) text += (i == 0 ? "" : "; ") + misshaped[i];
    throw Error(where, text);
  }
  if (strict && (!report.missing.empty() || !report.unexpected.empty())) {
    std::string text;
    if (!report.missing.empty()) text += "missing " + list(report.missing);
    if (!report.unexpected.empty())
      text += (text.empty() ? "" : "; ") + std::string("unexpected ") + list(report.unexpected);
    throw Error(where, text);
  }
  at::NoGradGuard no_grad;
  for (auto& [target, source] : copies) target.copy_(source);
  return report;
}

StateDict with_own_last_layer(const torch::nn::Module& module, const StateDict& state) {
  const auto parameters = module.named_parameters();
  if (parameters.is_empty()) return state;
  const std::string& last = parameters.back().key();
  const std::string layer = last.substr(0, last.rfind('.') + 1);
  const auto is_of_it = [&](const std::string& name) { return name.starts_with(layer); };
  StateDict filled;
  for (const auto& item : state) {
    if (!is_of_it(item.first)) filled.push_back(item);
  }
  for (const auto& item : state_dict(module)) {
    if (is_of_it(item.first)) filled.push_back(item);
  }
  return filled;
}

}  // namespace octet

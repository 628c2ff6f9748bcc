#pragma once

#include <torch/nn/module.h>

#include <memory>
#include <string>
#include <unordered_set>
#include <utility>

#include "octet/support/api.h"

namespace octet {

/// A torch module whose tensors and children can be put and dropped by name; nested ones make dotted names.
class OCTET_API AttrTree : public torch::nn::Module {
 public:
  using torch::nn::Module::Module;

  void put_tensor(const std::string& leaf, const at::Tensor& value, bool is_parameter);
  void drop_tensor(const std::string& leaf);
  /// Many at once, in one walk.
  void drop_tensors(const std::unordered_set<std::string>& leaves);
  /// nullptr where there is none.
  at::Tensor* find_tensor(const std::string& leaf);
  void put_child(const std::string& leaf, std::shared_ptr<torch::nn::Module> module);
  void drop_children(const std::unordered_set<std::string>& leaves);
  /// The folder of a dotted name, made where missing, and the name's last part.
  std::pair<AttrTree*, std::string> walk(const std::string& dotted);
  /// True when it holds no tensor and no child.
  bool empty() const;
  /// Removes empty folders below.
  void prune();
};

}  // namespace octet

#pragma once

#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "octet/support/api.h"
#include "octet/targets/engine/table_quantizer.h"
#include "octet/targets/qnn/qconfig.h"

namespace octet {

/// ExecuTorch's QnnQuantizer for Qualcomm's HTP.
///
///     QnnQuantizer quantizer;
///     quantizer.set_default_quant_config({.quant_dtype = qnn::QuantDtype::use_16a8w, .is_conv_per_channel = true});
///     auto prepared = prepare(model, quantizer);
///
/// An operator takes its block size by its name, its config from the first predicate that holds for it, else the
/// default one. All configs must be for one mode.
class OCTET_API QnnQuantizer : public targets::TableQuantizer {
 public:
  using Predicate = std::function<bool(const Node&)>;

  /// With 8a8w per tensor, after training.
  QnnQuantizer();

  QnnQuantizer& set_default_quant_config(const qnn::ModuleQConfig& config);
  /// Operators by their name in the graph ("conv2d_1"), each with the sizes of its weight's blocks, (1, b, 1, 1) or
  /// (1, b): of four bits, on scales of four bits. Throws octet::Error for blocks along another dimension.
  QnnQuantizer& set_block_size_map(const std::map<std::string, std::vector<int64_t>>& sizes);
  /// Of predicates that hold for one operator, the first counts. Throws octet::Error for a config of the other mode.
  QnnQuantizer& set_submodule_qconfig_list(std::vector<std::pair<Predicate, qnn::ModuleQConfig>> configs);
  /// Nodes that stay in float, by their name in the graph; more than once: all of them.
  QnnQuantizer& add_discard_nodes(const std::vector<std::string>& names);
  /// Operators that stay in float, "aten.add.Tensor".
  QnnQuantizer& add_discard_ops(const std::vector<std::string>& ops);
  /// Called in order on the annotated graph; they may change its annotations (octet/quantize/spec.h).
  QnnQuantizer& add_custom_quant_annotations(std::vector<std::function<void(GraphModule&)>> annotations);

  void annotate(GraphModule& module) override;

 protected:
  const targets::QuantizationConfig* config_of(const Node& node) const override;

 private:
  void apply();
  void discard(const std::string& module, const std::string& op);

  qnn::ModuleQConfig config_;
  std::vector<targets::Override> discards_;
  std::vector<std::pair<Predicate, qnn::ModuleQConfig>> submodules_;
  std::map<std::string, int64_t> groups_;  // of a weight's blocks, by the name of the operator
  std::vector<std::function<void(GraphModule&)>> annotations_;
  mutable std::map<std::pair<size_t, int64_t>, targets::QuantizationConfig> made_;
};

namespace qnn {

/// Holds for operators of a module whose type's path has this text in it ("Conv2d").
OCTET_API QnnQuantizer::Predicate get_submodule_type_predicate(std::string type);
/// Holds for operators of a module whose dotted name has this text in it ("layers.0").
OCTET_API QnnQuantizer::Predicate get_submodule_name_predicate(std::string name);

}  // namespace qnn
}  // namespace octet

#pragma once

#include <c10/core/QScheme.h>
#include <c10/core/ScalarType.h>

#include <ATen/core/Tensor.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "octet/graph/notes.h"
#include "octet/support/api.h"

namespace octet {

class ObserverBase;

/// A scale and a zero point, per tensor (one element) or per channel (one per index of `ch_axis`).
struct QParams {
  at::Tensor scale;       ///< float32, shape [1], [channels] or the number of blocks along each dimension
  at::Tensor zero_point;  ///< int64, same shape
};

/// What an observer or fake quantizer is built from; a spec's own fields.
struct ObserverArgs {
  at::ScalarType dtype = at::kChar;
  std::optional<int64_t> quant_min;
  std::optional<int64_t> quant_max;
  at::QScheme qscheme = at::kPerTensorAffine;
  int64_t ch_axis = 0;
  bool is_dynamic = false;
  std::optional<int64_t> zero_point = {};
  std::vector<int64_t> block_size = {};
};

/// Makes an observer or a fake quantizer for a spec. Compared and printed by name ("HistogramObserver(eps=2^-12)").
struct ObserverFactory {
  std::string name;
  std::function<std::shared_ptr<ObserverBase>(const ObserverArgs&)> make;
  bool operator==(const ObserverFactory& other) const { return name == other.name; }
};

/// A place in the graph that a spec stands for: a node's output, or the edge from a producer into a consumer. Ordered
/// by the ids of its nodes.
struct OCTET_API EdgeOrNode {
  NodeRef node;      ///< the producer, or the node whose output is meant
  NodeRef consumer;  ///< null for an output
  EdgeOrNode() = default;
  EdgeOrNode(Node* output) : node(output) {}
  EdgeOrNode(Node* producer, Node* reader) : node(producer), consumer(reader) {}
  bool operator==(const EdgeOrNode& other) const {
    const bool same_nodes = node == other.node && consumer == other.consumer;
    return same_nodes && node.id() == other.node.id() && consumer.id() == other.consumer.id();
  }
  bool operator<(const EdgeOrNode& other) const {
    return std::pair(node.id(), consumer.id()) < std::pair(other.node.id(), other.consumer.id());
  }
  std::string text() const;
};

/// A fresh observer or fake quantizer from `observer_or_fake_quant`.
struct QuantizationSpec {
  at::ScalarType dtype = at::kChar;
  ObserverFactory observer_or_fake_quant;
  std::optional<int64_t> quant_min;
  std::optional<int64_t> quant_max;
  at::QScheme qscheme = at::kPerTensorAffine;
  std::optional<int64_t> ch_axis;
  bool is_dynamic = false;
  /// Of a symmetric grid, in place of the dtype's own (symmetric_zero_point()).
  std::optional<int64_t> zero_point = {};
  /// Places whose observers take over the range that this one has found, at every run: what a concatenation reads.
  std::vector<EdgeOrNode> followers = {};
  /// A grid for each block of this shape, one size a dimension, in row-major order of the blocks; empty: none.
  /// `qscheme` is then a per-tensor one, and says what each block has. Dynamic: 1s and the last size, a grid for each
  /// token.
  std::vector<int64_t> block_size = {};
  bool operator==(const QuantizationSpec&) const = default;
};

/// Scale and zero point known beforehand (sigmoid: 1/256, -128).
struct FixedQParamsQuantizationSpec {
  at::ScalarType dtype = at::kChar;
  double scale = 1.0;
  int64_t zero_point = 0;
  std::optional<int64_t> quant_min;
  std::optional<int64_t> quant_max;
  at::QScheme qscheme = at::kPerTensorAffine;
  bool is_dynamic = false;
  bool operator==(const FixedQParamsQuantizationSpec&) const = default;
};

/// The same observer as another edge or output.
struct SharedQuantizationSpec {
  EdgeOrNode edge_or_node;
  bool operator==(const SharedQuantizationSpec&) const = default;
};

/// Parameters computed from other observers: a bias' scale is the input's times the weight's.
struct DerivedQuantizationSpec {
  std::vector<EdgeOrNode> derived_from;
  /// Named for comparison and printing ("bias = input * weight").
  std::string derive_name;
  std::function<QParams(const std::vector<QParams>&)> derive_qparams;
  at::ScalarType dtype = at::kInt;
  std::optional<int64_t> quant_min;
  std::optional<int64_t> quant_max;
  at::QScheme qscheme = at::kPerTensorAffine;
  std::optional<int64_t> ch_axis;
  bool operator==(const DerivedQuantizationSpec& other) const {
    return derived_from == other.derived_from && derive_name == other.derive_name && dtype == other.dtype &&
           quant_min == other.quant_min && quant_max == other.quant_max && qscheme == other.qscheme &&
           ch_axis == other.ch_axis;
  }
};

using AnySpec =
    std::variant<QuantizationSpec, FixedQParamsQuantizationSpec, SharedQuantizationSpec, DerivedQuantizationSpec>;

/// Throws octet::Error naming the field: quant_min above quant_max, a range outside the dtype, ch_axis below 0 or
/// missing for a per-channel scheme, a scale that is not positive, a zero point outside the range.
OCTET_API void validate(const AnySpec& spec, const std::string& where);
OCTET_API std::string text(const AnySpec& spec);

/// What a quantizer decides for one node; lives in its notes under kAnnotationKey. What it names of a graph becomes the
/// copy's when the graph is copied.
struct OCTET_API QuantizationAnnotation {
  /// Spec of each input edge by producer, in the order given (convolutions: input, weight, bias).
  std::vector<std::pair<NodeRef, AnySpec>> input_qspec_map;
  std::optional<AnySpec> output_qspec;
  /// False: edges into this node take no part in implicit sharing.
  bool allow_implicit_sharing = true;
  /// In training: whether the BatchNorm that alone reads this product is trained as one with it. nullopt: as the
  /// quantizer says of all (Quantizer::joins_batch_norms).
  std::optional<bool> joins_batch_norm;
  /// The grid of a value that such nodes alone read may leave out what they flatten (Reading::kRelu to kTanh).
  bool narrows_inputs = false;
  /// Set once a quantizer has decided about the node.
  bool annotated = false;

  const AnySpec* input(const Node* producer) const;
  void set_input(Node* producer, AnySpec spec);
  void remap(const NodeMap& copies);
};

inline const NoteKey<QuantizationAnnotation> kAnnotationKey("quantization_annotation");

/// Calls `visit` for every place that a spec names: anchors of shared specs, sources of derived ones.
OCTET_API void for_each_place(AnySpec& spec, const std::function<void(EdgeOrNode&)>& visit);

/// The node's annotation, or nullptr.
OCTET_API QuantizationAnnotation* annotation(Node& node);
OCTET_API const QuantizationAnnotation* annotation(const Node& node);
/// The node's annotation, made where missing.
OCTET_API QuantizationAnnotation& ensure_annotation(Node& node);
OCTET_API bool is_annotated(const Node& node);

}  // namespace octet

#include "octet/quantize/quantizer.h"

#include "octet/graph/graph_module.h"
#include "octet/support/error.h"

namespace octet {
namespace {

struct Noted {
  std::string where;
  QuantizationAnnotation annotation;
};
using Snapshot = std::map<int64_t, Noted>;  // by the node's id

Snapshot annotations(GraphModule& module) {
  Snapshot all;
  for (Node* node : module.graph().nodes()) {
    if (const QuantizationAnnotation* present = annotation(*node))
      all.emplace(node->id(), Noted{node->where(), *present});
  }
  return all;
}

// What an earlier quantizer decided must still stand; adding to it is allowed.
void check_kept(const Snapshot& before, const Snapshot& after, size_t child) {
  const auto fail = [&](const Noted& noted, const std::string& what) {
    throw Error(noted.where, octet::str("quantizer ", child + 1, " of the composition ", what))
        .hint("annotate only nodes that are not annotated yet: check is_annotated(node)");
  };
  for (const auto& [id, noted] : before) {
    const QuantizationAnnotation& earlier = noted.annotation;
    const auto found = after.find(id);
    if (found == after.end()) fail(noted, "removed the annotation of an earlier one");
    const QuantizationAnnotation& later = found->second.annotation;
    if (earlier.annotated && !later.annotated) fail(noted, "unmarked the annotation of an earlier one");
    if (earlier.annotated && earlier.allow_implicit_sharing != later.allow_implicit_sharing) {
      fail(noted, "replaced the sharing rule of an earlier one");
    }
    if (earlier.output_qspec && earlier.output_qspec != later.output_qspec) {
      fail(noted, octet::str("replaced the output spec of an earlier one: ", text(*earlier.output_qspec)));
    }
    for (const auto& [producer, spec] : earlier.input_qspec_map) {
      const AnySpec* present = later.input(producer);
      if (present == nullptr || !(*present == spec)) {
        fail(noted, octet::str("replaced the spec of input '", producer->name(), "' of an earlier one: ", text(spec)));
      }
    }
  }
}

}  // namespace

const char* text(QuantizationMode mode) {
  return mode == QuantizationMode::kQat ? "quantization-aware" : "post-training";
}

ComposableQuantizer::ComposableQuantizer(std::vector<std::shared_ptr<Quantizer>> quantizers)
    : quantizers_(std::move(quantizers)) {
  for (const auto& quantizer : quantizers_) {
    if (!quantizer) throw Error("ComposableQuantizer", "a quantizer is null");
    const auto mode = quantizer->mode();
    if (mode && mode_ && *mode != *mode_) {
      throw Error("ComposableQuantizer", octet::str("one quantizer is ", text(*mode_), ", another ", text(*mode)))
          .hint("make all of them for one mode");
    }
    if (mode) mode_ = mode;
  }
}

bool ComposableQuantizer::folds_batch_norms() const {
  return std::all_of(quantizers_.begin(), quantizers_.end(),
                     [](const auto& quantizer) { return quantizer->folds_batch_norms(); });
}

bool ComposableQuantizer::rounds_folded_biases() const {
  return std::all_of(quantizers_.begin(), quantizers_.end(),
                     [](const auto& quantizer) { return quantizer->rounds_folded_biases(); });
}

bool ComposableQuantizer::joins_batch_norms() const {
  return std::all_of(quantizers_.begin(), quantizers_.end(),
                     [](const auto& quantizer) { return quantizer->joins_batch_norms(); });
}

void ComposableQuantizer::transform_converted(GraphModule& module) {
  for (const auto& quantizer : quantizers_) quantizer->transform_converted(module);
}

void ComposableQuantizer::transform_for_annotation(GraphModule& module) {
  for (const auto& quantizer : quantizers_) quantizer->transform_for_annotation(module);
}

void ComposableQuantizer::annotate(GraphModule& module) {
  Snapshot before = annotations(module);
  for (size_t child = 0; child < quantizers_.size(); ++child) {
    quantizers_[child]->annotate(module);
    Snapshot after = annotations(module);
    check_kept(before, after, child);
    before = std::move(after);
  }
}

void ComposableQuantizer::validate(GraphModule& module) {
  for (const auto& quantizer : quantizers_) quantizer->validate(module);
}

}  // namespace octet

#pragma once

#include <map>
#include <string>
#include <vector>

#include "octet/graph/graph_module.h"
#include "octet/support/api.h"
#include "octet/targets/engine/target.h"

namespace octet::targets {

/// What a form that brings more onto the accelerator may cost, in dB of the results' signal to noise.
inline constexpr double kMostLossDb = 1.0;

/// How settings that samples decide (Setting::weighed) were decided, and on what grounds.
struct Weighing {
  struct OCTET_API Candidate {
    std::map<std::string, std::string> settings;  ///< of those that were weighed
    double sqnr_db = 0.0;                         ///< of the worst result, over all samples that were looked at
    int64_t partitions = 0;
    int64_t on_cpu = 0;
    std::string text() const;  ///< "norms integer, gelu tanh"
  };
  QuantizerOptions options;           ///< with every setting decided
  std::vector<Candidate> candidates;  ///< that were tried, the exact one first; empty: the model has nothing to weigh
  size_t chosen = 0;                  ///< of them
};

/// Decides the settings of `options` that are kWeighed: quantizes the model with the exact forms and with the others,
/// and takes the fewest partitions that cost at most kMostLossDb and save a quarter of the partitions or of what is on
/// the CPU. Where there are two samples or more, the one half calibrates and the other is looked at, so that ranges
/// that happen to fit count for nothing; of eight or fewer each half in turn. `samples` of the model's own batch, one
/// tensor an input; a few dozen will do, since each candidate runs all of them. The model stays as it is. Without
/// samples, and where none of the settings changes the model, the exact forms are taken; others that cannot be
/// quantized are left out. Throws octet::Error where the model cannot be quantized in its exact form.
OCTET_API Weighing weigh_settings(const GraphModule& model, const std::vector<std::vector<at::Tensor>>& samples,
                                  const QuantizerOptions& options, const std::shared_ptr<const Target>& target);

/// The options completed, each setting that is kWeighed in the form that brings more of this model onto the
/// accelerator.
OCTET_API QuantizerOptions in_whole_form(const GraphModule& model, const QuantizerOptions& options,
                                         const std::shared_ptr<const Target>& target);

}  // namespace octet::targets

#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "octet/quantize/value_study.h"
#include "octet/report/diagnosis.h"
#include "octet/support/api.h"
#include "octet/targets/engine/placement/check.h"
#include "octet/train/evaluate.h"
#include "octet/train/train_state.h"

namespace octet::report {

/// Where the true share may lie, of `share` found in `samples`: Wilson's score interval, of 95 % by default (Wilson
/// 1927). {0, 1} of no samples.
struct Interval {
  double low = 0, high = 1;
};
OCTET_API Interval wilson_interval(double share, int64_t samples, double z = 1.959964);

/// Which of the placed operators reads which: by their numbers in Placement::operators, producer first.
using Edges = std::vector<std::pair<size_t, size_t>>;

/// What a run, or a model, is worth, as one page that needs nothing besides itself: no network, no script. What is not
/// known is left out.
struct OCTET_API Page {
  /// A model on some data.
  struct Measured {
    std::string name;        ///< "float", "PTQ", "QAT"
    std::string arithmetic;  ///< "float", "integers"
    Evaluation found;
  };
  /// A number of its own at the top: {"on the NPU", "99.1 %"}.
  using Fact = std::pair<std::string, std::string>;

  std::string title;
  std::string what;  ///< a sentence below it
  std::vector<Fact> key_facts;
  std::vector<Measured> measured;
  std::string measured_on;  ///< the data
  std::optional<TrainResult> training;
  std::string noise_beside;  ///< a sentence: what the noise below is measured beside, where that is not the float model
  std::vector<double> output_sqnr_db;
  std::vector<LayerDiagnosis> layers;  ///< worst first
  std::vector<ValueStudy> values;
  std::vector<targets::Warning> warnings;
  std::optional<targets::Check> check;
  Edges edges;
  std::vector<int64_t> alive_bytes;  ///< at each operator of the integer program
  std::string config;                ///< JSON text
  std::vector<Fact> facts;           ///< versions, seeds, files

  std::string html() const;
};

}  // namespace octet::report

#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>

#include "octet/support/api.h"
#include "octet/train/evaluate.h"
#include "octet/train/train_state.h"

namespace octet::report {

/// What a model is worth on some data.
struct OCTET_API EvaluationReport {
  std::string model;
  std::string arithmetic;  ///< "float", "integers"
  std::string data;
  Evaluation found;
  int64_t left_out = 0;  ///< files that could not be read

  std::string text() const;
  nlohmann::ordered_json json() const;
};

/// A training: its epochs, and what the model that was written is worth.
struct OCTET_API TrainingReport {
  std::string output;
  bool is_qat = false;
  TrainResult training;
  std::optional<Evaluation> evaluation;  ///< of the model in `output`
  int64_t peak_bytes = 0;                ///< of memory that the process held at some time; 0: not known
  int64_t left_out = 0;                  ///< files that could not be read

  std::string text() const;
  nlohmann::ordered_json json() const;
};

/// Models that came of one recipe, beside one another.
struct OCTET_API DemoReport {
  struct Row {
    std::string name;
    Evaluation found;  ///< an int8 model's in integers
    std::optional<Evaluation> fake_quantized;
    int64_t bytes = 0;
    double seconds = 0;  ///< to make it
  };
  /// A mode of a target, after training and in training.
  struct TargetRow {
    std::string target;
    std::string mode;  ///< that after training: "static-per-channel"
    double ptq = 0;    ///< top-1
    std::optional<double> qat;
    bool in_integers = false;  ///< measured as the device computes; else in float on the target's grids
  };
  std::string model;
  std::string data;
  uint64_t seed = 0;
  double seconds = 0;
  std::vector<Row> rows;  ///< the float model's first
  std::vector<TargetRow> targets = {};

  std::string text() const;
  nlohmann::ordered_json json() const;
};

}  // namespace octet::report

#pragma once

#include <map>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "octet/formats/tflite.h"
#include "octet/graph/graph_module.h"
#include "octet/integer/memory_plan.h"
#include "octet/quantize/rows.h"
#include "octet/support/api.h"
#include "octet/targets/engine/placement/warnings.h"

namespace octet::report {

/// A value that goes into a model, or comes out.
struct Value {
  std::string name;
  std::string dtype;  ///< empty where it is not known, as the shape then
  std::vector<int64_t> shape;
};

/// What a model is: its inputs, results, operators and sizes; of a quantized one a row an operator with its grids.
struct OCTET_API ModelReport {
  std::map<std::string, std::string> facts;
  std::vector<Value> inputs, outputs;
  int64_t parameters = 0;
  int64_t bytes = 0;  ///< of parameters, buffers and constants
  int64_t macs = 0;
  std::map<std::string, int64_t> op_counts;
  std::optional<std::vector<QuantRow>> rows;  ///< of a quantized model

  std::string text() const;
  /// Of a quantized model its rows alone.
  nlohmann::ordered_json json() const;
};
OCTET_API ModelReport model_report(const GraphModule& module);

/// The models that are built by name.
struct OCTET_API KnownModelsReport {
  struct Model {
    std::string name;
    std::vector<int64_t> input;  ///< one sample, the batch with it
    int64_t parameters = 0;
    int64_t macs = 0;
    std::string purpose;
    std::string state_dict;  ///< whose names
    std::vector<std::string> options;
  };
  std::vector<Model> models;
  std::vector<std::string> names;  ///< with the endings that they may have

  std::string text() const;
  nlohmann::ordered_json json() const;
};

/// What an int8 program is: inputs, results, a row an operator with its grids, memory.
struct OCTET_API ProgramReport {
  tflite::Model program;
  integer::MemoryPlan memory;

  std::string text() const;
  nlohmann::ordered_json json() const;
};

/// What quantizing a model gave.
struct OCTET_API QuantizationReport {
  std::string output;
  std::string target;
  int64_t operators = 0;
  int64_t in_float = 0;  ///< of these
  int64_t float_bytes = 0;
  int64_t bytes = 0;
  std::vector<targets::Warning> warnings = {};  ///< in JSON alone; the log says them to people

  std::string text() const;
  nlohmann::ordered_json json() const;
};

/// The files that an export wrote.
struct OCTET_API ExportReport {
  struct Program {
    std::string path;
    int64_t operators = 0;
    int64_t in_float = 0;  ///< of these
    integer::MemoryPlan memory;
  };
  struct Pt2 {
    std::string path;
    std::string layout;
  };
  struct Encodings {
    std::string path;
    int64_t count = 0;
  };
  std::optional<Program> tflite;
  std::optional<Pt2> pt2;
  std::optional<Encodings> encodings;
  std::vector<std::string> overlays;  ///< of Model Explorer, paths

  std::string text() const;
  nlohmann::ordered_json json() const;
};

}  // namespace octet::report

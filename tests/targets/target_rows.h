#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tests/support/golden_rows.h"

namespace octet::test {

/// How far a grid may stand from the recorded one; tests/data/golden/targets/README.md says why.
struct GridTolerance {
  double activation_scale = 2e-3;  ///< relative
  double activation_steps = 1;     ///< of the zero point
  double weight_scale = 1e-5;
  /// Of a histogram's range search: one grid may come from another bin, where a float convolution's last bit depends on
  /// instruction set and threads (tests/support/golden_rows.h).
  bool one_flip = false;
};

/// Rows of quantization against recorded ones, both as JSON (tests/data/golden/targets/README.md): a line a difference.
class TargetRows : RowDifferences {
 public:
  static std::vector<std::string> differences(const Json& got, const Json& wanted, const GridTolerance& tolerance) {
    TargetRows comparison(tolerance);
    comparison.compare_rows(got, wanted);
    return comparison.found_;
  }

 private:
  enum class Kind { kActivation, kWeight, kBias };

  explicit TargetRows(const GridTolerance& tolerance) : RowDifferences(tolerance.one_flip), tolerance_(tolerance) {}

  void compare_rows(const Json& got, const Json& wanted) {
    if (!same(got.size(), wanted.size(), "number of rows")) return;
    for (size_t i = 0; i < wanted.size(); ++i) {
      const std::string op = wanted[i].at("op");
      const std::string where = "row " + std::to_string(i) + ", " + op;
      if (!same(got[i].at("op"), op, where)) return;
      compare_list(got[i], wanted[i], "inputs", op, where);
      compare_grid(got[i].at("output"), wanted[i].at("output"), Kind::kActivation, where + ", output");
      compare_list(got[i], wanted[i], "outputs", op, where);
      compare_list(got[i], wanted[i], "then", op, where);
    }
  }

  void compare_list(const Json& got, const Json& wanted, const std::string& key, const std::string& op,
                    const std::string& where) {
    const Json none = Json::array();
    const Json have = got.value(key, none), want = wanted.value(key, none);
    if (!same(have.size(), want.size(), where + ", " + key)) return;
    for (size_t i = 0; i < want.size(); ++i) {
      compare_grid(have[i], want[i], key == "inputs" ? kind(op, i, want[i]) : Kind::kActivation,
                   where + ", " + key + " " + std::to_string(i));
    }
  }

  static Kind kind(const std::string& op, size_t input, const Json& grid) {
    const bool weighted = op.find("conv") != std::string::npos || op == "aten.linear.default";
    if (!weighted || grid.is_null()) return Kind::kActivation;
    return input == 1 ? Kind::kWeight : input == 2 ? Kind::kBias : Kind::kActivation;
  }

  void compare_grid(const Json& got, const Json& wanted, Kind kind, const std::string& where) {
    if (!same(got.is_null(), wanted.is_null(), where + " in float") || wanted.is_null()) return;
    for (const auto& [key, value] : wanted.items()) {
      if (key == "scale" || key == "zero_point") continue;
      const Json have = got.value(key, Json());
      if (key != "eps" || !have.is_number()) {
        same(have, value, where + ", " + key);
      } else {
        near(have, value, 1e-6 * value.get<double>(), where + ", eps");
      }
    }
    if (!wanted.contains("scale")) return;
    const double part = kind == Kind::kWeight ? tolerance_.weight_scale
                        : kind == Kind::kBias ? 2 * tolerance_.activation_scale
                                              : tolerance_.activation_scale;
    const double steps = kind == Kind::kActivation ? tolerance_.activation_steps : 0;
    compare_values(got, wanted, part, steps, kind == Kind::kActivation, where);
  }

  GridTolerance tolerance_;
};

}  // namespace octet::test

#pragma once

#include <cmath>
#include <nlohmann/json.hpp>
#include <set>
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
class TargetRows {
 public:
  using Json = nlohmann::ordered_json;

  static std::vector<std::string> differences(const Json& got, const Json& wanted, const GridTolerance& tolerance) {
    TargetRows comparison(tolerance);
    comparison.compare_rows(got, wanted);
    return comparison.found_;
  }

 private:
  enum class Kind { kActivation, kWeight, kBias };

  explicit TargetRows(const GridTolerance& tolerance) : tolerance_(tolerance) {}

  bool same(const Json& got, const Json& wanted, const std::string& where) {
    if (got == wanted) return true;
    found_.push_back(where + ": expected " + wanted.dump() + ", got " + got.dump());
    return false;
  }

  bool near(double got, double wanted, double tolerance, const std::string& where) {
    if (std::abs(got - wanted) <= tolerance) return true;
    found_.push_back(where + ": expected " + std::to_string(wanted) + " +- " + std::to_string(tolerance) + ", got " +
                     std::to_string(got));
    return false;
  }

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
    if (!got.contains("scale")) return found_.push_back(where + ": expected a scale, got " + got.dump());
    const std::vector<double> scales = got.at("scale"), wanted_scales = wanted.at("scale");
    const std::vector<double> zeros = got.at("zero_point"), wanted_zeros = wanted.at("zero_point");
    if (!same(scales.size(), wanted_scales.size(), where + ", scales")) return;
    if (!same(zeros.size(), wanted_zeros.size(), where + ", zero points")) return;
    const double part = kind == Kind::kWeight ? tolerance_.weight_scale
                        : kind == Kind::kBias ? 2 * tolerance_.activation_scale
                                              : tolerance_.activation_scale;
    const double steps = kind == Kind::kActivation ? tolerance_.activation_steps : 0;
    if (kind == Kind::kActivation && std::abs(scales[0] / wanted_scales[0] - 1) > part &&
        is_the_flip(wanted_scales[0])) {
      const std::string moved = flipped_range_difference(got, wanted);
      if (!moved.empty()) found_.push_back(where + ", another bin" + moved);
      return;
    }
    for (size_t c = 0; c < scales.size(); ++c) {
      const std::string channel = " " + std::to_string(c);
      const bool is_near = near(scales[c], wanted_scales[c], part * wanted_scales[c], where + ", scale" + channel) &&
                           near(zeros[c], wanted_zeros[c], steps, where + ", zero point" + channel);
      if (!is_near) return;  // one channel says it
    }
  }

  // Many edges may have the one grid.
  bool is_the_flip(double wanted_scale) {
    if (!tolerance_.one_flip) return false;
    flipped_.insert(wanted_scale);
    return flipped_.size() == 1;
  }

  GridTolerance tolerance_;
  std::set<double> flipped_;
  std::vector<std::string> found_;
};

}  // namespace octet::test

#pragma once

#include <cmath>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

namespace octet::test {

/// How far rows may stand from recorded ones; tests/data/golden/README.md says why.
struct RowTolerance {
  bool is_qat = false;
  /// Of scales that come from no data that differs: weights and fixed grids.
  double exact = 1e-6;
  /// One grid may come from another bin of its histogram.
  bool one_flip = false;
};

/// The histogram's range search stops at the first increase of its error: the last bit of one activation, which depends
/// on instruction set and threads of the float convolution, moves one end of a range by up to 6e-3 of it. Empty where
/// two grids differ by no more: the other end is where it was, as near as two rounded zero points say it; an end at
/// zero can't move. Else what differs.
inline std::string flipped_range_difference(const nlohmann::ordered_json& got, const nlohmann::ordered_json& wanted) {
  constexpr double kLargestFlip = 6e-3;
  const double scale = got.at("scale")[0], wanted_scale = wanted.at("scale")[0];
  if (std::abs(scale - wanted_scale) > kLargestFlip * wanted_scale) {
    return ": scale " + wanted.at("scale").dump() + " to " + got.at("scale").dump();
  }
  const double zero = got.at("zero_point")[0], wanted_zero = wanted.at("zero_point")[0];
  double moved_least = INFINITY;
  for (const char* end : {"quant_min", "quant_max"}) {
    const double level = wanted.at(end);
    if (wanted_zero == level) return zero == level ? "" : ": the end at zero moved";
    moved_least = std::min(moved_least, std::abs((level - zero) * scale - (level - wanted_zero) * wanted_scale));
  }
  if (moved_least <= wanted_scale) return "";
  return ": both ends of the range moved, zero point " + wanted.at("zero_point").dump() + " to " +
         got.at("zero_point").dump();
}

/// What two comparisons of rows ask of a row's parts; collects a line a difference.
class RowDifferences {
 public:
  using Json = nlohmann::ordered_json;

 protected:
  /// `one_flip`: one grid may come from another bin of its histogram (`flipped_range_difference`).
  explicit RowDifferences(bool one_flip) : one_flip_(one_flip) {}

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

  /// Scales within a relative `part`, zero points within `steps`: of every channel, up to the first that is not.
  void compare_values(const Json& got, const Json& wanted, double part, double steps, bool may_flip,
                      const std::string& where) {
    if (!got.contains("scale")) return found_.push_back(where + ": expected a scale, got " + got.dump());
    const std::vector<double> scales = got.at("scale"), wanted_scales = wanted.at("scale");
    const std::vector<double> zeros = got.at("zero_point"), wanted_zeros = wanted.at("zero_point");
    if (!same(scales.size(), wanted_scales.size(), where + ", scales")) return;
    if (!same(zeros.size(), wanted_zeros.size(), where + ", zero points")) return;
    if (may_flip && std::abs(scales[0] / wanted_scales[0] - 1) > part && is_the_flip(wanted_scales[0])) {
      const std::string moved = flipped_range_difference(got, wanted);
      if (!moved.empty()) found_.push_back(where + ", another bin" + moved);
      return;
    }
    for (size_t c = 0; c < scales.size(); ++c) {
      const std::string channel = scales.size() == 1 ? "" : " " + std::to_string(c);
      const bool is_near = near(scales[c], wanted_scales[c], part * wanted_scales[c], where + ", scale" + channel) &&
                           near(zeros[c], wanted_zeros[c], steps, where + ", zero point" + channel);
      if (!is_near) return;
    }
  }

  std::vector<std::string> found_;

 private:
  // Many edges may have the one grid.
  bool is_the_flip(double wanted_scale) {
    if (!one_flip_) return false;
    flipped_.insert(wanted_scale);
    return flipped_.size() == 1;
  }

  bool one_flip_;
  std::set<double> flipped_;
};

/// Recorded rows of quantization against those that a program has, both as JSON (tests/data/golden/README.md): a line a
/// difference.
class RowComparison : RowDifferences {
 public:
  static std::vector<std::string> differences(const Json& got, const Json& wanted, const RowTolerance& tolerance) {
    RowComparison comparison(tolerance);
    comparison.compare_rows(got, wanted);
    return comparison.found_;
  }

 private:
  explicit RowComparison(const RowTolerance& tolerance) : RowDifferences(tolerance.one_flip), tolerance_(tolerance) {}

  void compare_rows(const Json& got, const Json& wanted) {
    if (!same(got.size(), wanted.size(), "number of rows")) return;
    for (size_t i = 0; i < wanted.size(); ++i) {
      const std::string op = wanted[i].at("op");
      const std::string where = "row " + std::to_string(i) + ", " + op;
      if (!same(got[i].at("op"), op, where)) return;
      const Json& inputs = wanted[i].at("inputs");
      if (!same(got[i].at("inputs").size(), inputs.size(), where + ", inputs")) continue;
      for (size_t j = 0; j < inputs.size(); ++j) {
        compare_grids(got[i].at("inputs")[j], inputs[j], op, where + ", input " + std::to_string(j));
      }
      compare_grids(got[i].at("output"), wanted[i].at("output"), op, where + ", output");
    }
  }

  void compare_grids(const Json& got, const Json& wanted, const std::string& op, const std::string& where) {
    if (!same(got.is_null(), wanted.is_null(), where + " in float") || wanted.is_null()) return;
    for (const char* key : {"dtype", "quant_min", "quant_max"}) same(got.at(key), wanted.at(key), where + ", " + key);
    same(got.value("axis", Json()), wanted.value("axis", Json()), where + ", axis");
    const bool is_bias = wanted.at("dtype") == "int32";
    const bool is_exact = wanted.at("quant_min") == -127 && wanted.at("dtype") == "int8" && op != "aten.bmm.default";
    const double part = is_exact ? tolerance_.exact : is_bias || tolerance_.is_qat ? 1e-2 : 2e-3;
    const double steps = is_exact || is_bias ? 0 : tolerance_.is_qat ? 2 : 1;
    compare_values(got, wanted, part, steps, !is_exact && !is_bias, where);
  }

  RowTolerance tolerance_;
};

/// The lines of `RowComparison::differences`, for a message.
inline std::string joined(const std::vector<std::string>& lines) {
  std::string text;
  for (const std::string& line : lines) text += line + '\n';
  return text;
}

}  // namespace octet::test

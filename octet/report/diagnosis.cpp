#include "octet/report/diagnosis.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "octet/report/numbers.h"
#include "octet/support/error.h"

namespace octet::report {
namespace {

constexpr double kGood = 30;         // dB from which nothing needs a cause
constexpr double kCut = 0.001;       // share of a value beyond its grid
constexpr double kStretched = 3;     // the range beside what the middle of the elements takes
constexpr double kFewLevels = 48;    // of 256
constexpr double kShifted = 0.5;     // mean error beside its root mean square
constexpr double kSaturated = 0.02;  // share of weights at the ends

std::string percent(double share) { return fixed(100 * share, share < 0.01 ? 2 : 1) + " %"; }

const ValueStudy* find(const std::vector<ValueStudy>& studies, const std::string& name, bool is_weight) {
  const auto found = std::find_if(studies.begin(), studies.end(), [&](const ValueStudy& each) {
    return each.is_weight == is_weight && each.name == name;
  });
  return found == studies.end() ? nullptr : &*found;
}

// What the numbers of the value and the weight show; false where they show nothing.
bool by_numbers(LayerDiagnosis& layer, const ValueLoss* loss, const ValueStudy* value, const ValueStudy* weight) {
  const auto say = [&](const std::string& cause, const std::string& cure) {
    layer.cause = cause;
    layer.cure = cure;
    return true;
  };
  if (weight != nullptr && weight->dead_channels > 0) {
    return say(
        octet::str("dead channels: ", weight->dead_channels, " of ", weight->channels, " have no weight other than 0"),
        "prune them, or train them again");
  }
  if (value != nullptr && value->scales == 1) {
    if (value->clipped > kCut) {
      return say(octet::str("saturating grid: ", percent(value->clipped), " of its values are cut off"),
                 "calibrate with more samples, or by an observer of minimum and maximum");
    }
    const double range = value->histogram.high - value->histogram.low;
    const double middle = value->middle_high - value->middle_low;
    if (middle > 0 && range / middle > kStretched) {
      return say(octet::str("outliers: 99.8 % of its values take a ", fixed(range / middle, 1),
                            "th of the range that a few of them stretch"),
                 "a bound such as ReLU6, an observer of least error (histogram), or training quantization-aware");
    }
    if (value->used_levels > 0 && value->used_levels < kFewLevels) {
      return say(octet::str("range: its values have ", std::llround(value->used_levels),
                            " levels of the grid that it shares or has fixed"),
                 "a grid of its own, or calibration with samples as these");
    }
  }
  if (weight != nullptr && weight->clipped > kSaturated && weight->scales == 1) {
    return say(octet::str("weights: ", percent(weight->clipped), " of them lie at the ends of one grid"),
               "a scale a channel, or an observer of minimum and maximum");
  }
  if (loss != nullptr && std::isfinite(loss->sqnr_db) && loss->sqnr_db > layer.sqnr_db + 6) {
    return say(octet::str("its inputs bring the noise: alone it has ", fixed(loss->sqnr_db, 1), " dB"),
               "look at the layers before it");
  }
  if (value != nullptr && std::abs(value->shift) > kShifted) {
    return say(octet::str("bias: ", fixed(100 * std::abs(value->shift), 0), " % of its error is a shift ",
                          value->shift > 0 ? "up" : "down"),
               "training quantization-aware, BatchNorm's statistics found anew (--reestimate-bn)");
  }
  return false;
}

}  // namespace

std::vector<LayerDiagnosis> diagnose(const Comparison& comparison, const std::vector<ValueLoss>& losses,
                                     const std::vector<ValueStudy>& studies,
                                     const std::vector<targets::Warning>& warnings) {
  std::vector<LayerDiagnosis> all;
  for (const LayerComparison& compared : comparison.layers) {
    LayerDiagnosis layer{compared.name, compared.op, compared.sqnr_db, std::numeric_limits<double>::infinity(), "", ""};
    const auto loss =
        std::find_if(losses.begin(), losses.end(), [&](const ValueLoss& each) { return each.name == compared.name; });
    const ValueStudy* value = find(studies, compared.name, false);
    const std::string where = loss != losses.end() ? loss->where : value != nullptr ? value->where : "";
    if (loss != losses.end()) layer.alone_db = loss->sqnr_db;
    const auto warned = std::find_if(warnings.begin(), warnings.end(), [&](const targets::Warning& each) {
      return !where.empty() && each.where == where;
    });
    if (warned != warnings.end()) {
      layer.cause = warned->text;
      layer.cure = warned->way_out;
    } else if (compared.sqnr_db < kGood) {
      const bool known =
          by_numbers(layer, loss != losses.end() ? &*loss : nullptr, value, find(studies, compared.name, true));
      if (!known) {
        layer.cause = "rounding alone: its grid holds no more of what is computed here";
        layer.cure = "--leave-float, more bits, or training quantization-aware";
      }
    }
    all.push_back(std::move(layer));
  }
  return all;
}

}  // namespace octet::report

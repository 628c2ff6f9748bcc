#pragma once

#include <optional>
#include <string>
#include <vector>

#include "octet/quantize/value_study.h"

namespace octet::report {

/// A line of a chart; its points are at 1, 2, ... and may be missing.
struct Curve {
  std::string name;
  std::vector<std::optional<double>> values;
};

/// Curves over a common axis, with a legend, as an SVG that is described by its title. Nothing where no curve has a
/// point.
std::string line_chart(const std::string& title, const std::string& axis, const std::vector<Curve>& curves);

/// Bars, one a step, the greatest named; `unit` makes a text of a value.
std::string bar_chart(const std::string& title, const std::vector<double>& values, std::string (*unit)(double));

/// How a value lies, and the grid that it has.
std::string histogram_figure(const ValueStudy& study);

/// A share between 0 and 1 and what it may be by chance, on a line from `low` to 1.
std::string interval_bar(double share, double low_end, double high_end, double low);

}  // namespace octet::report

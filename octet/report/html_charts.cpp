#include "octet/report/html_charts.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>

#include "octet/report/html.h"
#include "octet/report/numbers.h"
#include "octet/support/error.h"

namespace octet::report {
namespace {

std::string figures(double value) {
  std::array<char, 32> text;
  std::snprintf(text.data(), text.size(), "%.4g", value);
  return text.data();
}

std::string point(double value) { return fixed(value, 1); }

struct Span {
  double low = 0, high = 1;
};

Span span_of(const std::vector<Curve>& curves) {
  Span span{INFINITY, -INFINITY};
  for (const Curve& curve : curves) {
    for (const auto& value : curve.values) {
      if (!value || !std::isfinite(*value)) continue;
      span.low = std::min(span.low, *value);
      span.high = std::max(span.high, *value);
    }
  }
  if (span.low > span.high) return span;
  const double room = std::max(0.05 * (span.high - span.low), 1e-3 * std::abs(span.high) + 1e-9);
  return {span.low >= 0 ? std::max(0.0, span.low - room) : span.low - room, span.high + room};
}

}  // namespace

std::string line_chart(const std::string& title, const std::string& axis, const std::vector<Curve>& curves) {
  constexpr double kWidth = 640, kHeight = 240, kLeft = 68, kRight = 12, kTop = 10, kBottom = 34;
  const Span span = span_of(curves);
  if (span.low > span.high) return {};
  size_t steps = 1;
  for (const Curve& curve : curves) steps = std::max(steps, curve.values.size());
  const auto x = [&](size_t i) {
    const double share = steps > 1 ? static_cast<double>(i) / static_cast<double>(steps - 1) : 0.5;
    return kLeft + share * (kWidth - kLeft - kRight);
  };
  const auto y = [&](double value) {
    return kTop + (span.high - value) / (span.high - span.low) * (kHeight - kTop - kBottom);
  };
  std::string out = octet::str("<figure class=\"curves\"><svg viewBox=\"0 0 640 240\" role=\"img\" aria-label=\"",
                               escaped(title), "\">");
  constexpr int kTicks = 4;
  for (int i = 0; i <= kTicks; ++i) {
    const double value = span.low + (span.high - span.low) * i / kTicks;
    out += octet::str("<path class=\"axis\" d=\"M", point(kLeft), ' ', point(y(value)), 'H', point(kWidth - kRight),
                      "\"/><text x=\"", point(kLeft - 6), "\" y=\"", point(y(value) + 4), "\" text-anchor=\"end\">",
                      figures(value), "</text>");
  }
  const size_t every = std::max<size_t>(1, (steps + 9) / 10);
  for (size_t i = 0; i < steps; i += every) {
    out += octet::str("<text x=\"", point(x(i)), "\" y=\"", point(kHeight - 18), "\" text-anchor=\"middle\">", i + 1,
                      "</text>");
  }
  out += octet::str("<text x=\"", point(kLeft), "\" y=\"", point(kHeight - 3), "\">", escaped(axis), "</text>");
  std::string legend;
  for (size_t c = 0; c < curves.size(); ++c) {
    std::string path, dots;
    bool is_down = false;
    for (size_t i = 0; i < curves[c].values.size(); ++i) {
      const auto& value = curves[c].values[i];
      if (!value || !std::isfinite(*value)) {
        is_down = false;
        continue;
      }
      path += octet::str(is_down ? 'L' : 'M', point(x(i)), ' ', point(y(*value)));
      is_down = true;
      if (steps <= 30) {
        dots += octet::str("<circle class=\"c", c % 4, "\" cx=\"", point(x(i)), "\" cy=\"", point(y(*value)),
                           "\" r=\"2.5\" fill=\"none\"/>");
      }
    }
    if (path.empty()) continue;
    out += octet::str("<path class=\"curve c", c % 4, "\" d=\"", path, "\"/>", dots);
    legend += octet::str("<li><svg viewBox=\"0 0 32 10\" aria-hidden=\"true\"><path class=\"curve c", c % 4,
                         "\" d=\"M0 5H32\"/></svg>", escaped(curves[c].name), "</li>");
  }
  return octet::str(out, "</svg><ul class=\"legend\">", legend, "</ul><figcaption>", escaped(title),
                    "</figcaption></figure>\n");
}

std::string bar_chart(const std::string& title, const std::vector<double>& values, std::string (*unit)(double)) {
  constexpr double kWidth = 640, kHeight = 160, kTop = 18;
  const double most = values.empty() ? 0 : *std::max_element(values.begin(), values.end());
  if (!(most > 0)) return {};
  const double step = kWidth / static_cast<double>(values.size());
  std::string out = octet::str("<figure class=\"curves\"><svg viewBox=\"0 0 640 160\" role=\"img\" aria-label=\"",
                               escaped(title), "\">");
  for (size_t i = 0; i < values.size(); ++i) {
    const double height = values[i] / most * (kHeight - kTop);
    out += octet::str("<rect class=\"bar\" x=\"", fixed(static_cast<double>(i) * step, 2), "\" y=\"",
                      point(kHeight - height), "\" width=\"", fixed(std::max(step - 1, step * 0.7), 2), "\" height=\"",
                      point(height), "\"/>");
  }
  return octet::str(out, "<text x=\"0\" y=\"12\">", escaped(unit(most)), "</text></svg><figcaption>", escaped(title),
                    "</figcaption></figure>\n");
}

std::string histogram_figure(const ValueStudy& study) {
  constexpr double kWidth = 240, kHeight = 70;
  const Histogram& histogram = study.histogram;
  if (histogram.counts.empty()) return {};
  const bool on_grid = study.scales > 0;
  double low = histogram.low, high = histogram.high;
  if (on_grid) {
    low = std::min(low, study.grid_low);
    high = std::max(high, study.grid_high);
  }
  const double width = high > low ? high - low : 1;
  const auto x = [&](double value) { return (value - low) / width * kWidth; };
  const auto most = static_cast<double>(*std::max_element(histogram.counts.begin(), histogram.counts.end()));
  std::string text = octet::str(figures(histogram.low), " to ", figures(histogram.high));
  if (on_grid) {
    text += octet::str("; ", study.scales > 1 ? "widest of its grids " : "grid ", figures(study.grid_low), " to ",
                       figures(study.grid_high), "; ", figures(100 * study.clipped),
                       study.is_weight ? " % at its ends" : " % cut off");
  } else {
    text += "; no grid of its own";
  }
  const std::string name = escaped(study.where);
  std::string out =
      octet::str("<figure><svg viewBox=\"0 0 240 72\" role=\"img\" aria-label=\"", name, ": ", escaped(text), "\">");
  if (on_grid) {
    out += octet::str("<rect class=\"band\" x=\"", point(x(study.grid_low)), "\" y=\"0\" width=\"",
                      point(x(study.grid_high) - x(study.grid_low)), "\" height=\"70\"/>");
  }
  const double bin = (histogram.high - histogram.low) / static_cast<double>(histogram.counts.size());
  for (size_t i = 0; i < histogram.counts.size(); ++i) {
    if (histogram.counts[i] == 0) continue;
    // By the root: what is rare is what decides about a range.
    const double height = std::max(1.0, std::sqrt(static_cast<double>(histogram.counts[i]) / most) * kHeight);
    const double left = x(histogram.low + static_cast<double>(i) * bin);
    out += octet::str("<rect class=\"bar\" x=\"", fixed(left, 2), "\" y=\"", point(kHeight - height), "\" width=\"",
                      fixed(std::max(1.0, bin / width * kWidth - 0.3), 2), "\" height=\"", point(height), "\"/>");
  }
  if (on_grid) {
    for (const double end : {study.grid_low, study.grid_high}) {
      out += octet::str("<path class=\"edge\" d=\"M", point(std::clamp(x(end), 1.0, kWidth - 1)), " 0V70\"/>");
    }
  }
  return octet::str(out, "<path class=\"axis\" d=\"M0 70.5H240\"/></svg><figcaption><b>", name, "</b><br>",
                    escaped(text), "</figcaption></figure>\n");
}

std::string interval_bar(double share, double low_end, double high_end, double low) {
  const auto x = [&](double value) { return std::clamp((value - low) / std::max(1e-9, 1 - low), 0.0, 1.0) * 200; };
  return octet::str(
      "<svg viewBox=\"0 0 200 12\" aria-hidden=\"true\" style=\"min-width:8rem\"><path class=\"axis\" d=\"M0 6H200\"/>"
      "<rect class=\"bar\" x=\"",
      point(x(low_end)), "\" y=\"3\" width=\"", point(std::max(1.0, x(high_end) - x(low_end))),
      "\" height=\"6\" rx=\"2\"/><rect class=\"mean\" x=\"", point(std::min(x(share), 198.0)),
      "\" y=\"1\" width=\"2\" height=\"10\"/></svg>");
}

}  // namespace octet::report

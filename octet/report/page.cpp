#include "octet/report/page.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "octet/report/html.h"
#include "octet/report/html_charts.h"
#include "octet/report/html_network.h"
#include "octet/report/numbers.h"
#include "octet/support/error.h"

namespace octet::report {
namespace {

// Metrics that are a share of the samples, and so have an interval.
constexpr std::array<const char*, 4> kShares = {"top1", "top5", "accuracy", "agreement"};

bool is_share(const std::string& key) { return std::find(kShares.begin(), kShares.end(), key) != kShares.end(); }

std::string hundredths(double share) { return fixed(100 * share, 2); }

std::string with_second_line(const std::string& first, const std::string& second) {
  return octet::str(escaped(first), "<br><span class=\"soft\">", escaped(second), "</span>");
}

std::string tiles(const Page& page) {
  std::string out;
  for (const auto& [name, value] : page.key_facts) {
    out += octet::str("<li><b>", escaped(value), "</b>", escaped(name), "</li>\n");
  }
  return out.empty() ? out : octet::str("<ul class=\"tiles\">\n", out, "</ul>\n");
}

std::string accuracy(const Page& page) {
  if (page.measured.empty() || page.measured[0].found.scores.empty()) return {};
  const std::vector<Score>& first = page.measured[0].found.scores;
  const bool share = is_share(first[0].key);
  std::vector<std::string> heading = {"model, and what it computes in"};
  std::vector<size_t> numbers;
  const auto column = [&](const std::string& title) {
    numbers.push_back(heading.size());
    heading.push_back(title);
  };
  column(escaped(first[0].title) + (share ? ", %" : ""));
  if (share) {
    column("95 % interval");
    heading.emplace_back();  // below
    column("beside the first, points");
  }
  for (size_t i = 1; i < first.size(); ++i) column(escaped(first[i].title) + (is_share(first[i].key) ? ", %" : ""));
  column("loss");
  column("samples");
  double lowest = 1;
  for (const Page::Measured& each : page.measured) {
    if (share && !each.found.scores.empty()) {
      lowest = std::min(lowest, wilson_interval(each.found.scores[0].value, each.found.samples).low);
    }
  }
  std::vector<std::vector<std::string>> rows;
  for (const Page::Measured& each : page.measured) {
    const std::vector<Score>& scores = each.found.scores;
    std::vector<std::string> row = {with_second_line(each.name, each.arithmetic)};
    const double value = scores.empty() ? 0 : scores[0].value;
    row.push_back(scores.empty() ? "-" : share ? hundredths(value) : fixed(value, 5));
    if (share) {
      const Interval interval = wilson_interval(value, each.found.samples);
      row.push_back(octet::str(hundredths(interval.low), " to ", hundredths(interval.high)));
      row.push_back(interval_bar(value, interval.low, interval.high, std::max(0.0, lowest - 0.1)));
      const double apart = 100 * (value - first[0].value);
      row.push_back(&each == page.measured.data() ? ""
                                                  : (apart >= 0 ? "+" : "\xE2\x88\x92") + fixed(std::abs(apart), 2));
    }
    for (size_t i = 1; i < first.size(); ++i) {
      row.push_back(i >= scores.size()        ? "-"
                    : is_share(scores[i].key) ? hundredths(scores[i].value)
                                              : fixed(scores[i].value, 5));
    }
    row.push_back(fixed(each.found.loss, 4));
    row.push_back(std::to_string(each.found.samples));
    rows.push_back(std::move(row));
  }
  if (share) heading[3] = octet::str("from ", hundredths(std::max(0.0, lowest - 0.1)), " to 100 %");
  std::string out = html_table(octet::str("Measured on ", escaped(page.measured_on)), heading, rows, numbers);
  if (share) {
    out +=
        "<p class=\"soft\">The interval is Wilson's: in 95 of 100 such measurements it holds the true share. All "
        "models "
        "are measured on the same samples, so that a difference between two of them is surer than their intervals "
        "show.</p>\n";
  }
  return out;
}

std::string training(const Page& page) {
  if (!page.training || page.training->epochs.empty()) return {};
  const TrainResult& result = *page.training;
  Curve loss{"training loss", {}}, held_out{"loss on held-out data", {}};
  std::vector<Curve> scores;
  std::vector<std::vector<std::string>> rows;
  for (const EpochInfo& epoch : result.epochs) {
    loss.values.emplace_back(epoch.loss);
    held_out.values.push_back(epoch.evaluation ? std::optional(epoch.evaluation->loss) : std::nullopt);
    rows.push_back(
        {octet::str(epoch.epoch + 1, epoch.epoch == result.best_epoch ? " (best)" : ""), fixed(epoch.loss, 4),
         epoch.evaluation ? fixed(epoch.evaluation->loss, 4) : "-",
         epoch.scores.empty() ? "-" : fixed(epoch.scores[0].value, 4),
         epoch.evaluation && !epoch.evaluation->scores.empty() ? fixed(epoch.evaluation->scores[0].value, 4) : "-",
         fixed(epoch.seconds, 1), fixed(epoch.seconds > 0 ? 100 * epoch.waiting / epoch.seconds : 0, 1)});
    if (epoch.scores.empty()) continue;
    if (scores.empty()) {
      scores.push_back({"in training: " + epoch.scores[0].title, {}});
      scores.push_back({"held-out data: " + epoch.scores[0].title, {}});
    }
    scores[0].values.resize(loss.values.size() - 1);
    scores[1].values.resize(loss.values.size() - 1);
    scores[0].values.emplace_back(epoch.scores[0].value);
    scores[1].values.push_back(epoch.evaluation && !epoch.evaluation->scores.empty()
                                   ? std::optional(epoch.evaluation->scores[0].value)
                                   : std::nullopt);
  }
  const EpochInfo& last = result.epochs.back();
  const std::string title = last.scores.empty() ? "score" : last.scores[0].title;
  return line_chart("Loss by epoch", "epoch", {loss, held_out}) + line_chart(title + " by epoch", "epoch", scores) +
         "<details><summary>The numbers of the curves</summary>" +
         html_table("Epochs", {"epoch", "loss", "held-out loss", escaped(title), "held-out", "seconds", "waiting, %"},
                    rows, {1, 2, 3, 4, 5, 6}) +
         "</details>\n";
}

std::string meter(double sqnr_db) {
  const double share = std::isfinite(sqnr_db) ? std::clamp(sqnr_db / 60, 0.02, 1.0) : 1.0;
  const char* kind = sqnr_db < 10 ? " bad" : sqnr_db < 20 ? " mid" : "";
  return octet::str("<span class=\"meter", kind, "\" aria-hidden=\"true\"><i style=\"width:", fixed(100 * share, 0),
                    "%\"></i></span>");
}

// The module that a layer comes from, where it is known; else its operator.
std::string where_of(const Page& page, const LayerDiagnosis& layer) {
  const auto found = std::find_if(page.values.begin(), page.values.end(), [&](const ValueStudy& study) {
    return !study.is_weight && study.name == layer.name;
  });
  return found != page.values.end() && !found->where.empty() ? found->where : layer.op;
}

std::string layers(const Page& page) {
  if (page.layers.empty()) return {};
  std::string out =
      "<p>How much signal each layer's value keeps beside the noise of quantization, in the run of the whole "
      "model. Below 10 dB little is left, from 30 dB on nothing is to be gained.</p>\n";
  if (!page.noise_beside.empty()) out += octet::str("<p>", escaped(page.noise_beside), "</p>\n");
  for (size_t i = 0; i < page.output_sqnr_db.size(); ++i) {
    out += octet::str("<p><b>Output ", i, ": ", decibel_text(page.output_sqnr_db[i], 2), " dB</b></p>\n");
  }
  const bool any_cause = std::any_of(page.layers.begin(), page.layers.end(),
                                     [](const LayerDiagnosis& each) { return !each.cause.empty(); });
  const auto table = [&](const std::string& caption, size_t first, size_t last) {
    std::vector<std::vector<std::string>> rows;
    for (size_t i = first; i < last; ++i) {
      const LayerDiagnosis& each = page.layers[i];
      rows.push_back(
          {with_second_line(each.name, where_of(page, each)), decibel_text(each.sqnr_db, 1) + meter(each.sqnr_db),
           std::isfinite(each.alone_db) ? fixed(each.alone_db, 1) : "-", escaped(each.cause), escaped(each.cure)});
    }
    std::vector<std::string> heading = {"layer", "SQNR, dB", "alone, dB", "probable cause", "cure"};
    if (!any_cause) {
      heading.resize(3);
      for (auto& row : rows) row.resize(3);
    }
    return html_table(caption, heading, rows, {1, 2});
  };
  constexpr size_t kShown = 15;
  const size_t shown = std::min(kShown, page.layers.size());
  out += table("Layers, worst first", 0, shown);
  if (shown == page.layers.size()) return out;
  return octet::str(out, "<details><summary>The other ", page.layers.size() - shown, " layers</summary>",
                    table("The other layers", shown, page.layers.size()), "</details>\n");
}

std::string warnings(const Page& page) {
  if (page.warnings.empty()) return {};
  std::string out = "<ul>\n";
  for (const targets::Warning& each : page.warnings) {
    out += octet::str("<li><b>", escaped(each.where), "</b>: ", escaped(each.text));
    if (!each.way_out.empty()) out += octet::str("; <i>", escaped(each.way_out), "</i>");
    out += "</li>\n";
  }
  return out + "</ul>\n";
}

// Those of the worst layers first.
std::string histograms(const Page& page) {
  if (page.values.empty()) return {};
  const auto rank = [&](const ValueStudy& study) {
    const auto found = std::find_if(page.layers.begin(), page.layers.end(),
                                    [&](const LayerDiagnosis& each) { return each.name == study.name; });
    return found - page.layers.begin();
  };
  std::string out = "<p>Bars show by their root how often a value comes; the shaded part is what its grid holds.</p>\n";
  for (const bool of_weights : {false, true}) {
    std::vector<const ValueStudy*> all;
    for (const ValueStudy& study : page.values) {
      if (study.is_weight == of_weights && !study.histogram.counts.empty()) all.push_back(&study);
    }
    if (all.empty()) continue;
    std::stable_sort(all.begin(), all.end(), [&](const auto* a, const auto* b) { return rank(*a) < rank(*b); });
    constexpr size_t kShown = 6;
    out += octet::str("<h3>", of_weights ? "Weights" : "Activations", "</h3>\n<div class=\"small\">\n");
    for (size_t i = 0; i < all.size(); ++i) {
      if (i == kShown) {
        out += octet::str("</div>\n<details><summary>", all.size() - kShown, " more</summary><div class=\"small\">\n");
      }
      out += histogram_figure(*all[i]);
    }
    out += all.size() > kShown ? "</div></details>\n" : "</div>\n";
  }
  return out;
}

std::string placement(const Page& page) {
  if (!page.check || page.check->placement.operators.empty()) return {};
  const targets::Placement& found = page.check->placement;
  const auto all = static_cast<int64_t>(found.operators.size());
  std::string out = "<p>";
  if (found.by_patterns) {
    out += octet::str(count_text(all - found.on_cpu(), "operator"), " in integers, ", found.on_cpu(), " in float");
  } else {
    out += octet::str(count_text(all - found.on_cpu(), "operator"), " on the NPU in ",
                      count_text(found.partitions, "partition"), ", ", found.on_cpu(), " on the CPU, ",
                      count_text(static_cast<int64_t>(found.transitions.size()), "transition"), " between them");
  }
  return octet::str(out, "; ", share_text(found.npu_macs(), found.macs()), " of ",
                    fixed(static_cast<double>(found.macs()) / 1e6, 2), " million multiply-accumulates. Target ",
                    escaped(found.target), ".</p>\n", network_drawing(found, page.edges));
}

std::string kilobytes(double bytes) { return bytes_text(static_cast<int64_t>(bytes)); }

std::string memory(const Page& page) {
  std::string out;
  if (page.check && page.check->memory.is_known()) {
    const targets::MemoryEstimate& found = page.check->memory;
    out +=
        octet::str("<p>Arena ", bytes_text(found.arena_bytes),
                   found.on_chip_bytes > 0 ? octet::str(" of ", bytes_text(found.on_chip_bytes), " on the chip") : "",
                   ", constants ", bytes_text(found.constant_bytes), " in flash",
                   found.peak_at.empty()
                       ? ""
                       : octet::str("; most is alive at ", escaped(found.peak_at), ": ", bytes_text(found.peak_bytes)),
                   ". An estimate, of the program as octet runs it.</p>\n");
  }
  std::vector<double> alive(page.alive_bytes.begin(), page.alive_bytes.end());
  return out + bar_chart("Bytes alive at each operator, from the first to the last", alive, kilobytes);
}

std::string origin(const Page& page) {
  std::string out;
  for (const auto& [name, value] : page.facts) {
    out += octet::str("<dt>", escaped(name), "</dt><dd>", escaped(value), "</dd>\n");
  }
  if (!out.empty()) out = octet::str("<dl>\n", out, "</dl>\n");
  if (!page.config.empty())
    out += octet::str("<h3>Config</h3>\n<pre tabindex=\"0\">", escaped(page.config), "</pre>\n");
  return out;
}

}  // namespace

Interval wilson_interval(double share, int64_t samples, double z) {
  if (samples < 1) return {};
  const auto n = static_cast<double>(samples);
  const double scale = 1 + z * z / n;
  const double middle = (share + z * z / (2 * n)) / scale;
  const double half = z / scale * std::sqrt(share * (1 - share) / n + z * z / (4 * n * n));
  return {std::max(0.0, middle - half), std::min(1.0, middle + half)};
}

std::string Page::html() const {
  struct Part {
    const char* id;
    const char* title;
    std::string body;
  };
  const std::vector<Part> parts = {{"accuracy", "Accuracy", accuracy(*this)},
                                   {"training", "Training", octet::report::training(*this)},
                                   {"layers", "Noise by layer", octet::report::layers(*this)},
                                   {"warnings", "Warnings", octet::report::warnings(*this)},
                                   {"values", "Ranges", histograms(*this)},
                                   {"placement", "Placement", placement(*this)},
                                   {"memory", "Memory", memory(*this)},
                                   {"origin", "How it was made", origin(*this)}};
  std::string links, body;
  for (const Part& part : parts) {
    if (part.body.empty()) continue;
    links += octet::str("<li><a href=\"#", part.id, "\">", part.title, "</a></li>\n");
    body += html_section(part.id, part.title, part.body);
  }
  return octet::str(
      "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" "
      "content=\"width=device-width, initial-scale=1\">\n<meta http-equiv=\"Content-Security-Policy\" "
      "content=\"default-src 'none'; style-src 'unsafe-inline'\">\n<title>",
      escaped(title), "</title>\n<style>", html_style(),
      "</style>\n</head>\n<body>\n<a class=\"skip\" href=\"#main\">To the "
      "content</a>\n<header><h1>",
      escaped(title), "</h1>\n<p class=\"soft\">", escaped(what), "</p></header>\n", "<nav aria-label=\"Parts\"><ul>\n",
      links, "</ul></nav>\n<main id=\"main\">\n", tiles(*this), body, "</main>\n</body>\n</html>\n");
}

}  // namespace octet::report

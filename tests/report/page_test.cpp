// The page of a run: whole by itself, well-formed, and safe from what files hold.
#include "octet/report/page.h"

#include <gtest/gtest.h>

#include <cmath>

#include "octet/report/html.h"
#include "octet/report/html_charts.h"
#include "octet/report/html_network.h"

namespace octet::report {
namespace {

constexpr const char* kHostile = "<script>alert('x')</script>\" onload=\"y\" & \xFF\x01";

// Whether every element that is opened is closed in its order; says which is not.
::testing::AssertionResult is_well_formed(const std::string& html) {
  const std::vector<std::string> empty = {"meta", "br", "!DOCTYPE"};
  std::vector<std::string> open;
  for (size_t at = html.find('<'); at != std::string::npos; at = html.find('<', at + 1)) {
    const size_t end = html.find('>', at);
    if (end == std::string::npos) return ::testing::AssertionFailure() << "a tag has no end";
    const std::string tag = html.substr(at + 1, end - at - 1);
    const std::string name = tag.substr(0, tag.find_first_of(" /", 1));
    if (tag.back() == '/' || std::find(empty.begin(), empty.end(), name) != empty.end()) continue;
    if (tag[0] != '/') {
      open.push_back(name);
    } else if (open.empty() || "/" + open.back() != tag) {
      return ::testing::AssertionFailure()
             << "</" << (open.empty() ? "nothing" : open.back()) << "> was due, not <" << tag << '>';
    } else {
      open.pop_back();
    }
  }
  if (!open.empty()) return ::testing::AssertionFailure() << '<' << open.back() << "> stays open";
  return ::testing::AssertionSuccess();
}

Evaluation found(double top1, int64_t samples) {
  Evaluation evaluation;
  evaluation.samples = samples;
  evaluation.loss = 0.5;
  evaluation.scores = {{"top1", "top-1", top1}, {"top5", "top-5", 0.99}};
  return evaluation;
}

ValueStudy study(const std::string& name, double stretch) {
  ValueStudy value;
  value.name = name;
  value.where = "conv2d '" + name + "'";
  value.histogram = {-1, stretch, std::vector<int64_t>(64, 3)};
  value.elements = 192;
  value.middle_low = -1;
  value.middle_high = 1;
  value.grid_low = -1;
  value.grid_high = stretch;
  value.scales = 1;
  value.used_levels = 255;
  return value;
}

targets::OperatorPlacement placed(const std::string& name, bool on_npu) {
  targets::OperatorPlacement row;
  row.op = "aten.conv2d.default";
  row.name = name;
  row.where = "conv2d '" + name + "'";
  if (on_npu) row.partition = 0;
  if (!on_npu) row.reason = "channels <= 2040, got 3000 <b>";
  row.macs = 1000000;
  return row;
}

Page whole_page(const std::string& name) {
  Page page;
  page.title = name;
  page.what = "quantized " + name;
  page.key_facts = {{name, "1 KiB"}};
  page.measured = {{"float", "float", found(0.9, 1000)}, {name, "integers", found(0.85, 1000)}};
  page.measured_on = name;
  TrainResult training;
  for (int64_t epoch = 0; epoch < 3; ++epoch) {
    EpochInfo info;
    info.epoch = epoch;
    info.loss = 1.0 / static_cast<double>(epoch + 1);
    info.scores = {{"top1", name, 0.5 + 0.1 * static_cast<double>(epoch)}};
    if (epoch > 0) info.evaluation = found(0.6, 100);
    training.epochs.push_back(info);
  }
  page.training = training;
  page.layers = {{name, "aten.conv2d.default", 4, 8, name, name},
                 {"b", "aten.relu.default", INFINITY, INFINITY, "", ""}};
  page.values = {study(name, 10), study("b", 1)};
  page.values[1].is_weight = true;
  page.warnings = {{name, name, name}};
  page.check.emplace();
  page.check->placement.target = name;
  page.check->placement.operators = {placed(name, true), placed("left", true), placed("right", false),
                                     placed("join", true)};
  page.edges = {{0, 1}, {0, 2}, {1, 3}, {2, 3}};
  page.alive_bytes = {100, 300, 200};
  page.config = R"({"module": "<i>"})";
  page.facts = {{name, name}};
  return page;
}

TEST(Page, IsWholeByItselfAndWellFormed) {
  const std::string html = whole_page("net").html();
  EXPECT_TRUE(is_well_formed(html)) << html;
  for (const char* outside : {"http:", "https:", "<script", "src=", "@import", "url(", "<link"}) {
    EXPECT_EQ(html.find(outside), std::string::npos) << outside;
  }
  for (const char* part : {"id=\"accuracy\"", "id=\"training\"", "id=\"layers\"", "id=\"warnings\"", "id=\"values\"",
                           "id=\"placement\"", "id=\"memory\"", "id=\"origin\"", "lang=\"en\"",
                           "prefers-color-scheme: dark", "@media print", "name=\"viewport\""}) {
    EXPECT_NE(html.find(part), std::string::npos) << part;
  }
}

TEST(Page, SaysWhatNoiseIsMeasuredBeside) {
  Page page = whole_page("net");
  page.noise_beside = "The weights of 2 of 3 layers were trained <on>";
  EXPECT_NE(page.html().find("<p>The weights of 2 of 3 layers were trained &lt;on&gt;</p>"), std::string::npos);
}

TEST(Page, NamesModulesAndSmallNumbers) {
  Page page = whole_page("net");
  page.values[0].where = "conv2d 'features.0'";
  page.check->placement.operators[0].macs = 640;
  const std::string html = page.html();
  EXPECT_NE(html.find("net<br><span class=\"soft\">conv2d &#39;features.0&#39;</span>"), std::string::npos);
  EXPECT_NE(html.find("b<br><span class=\"soft\">aten.relu.default</span>"), std::string::npos);
  EXPECT_NE(html.find(", 640 MACs"), std::string::npos);
  EXPECT_NE(html.find(", 1.00 M MACs"), std::string::npos);
}

TEST(Page, TellsNothingThatIsNotKnown) {
  Page page;
  page.title = "bare";
  const std::string html = page.html();
  EXPECT_TRUE(is_well_formed(html));
  EXPECT_EQ(html.find("<section"), std::string::npos);
}

TEST(Page, WhatComesFromFilesIsText) {
  const std::string html = whole_page(kHostile).html();
  EXPECT_TRUE(is_well_formed(html));
  EXPECT_EQ(html.find("<script>"), std::string::npos);
  EXPECT_EQ(html.find("\" onload"), std::string::npos);
  EXPECT_EQ(html.find("<b>\"<"), std::string::npos);
  EXPECT_EQ(html.find('\xFF'), std::string::npos);
  EXPECT_NE(html.find("&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;&quot; onload=&quot;y&quot; &amp; "),
            std::string::npos);
  EXPECT_EQ(escaped("gr\xC3\xBC\xC3\x9F 漢 😀"), "gr\xC3\xBC\xC3\x9F 漢 😀");
  EXPECT_EQ(escaped("\xC0\x80 \xED\xA0\x80 \xE2\x82"),
            "\xEF\xBF\xBD\xEF\xBF\xBD \xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD \xEF\xBF\xBD\xEF\xBF\xBD");
}

// Against values of statsmodels' proportion_confint(count, n, method="wilson").
TEST(WilsonInterval, HasItsKnownValues) {
  const Interval high = wilson_interval(0.9, 100);
  EXPECT_NEAR(high.low, 0.825633, 1e-5);
  EXPECT_NEAR(high.high, 0.944772, 1e-5);
  const Interval all = wilson_interval(1, 10);
  EXPECT_NEAR(all.low, 0.722467, 1e-5);
  EXPECT_NEAR(all.high, 1, 1e-9);
  EXPECT_EQ(wilson_interval(0.5, 0).low, 0);
  EXPECT_NE(whole_page("net").html().find("87.98 to 91.71"), std::string::npos) << "of 90 % of 1000";
}

// A fork: the value stands beside the left branch until the right one has read it.
TEST(Network, EachValueIsALineToItsLastReader) {
  const Page page = whole_page("net");
  const std::string drawn = network_drawing(page.check->placement, page.edges);
  EXPECT_TRUE(is_well_formed(drawn));
  const auto count = [&](const std::string& what) {
    size_t times = 0;
    for (size_t at = drawn.find(what); at != std::string::npos; at = drawn.find(what, at + 1)) ++times;
    return times;
  };
  EXPECT_EQ(count("<li "), 4u);
  EXPECT_EQ(count(">NPU 0<"), 3u);
  EXPECT_EQ(count(">CPU<"), 1u);
  EXPECT_EQ(count("M7 0V100"), 1u) << "past the left branch";
  EXPECT_EQ(count("M21 0V100"), 1u) << "the left branch's value past the right one";
  EXPECT_NE(drawn.find("channels &lt;= 2040, got 3000 &lt;b&gt;"), std::string::npos);
}

TEST(LineChart, LeavesOutWhatIsNoNumber) {
  EXPECT_TRUE(line_chart("t", "x", {{"a", {}}}).empty());
  EXPECT_TRUE(line_chart("t", "x", {{"a", {NAN, INFINITY}}}).empty());
  const std::string gap = line_chart("t", "x", {{"a", {1.0, std::nullopt, 2.0, 3.0}}});
  EXPECT_TRUE(is_well_formed(gap));
  EXPECT_EQ(gap.find("nan"), std::string::npos);
  EXPECT_TRUE(is_well_formed(line_chart("one", "x", {{"a", {5.0}}})));
}

Comparison compared(double sqnr_db) {
  Comparison comparison;
  comparison.layers = {{"c", "c", "aten.conv2d.default", sqnr_db, 0}};
  return comparison;
}

TEST(Diagnosis, FindsTheCauseInTheNumbers) {
  const auto cause = [](double sqnr_db, const std::vector<ValueStudy>& studies,
                        const std::vector<ValueLoss>& losses = {}, const std::vector<targets::Warning>& warnings = {}) {
    const auto found = diagnose(compared(sqnr_db), losses, studies, warnings);
    EXPECT_EQ(found.size(), 1u);
    EXPECT_EQ(found[0].cause.empty(), found[0].cure.empty());
    return found[0].cause;
  };
  ValueStudy value = study("c", 1);
  EXPECT_EQ(cause(40, {value}), "");
  EXPECT_NE(cause(15, {study("c", 30)}).find("outliers"), std::string::npos);
  value.clipped = 0.05;
  EXPECT_NE(cause(15, {value}).find("saturating grid: 5.0 %"), std::string::npos);
  value.clipped = 0;
  value.used_levels = 9;
  EXPECT_NE(cause(15, {value}).find("9 levels"), std::string::npos);
  value.used_levels = 255;
  value.shift = -0.8;
  EXPECT_NE(cause(15, {value}).find("bias: 80 % of its error is a shift down"), std::string::npos);
  ValueStudy weight = study("c", 1);
  weight.is_weight = true;
  weight.channels = 8;
  weight.dead_channels = 2;
  EXPECT_NE(cause(15, {value, weight}).find("dead channels: 2 of 8"), std::string::npos);
  value.shift = 0;
  ValueLoss loss;
  loss.name = "c";
  loss.where = value.where;
  loss.sqnr_db = 35;
  EXPECT_NE(cause(15, {value}, {loss}).find("its inputs bring the noise"), std::string::npos);
  EXPECT_EQ(cause(15, {value}, {loss}, {{value.where, "told", "so"}}), "told");
  EXPECT_NE(cause(15, {value}).find("rounding alone"), std::string::npos);
}

}  // namespace
}  // namespace octet::report

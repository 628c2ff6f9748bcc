// Reports are data: what they say follows from their fields alone.
#include <gtest/gtest.h>

#include <limits>
#include <nlohmann/json.hpp>

#include "octet/report/check_report.h"
#include "octet/report/deviation_reports.h"
#include "octet/report/model_reports.h"
#include "octet/report/numbers.h"
#include "octet/report/table.h"
#include "octet/report/training_reports.h"

namespace octet::report {
namespace {

using Json = nlohmann::ordered_json;

TEST(Numbers, ReadWell) {
  EXPECT_EQ(fixed(0.125, 2), "0.12");
  EXPECT_EQ(bytes_text(999), "999 B");
  EXPECT_EQ(bytes_text(358312), "358.3 KB");
  EXPECT_EQ(bytes_text(int64_t{5} << 30), "5.4 GB");
  EXPECT_EQ(decibel_text(12.345, 1), "12.3");
  EXPECT_EQ(decibel_text(INFINITY, 1), "equal");
  EXPECT_EQ(count_text(1, "partition"), "1 partition");
  EXPECT_EQ(count_text(0, "partition"), "0 partitions");
  EXPECT_EQ(share_text(3, 8), "37.5 %");
  EXPECT_EQ(share_text(0, 0), "-");
  EXPECT_EQ(shape_text({1, 3, 8}), "[1, 3, 8]");
  EXPECT_EQ(shape_text({}), "[]");
}

TEST(Table, AlignsNumbersAndCountsColumnsNotBytes) {
  Table table({"name", "n"});
  table.row({"größe", "7"});
  table.row({"x", "1234"});
  EXPECT_EQ(table.text(), "name   n\n-----  ----\ngröße     7\nx      1234\n");
  Table names({"mode", "share"});
  names.row({"8a8w-per-channel", "9 %"});
  names.row({"int8", "-1.5e-05"});
  EXPECT_EQ(
      names.text(),
      "mode              share\n----------------  --------\n8a8w-per-channel       9 %\nint8              -1.5e-05\n");
}

TEST(ComparisonReport, EqualValuesHaveNoNumber) {
  const ComparisonReport report{{{30.25, INFINITY}, {0, 0}, {{"conv", "float_conv", "aten.conv2d.default", 20.5}}}};
  EXPECT_EQ(report.text(),
            "output 0: SQNR 30.25 dB\noutput 1: SQNR equal dB\n\n"
            "SQNR dB  layer  op\n-------  -----  -------------------\n  20.50  conv   aten.conv2d.default\n");
  EXPECT_EQ(report.json(), Json::parse(R"({"output_sqnr_db": [30.25, null], "layers": [{"op": "aten.conv2d.default",
    "name": "conv", "float_name": "float_conv", "sqnr_db": 20.5}]})"));
}

TEST(VerificationReport, SaysWhereTheyPart) {
  VerificationReport report;
  const Deviation none{0, 0, 0, INFINITY}, some{3, 1, 2.25, 40.5};
  report.found.layers = {{"a", "ADD", 8, none, none}, {"b", "CONV_2D", 8, some, none}};
  report.found.outputs = {{"b", "CONV_2D", 8, some, none}};
  const std::string text = report.text();
  EXPECT_NE(text.find("\nthey part at CONV_2D 'b', by 2.2 steps\n"
                      "output 0: 3 of 8 differ, by at most 2.2 steps; SQNR 40.5 dB\n"),
            std::string::npos)
      << text;
  const Json json = report.json();
  EXPECT_EQ(json.at("layers")[1].at("whole"),
            Json::parse(R"({"different": 3, "beyond_a_step": 1, "most_steps": 2.25, "sqnr_db": 40.5})"));
  EXPECT_TRUE(json.at("layers")[0].at("alone").at("sqnr_db").is_null());
  report.found.layers.pop_back();
  EXPECT_NE(report.text().find("the layers are equal\n"), std::string::npos);
}

Evaluation evaluation(double top1) {
  Evaluation found;
  found.samples = 10;
  found.loss = 0.5;
  found.scores = {{"top1", "top-1", top1}, {"top5", "top-5", 1.0}};
  found.samples_per_second = 99.6;
  return found;
}

TEST(EvaluationReport, HasTheTasksScores) {
  EvaluationReport report{"m.octet", "integers", "npy:x", evaluation(0.9)};
  EXPECT_EQ(report.text(), "top-1 0.9000  top-5 1.0000  loss 0.5000  (10 samples, 100 a second)\n");
  EXPECT_EQ(
      report.json().dump(),
      R"({"model":"m.octet","arithmetic":"integers","data":"npy:x","samples":10,"top1":0.9,"top5":1.0,"loss":0.5})");
  report.found.scores.clear();
  EXPECT_EQ(report.text(), "loss 0.5000  (10 samples, 100 a second)\n");
}

TEST(TrainingReport, TellsEpochsAndTheResult) {
  TrainingReport report{"q.octet", true, {}, std::nullopt};
  EpochInfo epoch;
  epoch.loss = 1.5;
  epoch.seconds = 2;
  epoch.scores = {{"top1", "top-1", 0.25}};
  report.training.epochs = {epoch, epoch};
  report.training.epochs[1].evaluation = evaluation(0.5);
  report.training.seconds = 4.0;
  report.training.samples = 200;
  report.training.epochs[0].waiting = 1.0;
  const std::string pace = "q.octet: 2 epochs, 4.0 s (50 samples a second, 25.0 % waiting for data)";
  EXPECT_EQ(report.text(), pace + "\n");
  report.evaluation = evaluation(0.75);
  EXPECT_EQ(report.text(), pace + ", quantized model: top-1 0.7500  top-5 1.0000\n");
  report.left_out = 2;
  EXPECT_NE(report.text().find("; 2 damaged files left out\n"), std::string::npos);
  report.peak_bytes = int64_t{3} << 29;
  EXPECT_NE(report.text().find(" of memory at the peak, quantized model"), std::string::npos);
  const Json json = report.json();
  EXPECT_EQ(json.at("peak_bytes"), int64_t{3} << 29);
  EXPECT_EQ(json.at("mode"), "qat");
  EXPECT_EQ(json.at("epochs")[0].dump(), R"({"loss":1.5,"seconds":2.0,"waiting":1.0,"top1":0.25})");
  EXPECT_EQ(json.at("epochs")[1].at("evaluation").at("top1"), 0.5);
  EXPECT_EQ(json.at("evaluation").at("top1"), 0.75);
}

TEST(CheckReport, OfSeveralSizesIsARowEach) {
  CheckReport report{"a target", {}};
  targets::Check check;
  check.input_sizes = {{1, 3, 8, 8}};
  check.placement.target = "a target";
  check.placement.partitions = 1;
  targets::OperatorPlacement on_npu, on_cpu;
  on_npu.op = on_cpu.op = "aten.relu.default";
  on_npu.partition = 0;
  on_cpu.reason = "too wide";
  on_cpu.way_out = "make it narrow";
  check.placement.operators = {on_npu, on_cpu};
  check.memory.missing = "no such operator";
  report.sizes = {{"8", check, ""}};
  EXPECT_NE(report.text().find("too wide; make it narrow"), std::string::npos) << report.text();
  EXPECT_NE(report.text().find("input [1, 3, 8, 8], a target: 1 operator on the NPU in 1 partition, 1 on the CPU"),
            std::string::npos)
      << report.text();
  EXPECT_NE(report.text().find("memory: no estimate, for the program cannot be written: no such operator\n"),
            std::string::npos)
      << report.text();
  EXPECT_EQ(report.json().at("memory"), Json::parse(R"({"missing": "no such operator"})"));
  report.sizes[0].check->memory = {5000, 4000, 300, 4500, "conv2d 'c'", {{"c", {1, 8, 8, 40}, 2560}}, ""};
  EXPECT_NE(report.text().find("memory, estimated: arena 5.0 KB of 4.5 KB on the chip, constants 300 B in flash; most "
                               "alive at conv2d 'c': 4.0 KB (c [1, 8, 8, 40])\n"),
            std::string::npos)
      << report.text();
  EXPECT_EQ(report.json().at("memory").at("fits"), false);
  EXPECT_EQ(report.json().at("memory").at("at_peak")[0].at("bytes"), 2560);
  EXPECT_EQ(report.json().at("nodes")[0].at("npu"), 0);
  EXPECT_TRUE(report.json().at("nodes")[1].at("npu").is_null());
  report.sizes.push_back({"4", std::nullopt, "it breaks"});
  EXPECT_NE(report.text().find("does not run: it breaks\n"), std::string::npos) << report.text();
  EXPECT_NE(report.text().find("5.0 KB  no"), std::string::npos) << report.text();
  EXPECT_EQ(report.json()[1], Json::parse(R"({"target": "a target", "input_size": "4", "error": "it breaks"})"));
}

TEST(QuantizationReport, CountsWhatIsLeftInFloat) {
  QuantizationReport report{"q.octet", "imxrt700", 7, 0, 358312, 90000};
  EXPECT_EQ(report.text(), "q.octet: 7 operators, 7 quantized for imxrt700; 358.3 KB -> 90.0 KB\n");
  report.in_float = 2;
  EXPECT_EQ(report.text(), "q.octet: 7 operators, 5 quantized for imxrt700, 2 left in float; 358.3 KB -> 90.0 KB\n");
  EXPECT_EQ(report.json().dump(), R"({"output":"q.octet","target":"imxrt700","operators":7,"in_float":2,)"
                                  R"("float_bytes":358312,"bytes":90000,"warnings":[]})");
}

TEST(ExportReport, NamesTheFilesThatWereWritten) {
  ExportReport report;
  EXPECT_EQ(report.text(), "");
  EXPECT_EQ(report.json().dump(), "{}");
  report.tflite = {"m.tflite", 5, 1, {}};
  report.tflite->memory.arena_bytes = 4096;
  report.tflite->memory.peak_bytes = 4000;
  report.pt2 = {"m.pt2", "legacy"};
  report.encodings = {"e.json", 9};
  EXPECT_EQ(report.text(),
            "m.tflite: 5 operators, 1 of them in float; arena 4.1 KB, most alive at one step 4.0 KB\n"
            "m.pt2: legacy layout\ne.json: 9 encodings\n");
  EXPECT_EQ(report.json().at("tflite").at("arena_bytes"), 4096);
  EXPECT_EQ(report.json().at("encodings").at("count"), 9);
}

TEST(DemoReport, IsATableOfModels) {
  DemoReport report{"net", "digits", 7, 65, {}};
  report.rows.push_back({"float", evaluation(0.9), std::nullopt, 1000, 60});
  report.rows.push_back({"PTQ int8", evaluation(0.8), evaluation(0.85), 250, 5});
  EXPECT_EQ(report.text(),
            "\nmodel     top-1   top-5   fake quantized  size    time\n"
            "--------  ------  ------  --------------  ------  ----\n"
            "float     0.9000  1.0000                  1.0 KB  1:00\n"
            "PTQ int8  0.8000  1.0000          0.8500   250 B  0:05\n"
            "\nnet on digits, seed 7, 1:05 in all\n");
  EXPECT_EQ(report.json().at("models")[1].at("fake_quantized").at("top1"), 0.85);
}

TEST(DemoReport, HasTargetsInATableOfTheirOwn) {
  DemoReport report{"net", "digits", 7, 65, {}};
  report.rows.push_back({"float", evaluation(0.9), std::nullopt, 1000, 60});
  report.targets.push_back({"npu", "int8", 0.8, 0.89, true});
  report.targets.push_back({"cpu", "weights", 0.88, std::nullopt, false});
  EXPECT_NE(report.text().find("\ntarget  mode     float   PTQ     QAT     measured\n"), std::string::npos)
      << report.text();
  EXPECT_NE(report.text().find("npu     int8     0.9000  0.8000  0.8900  in integers\n"), std::string::npos);
  EXPECT_NE(report.text().find("cpu     weights  0.9000  0.8800       -  on its grids\n"), std::string::npos);
  const auto json = report.json().at("targets");
  EXPECT_EQ(json[0].at("qat"), 0.89);
  EXPECT_FALSE(json[1].contains("qat"));
}

}  // namespace
}  // namespace octet::report

#include "octet/report/training_reports.h"

#include <nlohmann/json.hpp>

#include "octet/report/numbers.h"
#include "octet/report/table.h"
#include "octet/support/error.h"
#include "octet/train/progress.h"

namespace octet::report {
namespace {

// "top-1 0.9000  top-5 1.0000"
std::string scores_text(const std::vector<Score>& scores) {
  std::string text;
  for (const Score& score : scores) {
    text += octet::str(text.empty() ? "" : "  ", score.title, ' ', fixed(score.value, 4));
  }
  return text;
}

void add_scores(nlohmann::ordered_json& json, const std::vector<Score>& scores) {
  for (const Score& score : scores) json[score.key] = score.value;
}

nlohmann::ordered_json evaluation_json(const Evaluation& found) {
  nlohmann::ordered_json json = {{"samples", found.samples}};
  add_scores(json, found.scores);
  json["loss"] = found.loss;
  return json;
}

// "; 3 damaged files left out", or nothing.
std::string left_out_text(int64_t count) {
  return count > 0 ? octet::str("; ", count, " damaged file", count > 1 ? "s" : "", " left out") : "";
}

}  // namespace

std::string EvaluationReport::text() const {
  const std::string scores = scores_text(found.scores);
  return octet::str(scores, scores.empty() ? "" : "  ", "loss ", fixed(found.loss, 4), "  (", found.samples,
                    " samples, ", fixed(found.samples_per_second, 0), " a second)", left_out_text(left_out), '\n');
}

nlohmann::ordered_json EvaluationReport::json() const {
  nlohmann::ordered_json json = {{"model", model}, {"arithmetic", arithmetic}, {"data", data}};
  json.update(evaluation_json(found));
  if (left_out > 0) json["left_out"] = left_out;
  return json;
}

std::string TrainingReport::text() const {
  double waiting = 0;
  for (const EpochInfo& epoch : training.epochs) waiting += epoch.waiting;
  std::string text = octet::str(output, ": ", training.epochs.size(), " epochs, ", fixed(training.seconds, 1), " s");
  if (training.seconds > 0) {
    text += octet::str(" (", fixed(static_cast<double>(training.samples) / training.seconds, 0), " samples a second, ",
                       fixed(100 * waiting / training.seconds, 1), " % waiting for data)");
  }
  if (peak_bytes > 0) text += octet::str(", ", bytes_text(peak_bytes), " of memory at the peak");
  if (evaluation) text += octet::str(", ", is_qat ? "quantized model: " : "", scores_text(evaluation->scores));
  return text + left_out_text(left_out) + '\n';
}

nlohmann::ordered_json TrainingReport::json() const {
  nlohmann::ordered_json json = {{"output", output}, {"mode", is_qat ? "qat" : "float"}, {"seconds", training.seconds}};
  json["epochs"] = nlohmann::ordered_json::array();
  for (const EpochInfo& epoch : training.epochs) {
    nlohmann::ordered_json row = {{"loss", epoch.loss}, {"seconds", epoch.seconds}, {"waiting", epoch.waiting}};
    add_scores(row, epoch.scores);
    if (epoch.evaluation) row["evaluation"] = evaluation_json(*epoch.evaluation);
    json["epochs"].push_back(std::move(row));
  }
  if (peak_bytes > 0) json["peak_bytes"] = peak_bytes;
  if (evaluation) json["evaluation"] = evaluation_json(*evaluation);
  if (left_out > 0) json["left_out"] = left_out;
  return json;
}

std::string DemoReport::text() const {
  Table table({"model", "top-1", "top-5", "fake quantized", "size", "time"});
  for (const Row& row : rows) {
    table.row({row.name, fixed(row.found.score("top1"), 4), fixed(row.found.score("top5"), 4),
               row.fake_quantized ? fixed(row.fake_quantized->score("top1"), 4) : "", bytes_text(row.bytes),
               duration_text(row.seconds)});
  }
  std::string beside;
  if (!targets.empty()) {
    Table by_target({"target", "mode", "float", "PTQ", "QAT", "measured"});
    for (const TargetRow& row : targets) {
      by_target.row({row.target, row.mode, fixed(rows.front().found.score("top1"), 4), fixed(row.ptq, 4),
                     row.qat ? fixed(*row.qat, 4) : "-", row.in_integers ? "in integers" : "on its grids"});
    }
    beside = octet::str('\n', by_target.text());
  }
  return octet::str('\n', table.text(), beside, '\n', model, " on ", data, ", seed ", seed, ", ",
                    duration_text(seconds), " in all\n");
}

nlohmann::ordered_json DemoReport::json() const {
  nlohmann::ordered_json json = {{"model", model}, {"data", data}, {"seed", seed}, {"seconds", seconds}};
  json["models"] = nlohmann::ordered_json::array();
  for (const Row& row : rows) {
    nlohmann::ordered_json each = {{"name", row.name}, {"bytes", row.bytes}, {"seconds", row.seconds}};
    each["evaluation"] = evaluation_json(row.found);
    if (row.fake_quantized) each["fake_quantized"] = evaluation_json(*row.fake_quantized);
    json["models"].push_back(std::move(each));
  }
  for (const TargetRow& row : targets) {
    nlohmann::ordered_json each = {{"target", row.target}, {"mode", row.mode}, {"ptq", row.ptq}};
    if (row.qat) each["qat"] = *row.qat;
    each["measured_in_integers"] = row.in_integers;
    json["targets"].push_back(std::move(each));
  }
  return json;
}

}  // namespace octet::report

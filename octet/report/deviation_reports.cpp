#include "octet/report/deviation_reports.h"

#include <cmath>
#include <nlohmann/json.hpp>
#include <sstream>

#include "octet/report/numbers.h"
#include "octet/report/table.h"
#include "octet/support/error.h"

namespace octet::report {
namespace {

nlohmann::ordered_json decibel_json(double sqnr) {
  return std::isfinite(sqnr) ? nlohmann::ordered_json(sqnr) : nlohmann::ordered_json(nullptr);
}

nlohmann::ordered_json deviation_json(const Deviation& found) {
  return {{"different", found.different},
          {"beyond_a_step", found.beyond_a_step},
          {"most_steps", found.most_steps},
          {"sqnr_db", decibel_json(found.sqnr_db)}};
}

nlohmann::ordered_json values_json(const std::vector<ValueDeviation>& values) {
  auto array = nlohmann::ordered_json::array();
  for (const ValueDeviation& value : values) {
    array.push_back({{"name", value.name},
                     {"op", value.op},
                     {"elements", value.elements},
                     {"whole", deviation_json(value.whole)},
                     {"alone", deviation_json(value.alone)}});
  }
  return array;
}

std::vector<std::string> value_row(const ValueDeviation& value) {
  return {octet::str(value.whole.different, " of ", value.elements),
          fixed(value.whole.most_steps, 1),
          decibel_text(value.whole.sqnr_db, 1),
          octet::str(value.alone.different),
          fixed(value.alone.most_steps, 1),
          value.op,
          value.name};
}

// Behind a figure that is of the finite elements alone.
std::string beside_infinities(int64_t infinities) {
  return infinities == 0 ? std::string() : octet::str(", without ", infinities, " infinite elements");
}

}  // namespace

std::string ComparisonReport::text() const {
  std::string text;
  for (size_t i = 0; i < found.output_sqnr_db.size(); ++i) {
    const int64_t infinities = i < found.output_infinities.size() ? found.output_infinities[i] : 0;
    text += octet::str("output ", i, ": SQNR ", decibel_text(found.output_sqnr_db[i], 2), " dB",
                       beside_infinities(infinities), "\n");
  }
  Table table({"SQNR dB", "layer", "op"});
  for (const LayerComparison& layer : found.layers) {
    table.row({decibel_text(layer.sqnr_db, 2), layer.name, layer.op + beside_infinities(layer.infinities)});
  }
  return text + '\n' + table.text();
}

nlohmann::ordered_json ComparisonReport::json() const {
  nlohmann::ordered_json json;
  json["output_sqnr_db"] = nlohmann::ordered_json::array();
  for (const double sqnr : found.output_sqnr_db) json["output_sqnr_db"].push_back(decibel_json(sqnr));
  json["layers"] = nlohmann::ordered_json::array();
  for (const LayerComparison& layer : found.layers) {
    json["layers"].push_back({{"op", layer.op},
                              {"name", layer.name},
                              {"float_name", layer.float_name},
                              {"sqnr_db", decibel_json(layer.sqnr_db)}});
    if (layer.infinities > 0) json["layers"].back()["infinities"] = layer.infinities;
  }
  return json;
}

std::string VerificationReport::text() const {
  Table table({"differ", "most steps", "SQNR dB", "alone: differ", "most steps", "op", "value"});
  for (const ValueDeviation& layer : found.layers) table.row(value_row(layer));
  for (const ValueDeviation& output : found.outputs) table.row(value_row(output));
  std::ostringstream out;
  out << table.text() << '\n';
  const ValueDeviation* first = found.first_difference();
  if (first == nullptr) {
    out << "the layers are equal\n";
  } else {
    out << "they part at " << first->op << " '" << first->name << "', by " << fixed(first->whole.most_steps, 1)
        << " steps\n";
  }
  for (size_t j = 0; j < found.outputs.size(); ++j) {
    const ValueDeviation& output = found.outputs[j];
    out << "output " << j << ": " << output.whole.different << " of " << output.elements << " differ, by at most "
        << fixed(output.whole.most_steps, 1) << " steps; SQNR " << decibel_text(output.whole.sqnr_db, 1) << " dB\n";
  }
  return out.str();
}

nlohmann::ordered_json VerificationReport::json() const {
  return {{"outputs", values_json(found.outputs)}, {"layers", values_json(found.layers)}};
}

}  // namespace octet::report

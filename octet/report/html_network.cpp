#include "octet/report/html_network.h"

#include <algorithm>
#include <map>

#include "octet/report/html.h"
#include "octet/report/numbers.h"
#include "octet/support/error.h"

namespace octet::report {
namespace {

constexpr size_t kMostLanes = 10;  // the rest share the last
constexpr size_t kLane = 14;       // pixels

// Values that are alive beside a row, each in a lane.
class Lanes {
 public:
  Lanes(size_t rows, const Edges& edges) : last_(rows, 0), inputs_(rows) {
    for (const auto& [from, to] : edges) {
      if (from >= rows || to >= rows || from >= to) continue;
      last_[from] = std::max(last_[from], to);
      auto& read = inputs_[to];
      if (std::find(read.begin(), read.end(), from) == read.end()) read.push_back(from);
    }
  }

  struct Row {
    size_t lane = 0;               // of the operator
    std::vector<size_t> passing;   // lanes from above to below
    std::vector<size_t> arriving;  // from above to the operator
    std::vector<size_t> leaving;   // from the operator to below
  };

  // Rows in order, each once.
  Row next(size_t row) {
    Row drawn;
    for (const size_t from : inputs_[row]) {
      const auto lane = lane_of_.find(from);
      if (lane != lane_of_.end()) drawn.arriving.push_back(lane->second);
    }
    std::vector<size_t> over;
    for (const auto& [value, lane] : lane_of_) {
      if (last_[value] > row) {
        drawn.passing.push_back(lane);
      } else {
        over.push_back(value);
      }
    }
    std::vector<size_t> freed;
    for (const size_t value : over) {
      freed.push_back(lane_of_[value]);
      lane_of_.erase(value);
    }
    drawn.lane = freed.empty() ? free_lane() : *std::min_element(freed.begin(), freed.end());
    if (last_[row] > row) {
      lane_of_[row] = drawn.lane;
      drawn.leaving.push_back(drawn.lane);
    }
    return drawn;
  }

 private:
  size_t free_lane() const {
    for (size_t lane = 0;; ++lane) {
      const bool taken =
          std::any_of(lane_of_.begin(), lane_of_.end(), [&](const auto& each) { return each.second == lane; });
      if (!taken) return lane;
    }
  }

  std::vector<size_t> last_;                 // the last reader of each row's value; 0: none
  std::vector<std::vector<size_t>> inputs_;  // rows that each row reads
  std::map<size_t, size_t> lane_of_;         // of values that are alive
};

size_t shown(size_t lane) { return std::min(lane, kMostLanes - 1); }

std::string rail(const Lanes::Row& row, size_t lanes) {
  const auto x = [](size_t lane) { return shown(lane) * kLane + kLane / 2; };
  std::string path;
  for (const size_t lane : row.passing) path += octet::str('M', x(lane), " 0V100");
  for (const size_t lane : row.arriving) path += octet::str('M', x(lane), " 0L", x(row.lane), " 50");
  for (const size_t lane : row.leaving) path += octet::str('M', x(row.lane), " 50L", x(lane), " 100");
  const size_t width = lanes * kLane;
  return octet::str("<span class=\"rail\" aria-hidden=\"true\" style=\"width:", width,
                    "px\"><svg preserveAspectRatio=\"none\" viewBox=\"0 0 ", width, " 100\"><path d=\"", path,
                    "\"/></svg><span class=\"dot\" style=\"top:50%;left:", x(row.lane), "px\"></span></span>");
}

std::string what(const targets::OperatorPlacement& row, bool by_patterns) {
  const std::string place = by_patterns ? (row.partition ? "integers" : "float")
                                        : (row.partition ? octet::str("NPU ", *row.partition) : "CPU");
  std::string text = octet::str("<div class=\"what\"><span class=\"place\">", place, "</span><b>", escaped(row.name),
                                "</b> <span class=\"soft\">", escaped(row.op));
  if (row.macs > 0) text += octet::str(", ", macs_text(row.macs));
  if (row.bytes > 0) text += octet::str(", ", bytes_text(row.bytes));
  text += "</span>";
  if (!row.reason.empty()) text += octet::str("<br>", escaped(row.reason));
  if (!row.way_out.empty()) text += octet::str("<br><i>", escaped(row.way_out), "</i>");
  for (const std::string& condition : row.conditions) text += octet::str("<br>on condition: ", escaped(condition));
  return text + "</div>";
}

}  // namespace

std::string network_drawing(const targets::Placement& placement, const Edges& edges) {
  Lanes lanes(placement.operators.size(), edges);
  std::vector<Lanes::Row> rows;
  size_t most = 0;
  for (size_t i = 0; i < placement.operators.size(); ++i) {
    rows.push_back(lanes.next(i));
    most = std::max(most, shown(rows.back().lane));
    for (const size_t lane : rows.back().passing) most = std::max(most, shown(lane));
  }
  std::string out = "<ol class=\"net\">\n";
  for (size_t i = 0; i < rows.size(); ++i) {
    const targets::OperatorPlacement& row = placement.operators[i];
    out += octet::str("<li class=\"", row.partition ? octet::str('p', *row.partition % 4) : "cpu", "\">",
                      rail(rows[i], most + 1), what(row, placement.by_patterns), "</li>\n");
  }
  return out + "</ol>\n";
}

}  // namespace octet::report

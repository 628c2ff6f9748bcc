#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace octet {

struct JsonLimits {
  uint64_t max_bytes = uint64_t{256} << 20;
  size_t max_depth = 100;
};

/// Parses one JSON document. Throws octet::Error naming `where` for malformed text, a key that stands twice in an
/// object, or a document larger or deeper than the limits.
nlohmann::json parse_json(std::string_view text, const std::string& where, const JsonLimits& limits = {});

/// A value inside a JSON document that knows its path, so that every failing read says where:
/// `[model.pt2/models/model.json: graph_module.graph.nodes[3].target] expected a string, got 5`.
class JsonCursor {
 public:
  JsonCursor(const nlohmann::json& value, std::string where, std::string path = "")
      : value_(&value), where_(std::move(where)), path_(std::move(path)) {}

  /// The member; throws where there is none.
  JsonCursor at(const std::string& key) const;
  /// True where the member is present and not null.
  bool has(const std::string& key) const;
  /// The elements of an array.
  std::vector<JsonCursor> elements() const;
  /// The members of an object, in key order.
  std::vector<std::pair<std::string, JsonCursor>> members() const;

  bool is_null() const { return value_->is_null(); }
  int64_t to_int() const;
  /// Numbers, and the texts "Infinity", "-Infinity", "NaN".
  double to_double() const;
  bool to_bool() const;
  std::string to_string() const;
  std::vector<int64_t> to_ints() const;

  const nlohmann::json& json() const { return *value_; }
  /// File, entry and path: the `where` of errors about this value.
  std::string where() const { return path_.empty() ? where_ : where_ + ": " + path_; }

 private:
  [[noreturn]] void mismatch(const char* wanted) const;

  const nlohmann::json* value_;
  std::string where_;
  std::string path_;
};

/// A double as JSON: infinities and NaN, which JSON lacks, as the texts that to_double() reads.
nlohmann::json json_double(double value);

}  // namespace octet

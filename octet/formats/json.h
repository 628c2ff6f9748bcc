#pragma once

#include <cstdint>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "octet/support/api.h"
#include "octet/support/budget.h"

namespace octet {

struct JsonLimits {
  uint64_t max_bytes = limits::kText;
  size_t max_depth = limits::kDepth;
};

/// Parses one JSON document. Throws octet::Error naming `where` for malformed text, a key that stands twice in an
/// object, or a document larger or deeper than the limits, and what `budget` throws where the values would take more
/// memory than is left of it: values are counted before one is made.
OCTET_API nlohmann::json parse_json(std::string_view text, const std::string& where, Budget& budget,
                                    const JsonLimits& limits = {});
/// For a text that is a file by itself.
OCTET_API nlohmann::json parse_json(std::string_view text, const std::string& where, const JsonLimits& limits = {});

/// A value inside a JSON document that knows its path, so that every failing read says where:
/// `[model.pt2/models/model.json: graph_module.graph.nodes[3].target] expected a string, got 5`.
///
/// A cursor points into the document, which outlives it; its path is put into words only when it is asked for.
class OCTET_API JsonCursor {
 public:
  JsonCursor(const nlohmann::json& value, std::string where);

  class Elements;
  class Members;

  /// The member; throws where there is none.
  JsonCursor at(const std::string& key) const;
  /// True where the member is present and not null.
  bool has(const std::string& key) const;
  /// The elements of an array.
  Elements elements() const;
  /// The members of an object, in key order.
  Members members() const;

  bool is_null() const { return value_->is_null(); }
  int64_t to_int() const;
  /// Numbers, and the texts "Infinity", "-Infinity", "NaN".
  double to_double() const;
  bool to_bool() const;
  const std::string& to_string() const;
  std::vector<int64_t> to_ints() const;

  const nlohmann::json& json() const { return *value_; }
  /// File, entry and path: the `where` of errors about this value.
  std::string where() const;

 private:
  // The containers on the way to a value, shared by all that stands in them. `name` is the file of a root.
  struct Step {
    std::shared_ptr<const Step> up;
    const std::string* key = nullptr;
    size_t index = 0;
    std::string name;
  };
  JsonCursor(const nlohmann::json& value, std::shared_ptr<const Step> parent, const std::string* key, size_t index)
      : value_(&value), parent_(std::move(parent)), key_(key), index_(index) {}
  std::shared_ptr<const Step> step() const;
  [[noreturn]] void mismatch(const char* wanted) const;

  const nlohmann::json* value_;
  std::shared_ptr<const Step> parent_;
  const std::string* key_ = nullptr;  // in the parent; null in an array
  size_t index_ = 0;
  mutable std::shared_ptr<const Step> own_;
};

/// The elements of an array: cursors made one at a time.
class JsonCursor::Elements {
 public:
  class Iterator {
   public:
    Iterator(const Elements& of, size_t index) : of_(of), index_(index) {}
    JsonCursor operator*() const { return of_[index_]; }
    Iterator& operator++() {
      ++index_;
      return *this;
    }
    bool operator==(const Iterator& other) const { return index_ == other.index_; }

   private:
    const Elements& of_;
    size_t index_;
  };

  size_t size() const { return array_->size(); }
  bool empty() const { return array_->empty(); }
  JsonCursor operator[](size_t index) const { return {(*array_)[index], step_, nullptr, index}; }
  Iterator begin() const { return {*this, 0}; }
  Iterator end() const { return {*this, size()}; }

 private:
  friend class JsonCursor;
  Elements(const nlohmann::json& array, std::shared_ptr<const Step> step) : array_(&array), step_(std::move(step)) {}
  const nlohmann::json* array_;
  std::shared_ptr<const Step> step_;
};

/// The members of an object: keys with cursors made one at a time.
class JsonCursor::Members {
 public:
  using Pair = std::pair<const std::string&, JsonCursor>;
  class Iterator {
   public:
    Iterator(const Members& of, nlohmann::json::object_t::const_iterator at) : of_(of), at_(at) {}
    Pair operator*() const { return {at_->first, JsonCursor(at_->second, of_.step_, &at_->first, 0)}; }
    Iterator& operator++() {
      ++at_;
      return *this;
    }
    bool operator==(const Iterator& other) const { return at_ == other.at_; }

   private:
    const Members& of_;
    nlohmann::json::object_t::const_iterator at_;
  };

  size_t size() const { return object_->size(); }
  Pair front() const { return *begin(); }
  Iterator begin() const { return {*this, object_->begin()}; }
  Iterator end() const { return {*this, object_->end()}; }

 private:
  friend class JsonCursor;
  Members(const nlohmann::json::object_t& object, std::shared_ptr<const Step> step)
      : object_(&object), step_(std::move(step)) {}
  const nlohmann::json::object_t* object_;
  std::shared_ptr<const Step> step_;
};

/// A double as JSON: infinities and NaN, which JSON lacks, as the texts that to_double() reads.
OCTET_API nlohmann::json json_double(double value);

}  // namespace octet

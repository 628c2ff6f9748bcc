#pragma once

#include <string>
#include <vector>

#include "octet/support/api.h"

namespace octet::report {

/// Text in columns, the first row a heading with a rule under it. Numbers stand right-aligned.
class OCTET_API Table {
 public:
  explicit Table(std::vector<std::string> heading) : rows_{std::move(heading)} {}
  void row(std::vector<std::string> cells) { rows_.push_back(std::move(cells)); }
  std::string text() const;

 private:
  std::vector<std::vector<std::string>> rows_;
};

}  // namespace octet::report

#pragma once

#include <string>
#include <vector>

namespace octet::report {

// Pieces of a page. Every text that comes from elsewhere goes through escaped().

/// Text as HTML shows it, in elements and in quoted attributes; bytes that are no UTF-8, and control characters, become
/// the sign for what is unknown.
std::string escaped(const std::string& text);

/// A table in a region that scrolls by itself. Cells are HTML; `numbers`: the columns that stand to the right.
std::string html_table(const std::string& caption, const std::vector<std::string>& heading,
                       const std::vector<std::vector<std::string>>& rows, const std::vector<size_t>& numbers = {});

/// A section with its heading; nothing where there is no body.
std::string html_section(const std::string& id, const std::string& title, const std::string& body);

/// The style of the whole page: light and dark, narrow screens, print.
const char* html_style();

}  // namespace octet::report

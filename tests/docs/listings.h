#pragma once

#include <map>
#include <string>
#include <vector>

namespace octet::docs {

/// A fenced block of a document, or a marked region of a source. `text` has no common indent and ends with a newline.
struct Block {
  std::string file;
  int line = 0;          ///< of the first line of the text
  std::string language;  ///< what stands behind the opening fence
  std::string text;
};

/// All fenced blocks of a Markdown text. Throws std::runtime_error for a fence that is not closed.
std::vector<Block> fenced_blocks(const std::string& markdown, const std::string& file);

/// What stands between `// [name]` and `// [/name]`, by name; regions may nest, markers are no part of the text. Throws
/// std::runtime_error for a name that opens twice, or is not closed.
std::map<std::string, Block> regions(const std::string& source, const std::string& file);

}  // namespace octet::docs

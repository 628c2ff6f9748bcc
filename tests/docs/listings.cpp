#include "tests/docs/listings.h"

#include <algorithm>
#include <sstream>
#include <stdexcept>

namespace octet::docs {
namespace {

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

std::string trimmed(const std::string& line) {
  const size_t first = line.find_first_not_of(' ');
  return first == std::string::npos ? "" : line.substr(first, line.find_last_not_of(' ') - first + 1);
}

std::string without_indent(const std::vector<std::string>& lines) {
  size_t indent = std::string::npos;
  for (const std::string& line : lines) indent = std::min(indent, line.find_first_not_of(' '));
  std::string text;
  for (const std::string& line : lines) text += (trimmed(line).empty() ? "" : line.substr(indent)) + '\n';
  return text;
}

[[noreturn]] void fail(const std::string& file, int line, const std::string& message) {
  throw std::runtime_error(file + ":" + std::to_string(line) + ": " + message);
}

}  // namespace

std::vector<Block> fenced_blocks(const std::string& markdown, const std::string& file) {
  std::vector<Block> blocks;
  std::vector<std::string> inside;
  bool open = false;
  int number = 0;
  for (const std::string& line : lines_of(markdown)) {
    ++number;
    const std::string text = trimmed(line);
    if (!open && text.rfind("```", 0) == 0) {
      blocks.push_back({file, number + 1, text.substr(3), ""});
      inside.clear();
      open = true;
    } else if (open && text == "```") {
      blocks.back().text = without_indent(inside);
      open = false;
    } else if (open) {
      inside.push_back(line);
    }
  }
  if (open) fail(file, blocks.back().line - 1, "the fence is not closed");
  return blocks;
}

std::map<std::string, Block> regions(const std::string& source, const std::string& file) {
  struct Open {
    int line;
    std::vector<std::string> inside;
  };
  std::map<std::string, Open> open;
  std::map<std::string, Block> closed;
  int number = 0;
  for (const std::string& line : lines_of(source)) {
    ++number;
    const std::string text = trimmed(line);
    const bool marker = text.rfind("// [", 0) == 0 && text.back() == ']';
    if (!marker) {
      for (auto& [name, region] : open) region.inside.push_back(line);
      continue;
    }
    const std::string name = text.substr(4, text.size() - 5);
    if (name.rfind('/', 0) != 0) {
      if (open.count(name) || closed.count(name)) fail(file, number, "region '" + name + "' opens twice");
      open[name] = {number + 1, {}};
      continue;
    }
    const auto found = open.find(name.substr(1));
    if (found == open.end()) fail(file, number, "region '" + name.substr(1) + "' was not opened");
    closed[found->first] = {file, found->second.line, "cpp", without_indent(found->second.inside)};
    open.erase(found);
  }
  if (!open.empty()) fail(file, open.begin()->second.line - 1, "region '" + open.begin()->first + "' is not closed");
  return closed;
}

}  // namespace octet::docs

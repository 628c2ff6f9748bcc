#include "tests/docs/listings.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>

namespace octet::docs {
namespace {

// The documents whose every listing and command is run. ctest starts this in the root of the sources.
const std::vector<std::string> kDocuments = {"README.md",
                                             "docs/quantization-overview.md",
                                             "docs/neutron-quantization.md",
                                             "docs/xnnpack-quantization.md",
                                             "docs/coreml-quantization.md",
                                             "docs/weight-only-quantization.md"};

std::string read(const std::string& path) {
  std::ifstream stream(path);
  EXPECT_TRUE(stream.good()) << path;
  std::ostringstream text;
  text << stream.rdbuf();
  return text.str();
}

// The regions of all examples, each of which ctest runs.
std::vector<Block> example_regions() {
  std::vector<Block> all;
  for (const auto& entry : std::filesystem::recursive_directory_iterator("examples")) {
    if (entry.path().extension() != ".cpp") continue;
    for (const auto& [name, region] : regions(read(entry.path()), entry.path())) all.push_back(region);
  }
  return all;
}

std::set<std::string> texts(const std::vector<Block>& blocks) {
  std::set<std::string> texts;
  for (const Block& block : blocks) texts.insert(block.text);
  return texts;
}

std::vector<Block> listings() {
  std::vector<Block> all;
  for (const std::string& document : kDocuments) {
    for (const Block& block : fenced_blocks(read(document), document)) {
      if (block.language == "cpp") all.push_back(block);
    }
  }
  return all;
}

TEST(Guides, EveryListingIsARegionOfAnExample) {
  const std::set<std::string> known = texts(example_regions());
  const std::vector<Block> shown = listings();
  EXPECT_GE(shown.size(), 10u);
  for (const Block& block : shown) {
    EXPECT_TRUE(known.count(block.text)) << block.file << ":" << block.line << ": no region of examples/ equals\n"
                                         << block.text;
  }
}

TEST(Guides, EveryRegionIsShown) {
  const std::set<std::string> shown = texts(listings());
  for (const Block& region : example_regions()) {
    EXPECT_TRUE(shown.count(region.text)) << region.file << ":" << region.line << ": no document shows\n"
                                          << region.text;
  }
}

// A block under another name would escape both this test and tests/docs/run_commands.sh.
TEST(Guides, BlocksAreListingsCommandsOrPictures) {
  for (const std::string& document : kDocuments) {
    for (const Block& block : fenced_blocks(read(document), document)) {
      EXPECT_TRUE(block.language == "cpp" || block.language == "sh" || block.language.empty())
          << document << ":" << block.line << ": ```" << block.language;
    }
  }
}

TEST(Listings, IndentAndMarkersAreNoPartOfTheText) {
  const auto found =
      regions("  // [all]\n  a;\n  // [part]\n    b;\n\n    c;\n  // [/part]\n  // [/all]\nd;\n", "x.cpp");
  ASSERT_EQ(found.size(), 2u);
  EXPECT_EQ(found.at("all").text, "a;\n  b;\n\n  c;\n");
  EXPECT_EQ(found.at("part").text, "b;\n\nc;\n");
  EXPECT_EQ(found.at("part").line, 4);
  const auto blocks = fenced_blocks("- so:\n  ```cpp\n  b;\n\n  c;\n  ```\n", "x.md");
  ASSERT_EQ(blocks.size(), 1u);
  EXPECT_EQ(blocks[0].text, found.at("part").text);
  EXPECT_NE(fenced_blocks("```cpp\nb;\n\nC;\n```\n", "x.md")[0].text, found.at("part").text);
}

TEST(Listings, BrokenMarkersAreNamed) {
  for (const char* source : {"// [a]\n", "// [/a]\n", "// [a]\n// [a]\n", "// [a]\n// [/a]\n// [a]\n// [/a]\n"}) {
    EXPECT_THROW(regions(source, "x.cpp"), std::runtime_error) << source;
  }
  EXPECT_THROW(fenced_blocks("```cpp\nb;\n", "x.md"), std::runtime_error);
}

}  // namespace
}  // namespace octet::docs

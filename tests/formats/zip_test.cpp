#include "octet/formats/zip.h"

#include <gtest/gtest.h>
#include <zlib.h>

#include <random>

#include "octet/support/byte_source.h"
#include "tests/formats/malformed.h"
#include "tests/support/error_test.h"
#include "tests/support/test_data.h"

namespace octet {
namespace {

using test::deflated;
using test::fails_with;

ZipReader from_memory(std::string bytes, std::shared_ptr<Budget> budget = nullptr) {
  return ZipReader(memory_source("test.zip", std::move(bytes)), std::move(budget));
}

std::string written(const std::vector<std::pair<std::string, std::string>>& entries, bool zip64 = false) {
  const test::TemporaryFolder folder;
  ZipWriter writer(folder.file("a.zip"), zip64);
  for (const auto& [name, bytes] : entries) writer.add(name, bytes);
  writer.finish();
  return read_file(folder.file("a.zip"));
}

void put(std::string& to, size_t at, uint64_t value, int bytes) {
  for (int i = 0; i < bytes; ++i) to[at + static_cast<size_t>(i)] = static_cast<char>(value >> (8 * i) & 0xff);
}

// A stored archive of one entry, turned into one whose payload counts as deflated to `size` bytes.
std::string as_deflated(const std::string& packed, uint64_t size, uint32_t crc) {
  std::string zip = written({{"a", packed}});
  const size_t central = zip.rfind("PK\x01\x02");
  put(zip, 8, 8, 2);
  put(zip, central + 10, 8, 2);
  put(zip, central + 16, crc, 4);
  put(zip, central + 24, size, 4);
  return zip;
}

uint32_t crc_of(const std::string& bytes) {
  return static_cast<uint32_t>(
      crc32(0, reinterpret_cast<const unsigned char*>(bytes.data()), static_cast<unsigned>(bytes.size())));
}

const std::vector<std::pair<std::string, std::string>> kEntries = {
    {"root/a", "hello"}, {"root/empty", ""}, {"root/b", std::string(1000, 'x')}, {"root/ü", "umlaut"}};

TEST(Zip, ReadsWhatItWrites) {
  for (const bool zip64 : {false, true}) {
    const ZipReader zip = from_memory(written(kEntries, zip64));
    ASSERT_EQ(zip.entries().size(), kEntries.size());
    for (size_t i = 0; i < kEntries.size(); ++i) {
      EXPECT_EQ(zip.entries()[i].name, kEntries[i].first);
      EXPECT_EQ(zip.read(kEntries[i].first), kEntries[i].second);
    }
    EXPECT_TRUE(fails_with([&] { zip.read("root/c"); }, "[test.zip/root/c] is missing"));
    EXPECT_TRUE(fails_with([&] { zip.read("root/b", 999); }, "is too large"));
  }
}

TEST(Zip, AlignsPayloadsTo64Bytes) {
  for (const bool zip64 : {false, true}) {
    const std::string bytes = written(kEntries, zip64);
    EXPECT_EQ(bytes.find("hello") % 64, 0u);
    EXPECT_EQ(bytes.find("umlaut") % 64, 0u);
    EXPECT_EQ(bytes.find(std::string(1000, 'x')) % 64, 0u);
  }
}

TEST(Zip, WritesEqualFilesForEqualContent) { EXPECT_EQ(written(kEntries), written(kEntries)); }

TEST(Zip, WritesMoreThan65535Entries) {
  std::vector<std::pair<std::string, std::string>> entries;
  for (int i = 0; i < 66000; ++i) entries.emplace_back("e" + std::to_string(i), std::to_string(i));
  const ZipReader zip = from_memory(written(entries));
  EXPECT_EQ(zip.entries().size(), 66000u);
  EXPECT_EQ(zip.read("e65999"), "65999");
}

TEST(Zip, RefusesToWriteANameTwice) {
  const test::TemporaryFolder folder;
  ZipWriter writer(folder.file("a.zip"));
  writer.add("a", "1");
  EXPECT_TRUE(fails_with([&] { writer.add("a", "2"); }, "before"));
}

TEST(Zip, Inflates) {
  std::string text;
  for (int i = 0; i < 5000; ++i) text += std::to_string(i * i);
  const ZipReader zip = from_memory(as_deflated(deflated(text), text.size(), crc_of(text)));
  EXPECT_EQ(zip.read("a"), text);
  EXPECT_EQ(from_memory(as_deflated(deflated(""), 0, 0)).read("a"), "");
}

TEST(Zip, ChecksInflatedDataAgainstTheDirectory) {
  const std::string text(3000, 'q');
  const std::string packed = deflated(text);
  const auto read = [&](const std::string& zip) { from_memory(zip).read("a"); };
  EXPECT_TRUE(fails_with([&] { read(as_deflated(packed, 2999, crc_of(text))); }, "inflates to more"));
  EXPECT_TRUE(fails_with([&] { read(as_deflated(packed, 3001, crc_of(text))); }, "size after inflating"));
  EXPECT_TRUE(fails_with([&] { read(as_deflated(packed, 3000, 1)); }, "CRC-32"));
  EXPECT_TRUE(
      fails_with([&] { read(as_deflated(packed.substr(0, packed.size() - 3), 3000, crc_of(text))); }, "damaged"));
  EXPECT_TRUE(fails_with([&] { read(as_deflated("\xff\xff\xff\xff", 3000, crc_of(text))); }, "damaged"));
}

TEST(Zip, RefusesZipBombs) {
  const std::string zeros(100 << 20, '\0');
  const std::string packed = deflated(zeros);  // about 200 to 1
  EXPECT_TRUE(fails_with([&] { from_memory(as_deflated(packed, zeros.size(), crc_of(zeros))); }, "zip bomb"));
  EXPECT_TRUE(fails_with([&] { from_memory(as_deflated(packed, 0xfffffff0, 0)); }, "zip bomb"));
  const std::string two = written({{"a", std::string(6000, 'a')}, {"b", std::string(6000, 'b')}});
  const auto budget = [](uint64_t bytes) { return std::make_shared<Budget>("test.zip", 0, bytes); };
  EXPECT_TRUE(fails_with([&] { from_memory(two, budget(10000)); }, "zip bomb"));
  EXPECT_TRUE(fails_with([&] { from_memory(two, budget(100)); }, "the table of its entries would take"));
}

TEST(Zip, ChargesWhatIsReadAgainAndAgain) {
  const auto budget = std::make_shared<Budget>("test.zip", 0, 20000);
  const ZipReader zip = from_memory(written({{"a", std::string(6000, 'a')}}), budget);
  EXPECT_NO_THROW(zip.read("a"));
  EXPECT_NO_THROW(zip.read("a"));
  EXPECT_NO_THROW(zip.read("a"));
  EXPECT_TRUE(fails_with([&] { zip.read("a"); }, "[test.zip] is refused: what it holds would take 6000 bytes"));
}

TEST(Zip, RefusesSizesThatZip64Claims) {
  std::string zip = written({{"a", "payload"}}, true);
  const size_t central = zip.rfind("PK\x01\x02");
  const size_t extra = central + 46 + 1;
  for (const size_t field : {size_t{4}, size_t{12}}) {  // size, size in the archive
    std::string bad = zip;
    put(bad, extra + field, uint64_t{1} << 40, 8);
    EXPECT_TRUE(fails_with([&] { from_memory(bad); }, "[test.zip/a]")) << field;
  }
}

TEST(Zip, RefusesOverlappingEntries) {
  std::string zip = written({{"a", std::string(100, 'x')}, {"b", std::string(100, 'y')}});
  const size_t second = zip.rfind("PK\x01\x02");
  put(zip, second + 42, 0, 4);  // b's local header is a's
  EXPECT_TRUE(fails_with([&] { from_memory(zip); }, "reaches into what follows"));
}

TEST(Zip, RefusesDamagedDirectories) {
  const std::string good = written({{"a", "payload"}, {"b", "payload"}});
  const size_t first = good.find("PK\x01\x02");
  const size_t second = good.rfind("PK\x01\x02");
  const size_t end = good.rfind("PK\x05\x06");
  const auto with = [&](size_t at, uint64_t value, int bytes) {
    std::string zip = good;
    put(zip, at, value, bytes);
    return zip;
  };
  EXPECT_TRUE(fails_with([&] { from_memory(with(second + 46, 'a', 1)); }, "appears twice"));
  EXPECT_TRUE(fails_with([&] { from_memory(with(first + 20, 0xffffff, 4)); }, "past the end"));
  EXPECT_TRUE(fails_with([&] { from_memory(with(first + 42, 0xfffffff0, 4)); }, "past the end"));
  EXPECT_TRUE(fails_with([&] { from_memory(with(first + 24, 6, 4)); }, "sizes differ"));
  EXPECT_TRUE(fails_with([&] { from_memory(with(first + 8, 1, 2)); }, "encrypted"));
  EXPECT_TRUE(fails_with([&] { from_memory(with(first + 10, 12, 2)); }, "compression method"));
  EXPECT_TRUE(fails_with([&] { from_memory(with(first, 0, 4)); }, "magic"));
  EXPECT_TRUE(fails_with([&] { from_memory(with(end + 12, 0xfffffff0, 4)); }, "ends early"));
  EXPECT_TRUE(fails_with([&] { from_memory(with(end + 8, 0xffff, 2)); }, "split"));
  EXPECT_TRUE(fails_with([&] { from_memory(with(0, 0, 4)); }, "does not begin with 'PK'"));
  EXPECT_TRUE(fails_with([&] { from_memory(with(first + 16, 0, 4)).read("a"); }, "CRC-32"));
  EXPECT_TRUE(fails_with([&] { from_memory(with(30, 'z', 1)).read("a"); }, "differs from the central directory"));
}

TEST(Zip, ReportsEveryTruncation) {
  for (const bool zip64 : {false, true}) {
    const std::string good = written(kEntries, zip64);
    for (size_t size = 0; size < good.size(); ++size) {
      ASSERT_TRUE(fails_with([&] { from_memory(good.substr(0, size)); }, "test.zip")) << size;
    }
  }
}

TEST(Zip, SurvivesRandomDamage) {
  std::mt19937 random(1);
  for (const bool zip64 : {false, true}) {
    const std::string good = written(kEntries, zip64);
    for (int round = 0; round < 3000; ++round) {
      std::string bad = good;
      for (int flips = 1 + static_cast<int>(random() % 3); flips > 0; --flips)
        bad[random() % bad.size()] = static_cast<char>(random());
      ASSERT_TRUE(test::works_or_reports([&] {
        const ZipReader zip = from_memory(bad);
        for (const ZipEntry& entry : zip.entries()) zip.read(entry);
      }));
    }
  }
}

}  // namespace
}  // namespace octet

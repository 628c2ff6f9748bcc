#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>

#include "error_test.h"
#include "octet/support/atomic_write.h"
#include "octet/support/byte_source.h"
#include "test_data.h"

namespace octet {
namespace {

namespace fs = std::filesystem;

size_t files_in(const std::string& folder) {
  return static_cast<size_t>(std::distance(fs::directory_iterator(folder), fs::directory_iterator()));
}

TEST(AtomicWrite, WritesAndReplacesAFile) {
  const test::TemporaryFolder folder;
  const std::string path = folder.file("a.bin");
  atomic_write(path, "one");
  EXPECT_EQ(read_file(path), "one");
  atomic_write(path, std::string_view("two\0three", 9));
  EXPECT_EQ(read_file(path), std::string("two\0three", 9));
  EXPECT_EQ(files_in(folder.path()), 1u);
}

TEST(AtomicWrite, LeavesTheOldFileWithoutCommit) {
  const test::TemporaryFolder folder;
  const std::string path = folder.file("a.bin");
  atomic_write(path, "old");
  {
    AtomicFile file(path);
    file.write("half of the new");
    EXPECT_EQ(read_file(path), "old");
  }
  EXPECT_EQ(read_file(path), "old");
  EXPECT_EQ(files_in(folder.path()), 1u);
}

TEST(AtomicWrite, KeepsPermissionsAndFollowsLinks) {
  const test::TemporaryFolder folder;
  const std::string path = folder.file("real");
  const std::string link = folder.file("link");
  atomic_write(path, "old");
  fs::permissions(path, fs::perms::owner_read | fs::perms::owner_write);
  fs::create_symlink("real", link);
  atomic_write(link, "new");
  EXPECT_TRUE(fs::is_symlink(link));
  EXPECT_EQ(read_file(path), "new");
  EXPECT_EQ(fs::status(path).permissions(), fs::perms::owner_read | fs::perms::owner_write);
}

TEST(AtomicWrite, WritesToDevicesDirectly) {
  atomic_write("/dev/null", "anything");
  EXPECT_TRUE(fs::is_character_file("/dev/null"));
}

TEST(AtomicWrite, SaysWhyItCannotWrite) {
  const test::TemporaryFolder folder;
  EXPECT_TRUE(test::fails_with([&] { atomic_write(folder.file("no/such/folder"), "x"); }, "No such file"));
  EXPECT_TRUE(test::fails_with([&] { atomic_write(folder.path(), "x"); }, "it is a folder"));
}

TEST(ByteSource, ReadsFilesAndMemoryWithinTheirBounds) {
  const test::TemporaryFolder folder;
  atomic_write(folder.file("a"), "0123456789");
  for (const auto& source : {open_file(folder.file("a")), memory_source("memory", "0123456789")}) {
    EXPECT_EQ(source->size(), 10u);
    EXPECT_EQ(source->read(3, 4), "3456");
    EXPECT_EQ(source->read(10, 0), "");
    EXPECT_TRUE(test::fails_with([&] { source->read(7, 4); }, "ends early"));
    EXPECT_TRUE(test::fails_with([&] { source->read(11, 0); }, "ends early"));
    EXPECT_TRUE(test::fails_with([&] { source->read(1, UINT64_MAX); }, "ends early"));
  }
}

TEST(ByteSource, SaysWhyAFileCannotBeRead) {
  const test::TemporaryFolder folder;
  EXPECT_TRUE(test::fails_with([&] { open_file(folder.file("none")); }, "No such file"));
  EXPECT_TRUE(test::fails_with([&] { open_file(folder.path()); }, "is a folder"));
  EXPECT_TRUE(test::fails_with([&] { open_file("/dev/zero"); }, "not a regular file"));
  atomic_write(folder.file("a"), "0123456789");
  EXPECT_TRUE(test::fails_with([&] { read_file(folder.file("a"), 9); }, "is too large"));
}

}  // namespace
}  // namespace octet

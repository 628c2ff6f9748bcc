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

// Whoever may not read the old file may not read the new one either, not even while it is written.
TEST(AtomicWrite, GivesNobodyMoreThanTheOldFileDid) {
  const test::TemporaryFolder folder;
  const std::string path = folder.file("secret");
  atomic_write(path, "old");
  fs::permissions(path, fs::perms::owner_read | fs::perms::owner_write);
  AtomicFile file(path);
  for (const auto& entry : fs::directory_iterator(folder.path())) {
    EXPECT_EQ(entry.status().permissions() & (fs::perms::group_all | fs::perms::others_all), fs::perms::none)
        << entry.path();
  }
  file.write("new");
  file.commit();
  fs::permissions(path, fs::perms::set_uid | fs::perms::owner_all);
  atomic_write(path, "newer");
  EXPECT_EQ(fs::status(path).permissions(), fs::perms::owner_all);
}

// The folder's name may lead elsewhere by the time of the commit.
TEST(AtomicWrite, StaysInTheFolderThatItOpened) {
  const test::TemporaryFolder folder;
  fs::create_directory(folder.file("mine"));
  fs::create_directory(folder.file("other"));
  atomic_write(folder.file("other/a.bin"), "another's");
  AtomicFile file(folder.file("mine/a.bin"));
  file.write("mine");
  fs::rename(folder.file("mine"), folder.file("moved"));
  fs::create_symlink("other", folder.file("mine"));
  file.commit();
  EXPECT_EQ(read_file(folder.file("other/a.bin")), "another's");
  EXPECT_EQ(read_file(folder.file("moved/a.bin")), "mine");
  EXPECT_EQ(files_in(folder.file("other")), 1u);
}

TEST(AtomicWrite, LeavesNoTemporaryFileBehindAFailure) {
  const test::TemporaryFolder folder;
  {
    AtomicFile file(folder.file("a.bin"));
    file.write("x");
    fs::create_directories(folder.file("a.bin/in the way"));
    EXPECT_TRUE(test::fails_with([&] { file.commit(); }, "cannot be put in place"));
  }
  EXPECT_EQ(files_in(folder.path()), 1u);
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
  ASSERT_EQ(mkfifo(folder.file("pipe").c_str(), 0600), 0);  // that nobody writes to
  EXPECT_TRUE(test::fails_with([&] { open_file(folder.file("pipe")); }, "not a regular file"));
  atomic_write(folder.file("a"), "0123456789");
  EXPECT_TRUE(test::fails_with([&] { read_file(folder.file("a"), 9); }, "is too large"));
}

}  // namespace
}  // namespace octet

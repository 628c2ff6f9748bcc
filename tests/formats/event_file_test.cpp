// Events as TensorBoard reads them, read back record by record.
#include "octet/formats/event_file.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "octet/support/error.h"
#include "tests/formats/event_reader.h"
#include "tests/support/test_data.h"

namespace octet {
namespace {

TEST(EventFile, Crc32cIsCastagnolis) {
  EXPECT_EQ(crc32c(""), 0U);
  EXPECT_EQ(crc32c("123456789"), 0xE3069283U);
  EXPECT_EQ(crc32c(std::string(32, '\0')), 0x8A9136AAU);  // RFC 3720, B.4
  EXPECT_EQ(crc32c(std::string(32, '\xff')), 0x62A8AB43U);
}

TEST(EventFile, HoldsWhatWasWritten) {
  const test::TemporaryFolder folder;
  EventFile file(folder.file("deep/folder"));
  EXPECT_EQ(std::filesystem::path(file.path()).filename().string().rfind("events.out.tfevents.", 0), 0U);
  EventHistogram histogram{-1, 3, 4.5, 10.25, {-0.5, 1, 3}, {1, 0, 2}};
  file.begin_session(7);
  file.write(7, {{"loss", 0.25}, {"rate", 1e-3}});
  file.write(300, {{"weights", histogram}});
  const std::vector<test::ReadEvent> events = test::read_events(file.path());  // while the file is open
  ASSERT_EQ(events.size(), 4U);
  EXPECT_EQ(events[0].version, "brain.Event:2");
  EXPECT_GT(events[0].wall_time, 1.6e9);
  EXPECT_TRUE(events[1].begins_session);
  EXPECT_EQ(events[1].step, 7);
  EXPECT_EQ(events[2].step, 7);
  EXPECT_EQ(events[2].scalars, (std::map<std::string, float>{{"loss", 0.25F}, {"rate", 1e-3F}}));
  EXPECT_EQ(events[3].step, 300);
  const test::ReadHistogram& read = events[3].histograms.at("weights");
  EXPECT_EQ(read.numbers, (std::vector<double>{-1, 3, 3, 4.5, 10.25}));  // least, greatest, how many, sum, of squares
  EXPECT_EQ(read.limits, histogram.limits);
  EXPECT_EQ(read.counts, histogram.counts);
}

TEST(EventFile, ComesBehindThoseThatAreThere) {
  const test::TemporaryFolder folder;
  std::ofstream(folder.file("events.out.tfevents.4000000000.host.1.0")) << "of another clock";
  const EventFile file(folder.path());
  EXPECT_NE(file.path().find("tfevents.4000000001."), std::string::npos) << file.path();
}

TEST(EventFile, SaysWhereItCantBeWritten) {
  const test::TemporaryFolder folder;
  std::ofstream(folder.file("file")) << "in the way";
  EXPECT_THROW(EventFile{folder.file("file")}, Error);
}

}  // namespace
}  // namespace octet

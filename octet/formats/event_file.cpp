#include "octet/formats/event_file.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <protozero/pbf_writer.hpp>

#include "octet/support/error.h"

namespace octet {
namespace {

namespace fs = std::filesystem;

// The numbers of the fields in event.proto, summary.proto and histogram.proto.
namespace event {
enum Field : uint32_t { kWallTime = 1, kStep = 2, kFileVersion = 3, kSummary = 5, kSessionLog = 7 };
}
namespace session_log {
enum Field : uint32_t { kStatus = 1 };
enum Status : int32_t { kStart = 1 };
}  // namespace session_log
namespace summary {
enum Field : uint32_t { kValue = 1 };
}
namespace value {
enum Field : uint32_t { kTag = 1, kSimpleValue = 2, kHistogram = 5 };
}
namespace histogram {
enum Field : uint32_t { kMin = 1, kMax = 2, kNum = 3, kSum = 4, kSumSquares = 5, kBucketLimit = 6, kBucket = 7 };
}

constexpr const char* kEventFilePrefix = "events.out.tfevents.";
constexpr const char* kEventVersion = "brain.Event:2";

constexpr std::array<uint32_t, 256> crc_table() {
  std::array<uint32_t, 256> table{};
  for (uint32_t byte = 0; byte < table.size(); ++byte) {
    uint32_t rest = byte;
    for (int bit = 0; bit < 8; ++bit) rest = (rest >> 1) ^ ((rest & 1U) != 0 ? 0x82F63B78U : 0U);
    table[byte] = rest;
  }
  return table;
}

// A record that holds CRCs itself stays one whose own can be told from them.
uint32_t masked_crc(std::string_view bytes) {
  const uint32_t crc = crc32c(bytes);
  return ((crc >> 15) | (crc << 17)) + 0xA282EAD8U;
}

template <typename Number>
void append_little_endian(std::string& to, Number number) {
  for (size_t byte = 0; byte < sizeof number; ++byte) to += static_cast<char>(number >> (8 * byte));
}

int64_t seconds_since_1970() {
  return std::chrono::duration_cast<std::chrono::seconds>(std::chrono::system_clock::now().time_since_epoch()).count();
}

// Files are read in the order of their names, which begin with ten digits of seconds: now, or behind the newest.
int64_t time_in_name(const std::string& folder) {
  int64_t time = seconds_since_1970();
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(folder, ignored)) {
    const std::string name = entry.path().filename().string();
    long long other = 0;
    if (name.rfind(kEventFilePrefix, 0) != 0) continue;
    if (std::sscanf(name.c_str() + std::strlen(kEventFilePrefix), "%10lld", &other) == 1 && other < 9'999'999'999) {
      time = std::max<int64_t>(time, other + 1);
    }
  }
  return time;
}

std::string name_in(const std::string& folder) {
  char host[256] = "";
  if (gethostname(host, sizeof host - 1) != 0 || host[0] == '\0') std::strcpy(host, "localhost");
  char text[400];
  std::snprintf(text, sizeof text, "%s%010lld.%s.%d.0", kEventFilePrefix, static_cast<long long>(time_in_name(folder)),
                host, static_cast<int>(getpid()));
  return (fs::path(folder) / text).string();
}

std::string event_begin(int64_t step) {
  std::string bytes;
  protozero::pbf_writer writer(bytes);
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  writer.add_double(event::kWallTime, std::chrono::duration<double>(now).count());
  if (step != 0) writer.add_int64(event::kStep, step);
  return bytes;
}

void add_histogram(protozero::pbf_writer& to, const EventHistogram& of) {
  protozero::pbf_writer writer(to, value::kHistogram);
  double count = 0;
  for (const double each : of.counts) count += each;
  writer.add_double(histogram::kMin, of.least);
  writer.add_double(histogram::kMax, of.greatest);
  writer.add_double(histogram::kNum, count);
  writer.add_double(histogram::kSum, of.sum);
  writer.add_double(histogram::kSumSquares, of.sum_of_squares);
  writer.add_packed_double(histogram::kBucketLimit, of.limits.begin(), of.limits.end());
  writer.add_packed_double(histogram::kBucket, of.counts.begin(), of.counts.end());
}

}  // namespace

uint32_t crc32c(std::string_view bytes) {
  static constexpr auto kTable = crc_table();
  uint32_t crc = ~0U;
  for (const char byte : bytes) crc = (crc >> 8) ^ kTable[(crc ^ static_cast<uint8_t>(byte)) & 0xFFU];
  return ~crc;
}

EventFile::EventFile(const std::string& folder) {
  std::error_code failure;
  fs::create_directories(folder, failure);
  if (failure) throw Error(folder, "can't be made: " + failure.message(), ErrorCategory::kFile);
  path_ = name_in(folder);
  file_.reset(std::fopen(path_.c_str(), "wbx"));
  if (!file_) throw Error(path_, str("can't be written: ", std::strerror(errno)), ErrorCategory::kFile);
  std::string bytes = event_begin(0);
  protozero::pbf_writer(bytes).add_string(event::kFileVersion, kEventVersion);
  append(bytes);
}

void EventFile::begin_session(int64_t step) {
  std::string bytes = event_begin(step);
  {
    protozero::pbf_writer writer(bytes);
    protozero::pbf_writer log(writer, event::kSessionLog);
    log.add_enum(session_log::kStatus, session_log::kStart);
  }
  append(bytes);
}

void EventFile::write(int64_t step, const EventValues& values) {
  std::string bytes = event_begin(step);
  {
    protozero::pbf_writer writer(bytes);
    protozero::pbf_writer all(writer, event::kSummary);
    for (const auto& [tag, what] : values) {
      protozero::pbf_writer one(all, summary::kValue);
      one.add_string(value::kTag, tag);
      if (const auto* number = std::get_if<double>(&what)) {
        one.add_float(value::kSimpleValue, static_cast<float>(*number));
      } else {
        add_histogram(one, std::get<EventHistogram>(what));
      }
    }
  }
  append(bytes);
}

void EventFile::append(const std::string& event) {
  std::string record;
  append_little_endian(record, static_cast<uint64_t>(event.size()));
  append_little_endian(record, masked_crc(record));
  record += event;
  append_little_endian(record, masked_crc(event));
  const bool is_written = std::fwrite(record.data(), 1, record.size(), file_.get()) == record.size();
  if (!is_written || std::fflush(file_.get()) != 0) {
    throw Error(path_, str("can't be written: ", std::strerror(errno)), ErrorCategory::kFile);
  }
}

}  // namespace octet

#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

namespace octet::test {

struct ReadHistogram {
  std::vector<double> numbers;  // fields 1 to 5
  std::vector<double> limits;
  std::vector<double> counts;
};

struct ReadEvent {
  double wall_time = 0;
  int64_t step = 0;
  std::string version;
  bool begins_session = false;
  std::map<std::string, float> scalars;
  std::map<std::string, ReadHistogram> histograms;
};

/// Protobuf's fields one behind the other, and TFRecord's records: by the formats' descriptions, with nothing of
/// octet's.
class FieldReader {
 public:
  explicit FieldReader(std::string_view all) : rest_(all) {}

  bool next() {
    if (rest_.empty()) return false;
    const uint64_t key = varint();
    number = key >> 3;
    switch (key & 7) {
      case 0:
        integer = varint();
        break;
      case 1:
        fixed64 = raw<double>();
        break;
      case 2:
        bytes = take(varint());
        break;
      case 5:
        fixed32 = raw<float>();
        break;
      default:
        ADD_FAILURE() << "no such wire type: " << (key & 7);
        return false;
    }
    return true;
  }

  uint64_t number = 0, integer = 0;
  double fixed64 = 0;
  float fixed32 = 0;
  std::string_view bytes;

  template <typename Number>
  Number raw() {
    Number value{};
    const std::string_view own = take(sizeof value);
    std::memcpy(&value, own.data(), own.size());
    return value;
  }
  std::string_view take(uint64_t count) {
    if (count > rest_.size()) {
      ADD_FAILURE() << "ends early";
      rest_ = {};
      return {};
    }
    const std::string_view taken = rest_.substr(0, count);
    rest_.remove_prefix(count);
    return taken;
  }
  bool at_end() const { return rest_.empty(); }

 private:
  uint64_t varint() {
    uint64_t value = 0;
    for (int shift = 0; shift < 64; shift += 7) {
      const std::string_view byte = take(1);
      if (byte.empty()) return 0;
      value |= static_cast<uint64_t>(static_cast<uint8_t>(byte[0]) & 0x7F) << shift;
      if ((static_cast<uint8_t>(byte[0]) & 0x80) == 0) break;
    }
    return value;
  }
  std::string_view rest_;
};

/// Bit by bit, and masked.
inline uint32_t plain_masked_crc(std::string_view bytes) {
  uint32_t crc = ~0U;
  for (const char byte : bytes) {
    crc ^= static_cast<uint8_t>(byte);
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ (0x82F63B78U & (0U - (crc & 1U)));
  }
  crc = ~crc;
  return ((crc >> 15) | (crc << 17)) + 0xA282EAD8U;
}

inline std::vector<double> packed_doubles(std::string_view bytes) {
  std::vector<double> numbers;
  for (FieldReader reader(bytes); !reader.at_end();) numbers.push_back(reader.raw<double>());
  return numbers;
}

inline ReadHistogram read_histogram(std::string_view bytes) {
  ReadHistogram read;
  for (FieldReader field(bytes); field.next();) {
    if (field.number <= 5) {
      EXPECT_EQ(field.number, read.numbers.size() + 1);
      read.numbers.push_back(field.fixed64);
    } else if (field.number == 6) {
      read.limits = packed_doubles(field.bytes);
    } else if (field.number == 7) {
      read.counts = packed_doubles(field.bytes);
    } else {
      ADD_FAILURE() << "histogram field " << field.number;
    }
  }
  return read;
}

inline void read_value(std::string_view bytes, ReadEvent& into) {
  std::string tag;
  for (FieldReader field(bytes); field.next();) {
    if (field.number == 1) {
      tag = field.bytes;
      EXPECT_TRUE(!into.scalars.contains(tag) && !into.histograms.contains(tag)) << "twice: " << tag;
    } else if (field.number == 2) {
      into.scalars[tag] = field.fixed32;
    } else if (field.number == 5) {
      into.histograms[tag] = read_histogram(field.bytes);
    } else {
      ADD_FAILURE() << "value field " << field.number;
    }
  }
}

inline ReadEvent read_event(std::string_view bytes) {
  ReadEvent event;
  for (FieldReader field(bytes); field.next();) {
    switch (field.number) {
      case 1:
        event.wall_time = field.fixed64;
        break;
      case 2:
        event.step = static_cast<int64_t>(field.integer);
        break;
      case 3:
        event.version = field.bytes;
        break;
      case 5:
        for (FieldReader value(field.bytes); value.next();) {
          EXPECT_EQ(value.number, 1U);
          read_value(value.bytes, event);
        }
        break;
      case 7:
        for (FieldReader session(field.bytes); session.next();) {
          event.begins_session = session.number == 1 && session.integer == 1;
        }
        break;
      default:
        ADD_FAILURE() << "event field " << field.number;
    }
  }
  return event;
}

/// The events of a file; every length and CRC is checked.
inline std::vector<ReadEvent> read_events(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::stringstream text;
  text << file.rdbuf();
  const std::string all = text.str();
  std::vector<ReadEvent> events;
  for (FieldReader records(all); !records.at_end();) {
    const std::string_view length = records.take(8);
    EXPECT_EQ(records.raw<uint32_t>(), plain_masked_crc(length)) << path << ", record " << events.size();
    uint64_t size = 0;
    std::memcpy(&size, length.data(), length.size());
    const std::string_view bytes = records.take(size);
    EXPECT_EQ(records.raw<uint32_t>(), plain_masked_crc(bytes)) << path << ", record " << events.size();
    events.push_back(read_event(bytes));
  }
  return events;
}

/// Of all files of a folder in the order of their names, as a reader that honours sessions keeps them: what stands at a
/// step from which a later session begins, or behind it, is dropped.
inline std::vector<ReadEvent> read_event_folder(const std::string& folder) {
  std::vector<std::string> paths;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) paths.push_back(entry.path().string());
  std::sort(paths.begin(), paths.end());
  std::vector<ReadEvent> kept;
  for (const std::string& path : paths) {
    for (const ReadEvent& event : read_events(path)) {
      if (event.begins_session) std::erase_if(kept, [&](const ReadEvent& other) { return other.step >= event.step; });
      if (!event.scalars.empty() || !event.histograms.empty()) kept.push_back(event);
    }
  }
  return kept;
}

}  // namespace octet::test

#pragma once

#include <gtest/gtest.h>
#include <zlib.h>

#include <functional>
#include <map>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "octet/formats/zip.h"
#include "octet/support/byte_source.h"
#include "octet/support/error.h"
#include "tests/support/test_data.h"

namespace octet::test {

using Loader = std::function<void(const std::string& bytes)>;

/// Passes where `load` works on the bytes, or throws an octet::Error of one printable line of sensible length that
/// holds `name`: nothing else may come out of a reader, whatever it is fed.
inline ::testing::AssertionResult reports(const Loader& load, const std::string& bytes, const std::string& name,
                                          bool may_work = true) {
  try {
    load(bytes);
  } catch (const Error& error) {
    const std::string message = error.what();
    for (const char c : message) {
      if (static_cast<unsigned char>(c) < 0x20) return ::testing::AssertionFailure() << "not one line: " << message;
    }
    if (message.size() > 2500) return ::testing::AssertionFailure() << "an endless message: " << message;
    if (message.find(name) != std::string::npos) return ::testing::AssertionSuccess();
    return ::testing::AssertionFailure() << "does not name '" << name << "': " << message;
  } catch (const std::exception& error) {
    return ::testing::AssertionFailure() << "no octet::Error, but: " << error.what();
  }
  if (may_work) return ::testing::AssertionSuccess();
  return ::testing::AssertionFailure() << "nothing was thrown";
}

/// Every truncation in steps of `step` bytes is an error.
inline void expect_truncations_reported(const Loader& load, const std::string& good, const std::string& name,
                                        size_t step = 1) {
  for (size_t size = 0; size < good.size(); size += step) {
    ASSERT_TRUE(reports(load, good.substr(0, size), name, false)) << "cut at " << size;
  }
}

/// Rounds of one to three flipped bits, of bytes inserted and of bytes left out.
inline void expect_damage_reported(const Loader& load, const std::string& good, const std::string& name, int rounds,
                                   unsigned seed) {
  std::mt19937 random(seed);
  for (int round = 0; round < rounds; ++round) {
    std::string bad = good;
    const size_t at = random() % bad.size();
    switch (random() % 4) {
      case 0:
        bad.insert(at, 1 + random() % 4, static_cast<char>(random()));
        break;
      case 1:
        bad.erase(at, 1 + random() % 4);
        break;
      default:
        for (int flips = 1 + static_cast<int>(random() % 3); flips > 0; --flips) {
          bad[random() % bad.size()] ^= static_cast<char>(1 << random() % 8);
        }
    }
    ASSERT_TRUE(reports(load, bad, name)) << "round " << round;
  }
}

/// The bytes deflated, without a header.
inline std::string deflated(const std::string& bytes) {
  z_stream stream{};
  deflateInit2(&stream, 1, Z_DEFLATED, -MAX_WBITS, 9, Z_DEFAULT_STRATEGY);  // bombs are long: the fast way
  std::string packed(deflateBound(&stream, bytes.size()), '\0');
  stream.next_in = reinterpret_cast<unsigned char*>(const_cast<char*>(bytes.data()));
  stream.avail_in = static_cast<unsigned>(bytes.size());
  stream.next_out = reinterpret_cast<unsigned char*>(packed.data());
  stream.avail_out = static_cast<unsigned>(packed.size());
  EXPECT_EQ(deflate(&stream, Z_FINISH), Z_STREAM_END);
  packed.resize(stream.total_out);
  deflateEnd(&stream);
  return packed;
}

/// An archive of these members, all deflated.
inline std::string deflated_zip_of(const std::vector<std::pair<std::string, std::string>>& members) {
  const auto number = [](uint64_t value, int bytes) {
    std::string text;
    for (int i = 0; i < bytes; ++i) text += static_cast<char>(value >> (8 * i) & 0xff);
    return text;
  };
  std::string zip;
  std::string directory;
  for (const auto& [name, bytes] : members) {
    const std::string packed = deflated(bytes);
    const uint64_t crc = crc32_z(0, reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size());
    const std::string facts = number(8, 2) + number(0, 4) + number(crc, 4) + number(packed.size(), 4) +
                              number(bytes.size(), 4) + number(name.size(), 2) + number(0, 2);
    directory += "PK\x01\x02" + number(20, 2) + number(20, 2) + number(0, 2) + facts + number(0, 8) + number(0, 2) +
                 number(zip.size(), 4) + name;
    zip += "PK\x03\x04" + number(20, 2) + number(0, 2) + facts + name + packed;
  }
  const std::string end = number(0, 4) + number(members.size(), 2) + number(members.size(), 2) +
                          number(directory.size(), 4) + number(zip.size(), 4) + number(0, 2);
  return zip + directory + "PK\x05\x06" + end;
}

/// An archive of these members, in memory.
inline std::string zip_of(const std::vector<std::pair<std::string, std::string>>& members) {
  const TemporaryFolder folder;
  ZipWriter writer(folder.file("a.zip"));
  for (const auto& [name, bytes] : members) writer.add(name, bytes);
  writer.finish();
  return read_file(folder.file("a.zip"));
}

/// The archive with members replaced, added, or, where the text is empty, left out.
inline std::string rezipped(const std::string& archive, const std::map<std::string, std::string>& edits) {
  const ZipReader zip(memory_source("good.zip", archive));
  std::vector<std::pair<std::string, std::string>> members;
  for (const ZipEntry& entry : zip.entries()) {
    const auto edit = edits.find(entry.name);
    if (edit == edits.end()) members.emplace_back(entry.name, zip.read(entry));
  }
  for (const auto& [name, bytes] : edits) {
    if (!bytes.empty()) members.emplace_back(name, bytes);
  }
  return zip_of(members);
}

}  // namespace octet::test

#pragma once
// What the fuzz targets share. A target hands libFuzzer's bytes to one reader: it may read them or answer with
// octet::Error; any other exception, and whatever the sanitizers and the memory limit see, is a finding.

#include <zlib.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "octet/support/byte_source.h"
#include "octet/support/error.h"

namespace octet::fuzz {

/// libFuzzer's result for an input that is done with.
template <typename Read>
int only_errors(const Read& read) {
  try {
    read();
  } catch (const Error&) {
  }
  return 0;
}

inline std::string_view view(const uint8_t* data, size_t size) { return {reinterpret_cast<const char*>(data), size}; }

inline std::shared_ptr<const ByteSource> source(std::string_view bytes) {
  return memory_source("input", std::string(bytes));
}

/// The sum of what a mutator makes up: beyond int64 it begins anew.
inline int64_t wrapping_sum(int64_t a, int64_t b) {
  return static_cast<int64_t>(static_cast<uint64_t>(a) + static_cast<uint64_t>(b));
}

/// Members of an archive: name, bytes.
using Members = std::vector<std::pair<std::string, std::string_view>>;

/// Input that stands for an archive: members between fences, each a line with its name and then its bytes. A mutated
/// member comes into an archive that is whole, with the right checksum, and so reaches what reads members.
inline Members members_of(std::string_view input) {
  constexpr std::string_view kFence = "\n@@@\n";
  Members members;
  while (true) {
    const size_t end = input.find(kFence);
    const std::string_view member = input.substr(0, end);
    const size_t line = member.find('\n');
    if (line != std::string_view::npos) members.emplace_back(member.substr(0, line), member.substr(line + 1));
    if (end == std::string_view::npos) return members;
    input.remove_prefix(end + kFence.size());
  }
}

/// A zip of stored members. Made in memory, unlike ZipWriter's, and of any names.
inline std::shared_ptr<const ByteSource> archive(const Members& members) {
  const auto number = [](uint64_t value, int bytes) {
    std::string text;
    for (int i = 0; i < bytes; ++i) text += static_cast<char>(value >> (8 * i) & 0xff);
    return text;
  };
  std::string zip;
  std::string directory;
  for (const auto& [name, bytes] : members) {
    const uint64_t crc = crc32_z(0, reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size());
    const std::string facts = number(0, 8) + number(crc, 4) + number(bytes.size(), 4) + number(bytes.size(), 4) +
                              number(name.size(), 2) + number(0, 2);
    directory += "PK\x01\x02" + number(20, 2) + number(20, 2) + facts + number(0, 8) + number(0, 2) +
                 number(zip.size(), 4) + name;
    zip += "PK\x03\x04" + number(20, 2) + facts + name;
    zip += bytes;
  }
  const std::string end = number(0, 4) + number(members.size(), 2) + number(members.size(), 2) +
                          number(directory.size(), 4) + number(zip.size(), 4) + number(0, 2);
  return memory_source("input", zip + directory + "PK\x05\x06" + end);
}

/// The archive that the input stands for, or the archive that it is.
inline std::shared_ptr<const ByteSource> archive_of(std::string_view input) {
  return input.substr(0, 2) == "PK" ? source(input) : archive(members_of(input));
}

}  // namespace octet::fuzz

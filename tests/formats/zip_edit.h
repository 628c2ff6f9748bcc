#pragma once

#include <zlib.h>

#include <string>

#include "octet/formats/zip.h"

namespace octet::test {

/// Exported programs in both layouts, and members of the newer.
inline constexpr const char* kNewer = "golden/pt2_variants/torch2.14_eval_tied_weights_and_constants/model.pt2";
inline constexpr const char* kOlder = "golden/pt2_variants/torch2.6_eval_tied_weights_and_constants/model.pt2";
inline constexpr const char* kProgram = "model/models/model.json";
inline constexpr const char* kWeights = "model/data/weights/model_weights_config.json";

/// A stored archive with one member's payload replaced by another of the same length, its checksum made right.
inline std::string with_payload(std::string archive, const ZipReader& zip, const std::string& name,
                                const std::string& payload) {
  const ZipEntry* entry = zip.find(name);
  const auto byte = [&](size_t at) { return static_cast<size_t>(static_cast<unsigned char>(archive[at])); };
  const size_t header = entry->header_offset;
  const size_t names = byte(header + 26) + 256 * byte(header + 27);
  const size_t extra = byte(header + 28) + 256 * byte(header + 29);
  archive.replace(header + 30 + names + extra, payload.size(), payload);
  const auto crc =
      static_cast<uint32_t>(crc32_z(0, reinterpret_cast<const unsigned char*>(payload.data()), payload.size()));
  for (size_t at = archive.find("PK\x01\x02"); at != std::string::npos; at = archive.find("PK\x01\x02", at + 1)) {
    if (archive.compare(at + 46, name.size(), name) != 0) continue;
    for (size_t i = 0; i < 4; ++i) archive[at + 16 + i] = static_cast<char>(crc >> (8 * i) & 0xff);
  }
  return archive;
}

}  // namespace octet::test

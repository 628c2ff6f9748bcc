#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "octet/support/atomic_write.h"
#include "octet/support/byte_source.h"

namespace octet {

/// What a zip may ask of its reader. The defaults pass any model that tools write and refuse zip bombs.
struct ZipLimits {
  uint64_t max_entries = 1 << 20;
  uint64_t max_total_size = uint64_t{1} << 40;       ///< sum of all uncompressed sizes, bytes
  uint64_t max_inflate_ratio = 200;                  ///< uncompressed over compressed size, of an entry and of the file
  uint64_t inflate_ratio_free = uint64_t{16} << 20;  ///< bytes that inflate at any ratio
};

/// One file of an archive, as its central directory tells.
struct ZipEntry {
  std::string name;
  uint64_t size = 0;         ///< bytes after inflating
  uint64_t stored_size = 0;  ///< bytes in the archive
  uint64_t header_offset = 0;
  uint32_t crc = 0;
  uint16_t method = 0;  ///< 0 stored, 8 deflated
};

/// Reads zip archives: STORED and DEFLATE members, zip64, data descriptors. Members are read on demand.
///
/// Opening checks the whole central directory: names unique, sizes inside the file, no overlapping members, no
/// encryption, the limits. Reading a member checks its local header, size and CRC. Every failure is an octet::Error
/// that names the archive and the member; nothing is allocated by a length that was not checked against the file.
class ZipReader {
 public:
  explicit ZipReader(std::shared_ptr<const ByteSource> source, const ZipLimits& limits = {});
  static ZipReader open(const std::string& path, const ZipLimits& limits = {}) {
    return ZipReader(open_file(path), limits);
  }
  /// True where the bytes begin like a zip.
  static bool is_zip(const ByteSource& source);

  /// In the order of the central directory.
  const std::vector<ZipEntry>& entries() const { return entries_; }
  /// nullptr where there is none of this name.
  const ZipEntry* find(const std::string& name) const;
  bool has(const std::string& name) const { return find(name) != nullptr; }
  /// The member's bytes. Throws octet::Error where there is none, or where it is longer than `limit`.
  std::string read(const std::string& name, uint64_t limit = UINT64_MAX) const;
  std::string read(const ZipEntry& entry) const;
  /// The same into memory of exactly entry.size bytes.
  void read_into(const ZipEntry& entry, void* to) const;

  /// "model.pt2/data/weights/weight_0": how errors name a member.
  std::string where(const std::string& name) const;
  const std::string& name() const { return source_->name(); }
  /// Bytes that a file of this size may honestly hold: the limit of an archive within this one.
  uint64_t inflation_limit() const { return inflation_limit_; }

 private:
  void read_directory(const ZipLimits& limits);
  void check_overlap(uint64_t directory_offset) const;
  uint64_t payload_offset(const ZipEntry& entry) const;

  std::shared_ptr<const ByteSource> source_;
  uint64_t inflation_limit_ = 0;
  std::vector<ZipEntry> entries_;
  std::unordered_map<std::string, size_t> by_name_;
};

/// Writes a zip of STORED members, each payload on a 64-byte boundary so that readers may map it. zip64 where sizes ask
/// for it. The file appears whole at finish(), or not at all.
class ZipWriter {
 public:
  /// `always_zip64` writes zip64 records for small files too.
  explicit ZipWriter(const std::string& path, bool always_zip64 = false)
      : file_(std::in_place, path), always_zip64_(always_zip64) {}
  /// Into memory that outlives the writer: an archive inside another.
  explicit ZipWriter(std::string* memory) : memory_(memory) {}

  /// Throws octet::Error where the name was used before.
  void add(const std::string& name, std::string_view bytes);
  void finish();

 private:
  void write(std::string_view bytes);
  uint64_t size() const { return file_ ? file_->size() : memory_->size(); }

  std::optional<AtomicFile> file_;
  std::string* memory_ = nullptr;  // where there is no file
  bool always_zip64_ = false;
  std::vector<ZipEntry> entries_;
  std::unordered_map<std::string, size_t> by_name_;
};

}  // namespace octet

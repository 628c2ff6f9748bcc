#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "octet/support/atomic_write.h"
#include "octet/support/budget.h"
#include "octet/support/byte_source.h"

namespace octet {

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
/// encryption, and that what the members inflate to is within the budget of a file of this size: zip bombs are refused
/// before anything is inflated. Reading a member charges its size, so that what is read again and again runs out, and
/// checks its local header, size and CRC. Every failure is an octet::Error that names the archive and the member.
class ZipReader {
 public:
  /// Without a budget, that of a file of the source's size. An archive within another shares the outer one's: two that
  /// inflate in one another would multiply.
  explicit ZipReader(std::shared_ptr<const ByteSource> source, std::shared_ptr<Budget> budget = nullptr);
  static ZipReader open(const std::string& path) { return ZipReader(open_file(path)); }
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
  /// What reading the archive may take in all; readers of its members charge it for what they make of them.
  const std::shared_ptr<Budget>& budget() const { return budget_; }

 private:
  void read_directory();
  void check_overlap(uint64_t directory_offset) const;
  uint64_t payload_offset(const ZipEntry& entry) const;

  std::shared_ptr<const ByteSource> source_;
  std::shared_ptr<Budget> budget_;
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

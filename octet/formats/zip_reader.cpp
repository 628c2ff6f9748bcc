#include <zlib.h>

#include <algorithm>

#include "octet/formats/zip.h"
#include "octet/formats/zip_format.h"
#include "octet/support/byte_reader.h"
#include "octet/support/error.h"

namespace octet {
namespace {

constexpr uint32_t kLocalMagic = 0x04034b50;
constexpr uint32_t kCentralMagic = 0x02014b50;
constexpr uint32_t kEnd64Magic = 0x06064b50;
constexpr uint32_t kLocator64Magic = 0x07064b50;
constexpr uint64_t kLocalSize = 30;
constexpr uint64_t kCentralSize = 46;
constexpr uint64_t kEndSize = 22;
constexpr uint64_t kLocatorSize = 20;
// DEFLATE can't do better than 1032 to 1; an entry that claims more lies.
constexpr uint64_t kDeflateLimit = 1032;
constexpr uint64_t kEntryBytes = 2 * sizeof(ZipEntry) + 160;  // with its place in the table of names

struct Directory {
  uint64_t count = 0;
  uint64_t size = 0;
  uint64_t offset = 0;
};

// The end record stands in the last 64 KiB, behind it a comment of the length that it names.
uint64_t find_end_record(const ByteSource& source, const std::string& tail, uint64_t tail_offset) {
  for (size_t at = tail.size() - kEndSize + 1; at-- > 0;) {
    if (tail.compare(at, 4, "PK\x05\x06") != 0) continue;
    ByteReader reader(source.name(), tail);
    reader.seek(at + 20);
    if (at + kEndSize + reader.u16() == tail.size()) return tail_offset + at;
  }
  throw Error(source.name(), "is no complete zip archive: its end record is missing").hint("the file may be truncated");
}

Directory read_end64(const ByteSource& source, uint64_t end_offset) {
  const std::string locator = source.read(end_offset - kLocatorSize, kLocatorSize);
  ByteReader reader(source.name() + ": zip64 locator", locator);
  reader.skip(8);
  const uint64_t offset = reader.u64();
  const std::string record = source.read(offset, 56);
  ByteReader end(source.name() + ": zip64 end record", record);
  if (end.u32() != kEnd64Magic) throw Error(end.where(), "has a wrong magic number");
  end.skip(8 + 2 + 2);
  if (end.u32() != 0 || end.u32() != 0) throw Error(source.name(), "is one part of a split zip archive");
  Directory directory;
  const uint64_t here = end.u64();
  directory.count = end.u64();
  if (here != directory.count) throw Error(source.name(), "is one part of a split zip archive");
  directory.size = end.u64();
  directory.offset = end.u64();
  return directory;
}

Directory read_end(const ByteSource& source) {
  if (source.size() < kEndSize) throw Error(source.name(), str("is no zip archive: ", source.size(), " bytes"));
  const uint64_t tail_size = std::min<uint64_t>(source.size(), kEndSize + 0xffff);
  const uint64_t tail_offset = source.size() - tail_size;
  const std::string tail = source.read(tail_offset, tail_size);
  const uint64_t end_offset = find_end_record(source, tail, tail_offset);
  ByteReader end(source.name(), tail);
  end.seek(end_offset - tail_offset + 4);
  const uint16_t disk = end.u16();
  const uint16_t first_disk = end.u16();
  const uint16_t here = end.u16();
  Directory directory;
  directory.count = end.u16();
  directory.size = end.u32();
  directory.offset = end.u32();
  if (end_offset >= kLocatorSize) {
    const std::string magic = source.read(end_offset - kLocatorSize, 4);
    if (ByteReader("", magic).u32() == kLocator64Magic) return read_end64(source, end_offset);
  }
  if (disk != 0 || first_disk != 0 || here != directory.count) {
    throw Error(source.name(), "is one part of a split zip archive");
  }
  return directory;
}

// zip64: the 64-bit values stand in extra field 1, only for those that are all ones in the entry itself.
void apply_zip64(ZipEntry& entry, std::string_view extra, const std::string& where) {
  ByteReader reader(where, extra);
  while (reader.remaining() >= 4) {
    const uint16_t id = reader.u16();
    const uint16_t size = reader.u16();
    ByteReader field(where, reader.bytes(size));
    if (id != 1) continue;
    if (entry.size == kFull32) entry.size = field.u64();
    if (entry.stored_size == kFull32) entry.stored_size = field.u64();
    if (entry.header_offset == kFull32) entry.header_offset = field.u64();
    return;
  }
}

ZipEntry read_entry(ByteReader& reader, const std::string& archive) {
  if (reader.u32() != kCentralMagic)
    throw Error(reader.where(), str("has a wrong magic number at entry offset ", reader.offset()));
  reader.skip(4);
  const uint16_t flags = reader.u16();
  ZipEntry entry;
  entry.method = reader.u16();
  reader.skip(4);
  entry.crc = reader.u32();
  entry.stored_size = reader.u32();
  entry.size = reader.u32();
  const uint16_t name_size = reader.u16();
  const uint16_t extra_size = reader.u16();
  const uint16_t comment_size = reader.u16();
  reader.skip(8);
  entry.header_offset = reader.u32();
  entry.name = std::string(reader.bytes(name_size));
  const std::string where = archive + "/" + entry.name;
  apply_zip64(entry, reader.bytes(extra_size), where);
  reader.skip(comment_size);
  if (entry.name.empty() || entry.name.find('\0') != std::string::npos)
    throw Error(archive, "has an entry without a name");
  if ((flags & 0x2041) != 0) throw Error(where, "is encrypted");
  if (entry.method != 0 && entry.method != 8) {
    throw expected(where, "compression method", "0 (stored) or 8 (deflate)", str(entry.method));
  }
  return entry;
}

void check_sizes(const ZipEntry& entry, const ByteSource& source) {
  const std::string where = source.name() + "/" + entry.name;
  if (entry.stored_size > source.size() || entry.header_offset > source.size() - entry.stored_size) {
    throw Error(where, str("reaches past the end of the file: ", entry.stored_size, " bytes at offset ",
                           entry.header_offset, " of ", source.size()));
  }
  if (entry.method == 0 && entry.size != entry.stored_size) {
    throw Error(where, str("is stored, but its sizes differ: ", entry.size, " and ", entry.stored_size, " bytes"));
  }
  if (entry.size / kDeflateLimit > entry.stored_size) {
    throw Error(where, str("is refused as a zip bomb: ", entry.stored_size, " bytes would inflate to ", entry.size));
  }
}

void inflate_into(const std::string& packed, void* to, uint64_t size, const std::string& where) {
  z_stream stream{};
  if (inflateInit2(&stream, -MAX_WBITS) != Z_OK) throw Error(where, "zlib cannot be started");
  const std::unique_ptr<z_stream, int (*)(z_stream*)> guard(&stream, inflateEnd);
  constexpr uint64_t kStep = uint64_t{1} << 30;  // zlib counts in 32 bits
  uint64_t read = 0;
  uint64_t written = 0;
  unsigned char spare = 0;  // an empty member needs an output all the same
  while (true) {
    const uint64_t in = std::min<uint64_t>(packed.size() - read, kStep);
    const uint64_t out = std::min<uint64_t>(size - written, kStep);
    stream.next_in = reinterpret_cast<unsigned char*>(const_cast<char*>(packed.data())) + read;
    stream.avail_in = static_cast<unsigned>(in);
    stream.next_out = out > 0 ? static_cast<unsigned char*>(to) + written : &spare;
    stream.avail_out = out > 0 ? static_cast<unsigned>(out) : 1;
    const unsigned offered = stream.avail_out;
    const int status = inflate(&stream, Z_NO_FLUSH);
    read += in - stream.avail_in;
    const uint64_t got = offered - stream.avail_out;
    if (got > out) throw Error(where, str("inflates to more than its ", size, " bytes"));
    written += got;
    if (status == Z_STREAM_END) break;
    if (status != Z_OK)
      throw Error(where, str("is damaged: its compressed data ", stream.msg ? stream.msg : "end early"));
  }
  if (written != size) throw expected(where, "size after inflating", str(size, " bytes"), str(written));
}

}  // namespace

ZipReader::ZipReader(std::shared_ptr<const ByteSource> source, std::shared_ptr<Budget> budget)
    : source_(std::move(source)), budget_(std::move(budget)) {
  if (!is_zip(*source_)) throw Error(source_->name(), "is no zip archive: it does not begin with 'PK'");
  if (!budget_) budget_ = std::make_shared<Budget>(source_->name(), source_->size());
  read_directory();
}

bool ZipReader::is_zip(const ByteSource& source) {
  if (source.size() < 4) return false;
  const std::string magic = source.read(0, 4);
  return magic == "PK\x03\x04" || magic == "PK\x05\x06";
}

void ZipReader::read_directory() {
  const Directory directory = read_end(*source_);
  if (directory.count > limits::kArchiveEntries || directory.count > directory.size / kCentralSize) {
    throw Error(name(), str("claims ", directory.count, " entries in a directory of ", directory.size, " bytes"));
  }
  const std::string bytes = source_->read(directory.offset, directory.size);
  ByteReader reader(name() + ": central directory", bytes);
  budget_->charge(directory.count, kEntryBytes, "the table of its entries");
  const uint64_t most = budget_->limit() - budget_->used();
  uint64_t total = 0;
  entries_.reserve(directory.count);
  for (uint64_t i = 0; i < directory.count; ++i) {
    ZipEntry entry = read_entry(reader, name());
    check_sizes(entry, *source_);
    if (entry.size > most - total) {
      throw Error(name(), str("is refused as a zip bomb: its entries inflate to more than ", most, " bytes"));
    }
    total += entry.size;
    if (!by_name_.emplace(entry.name, entries_.size()).second)
      throw Error(where(entry.name), "appears twice in the archive");
    entries_.push_back(std::move(entry));
  }
  check_overlap(directory.offset);
}

// Overlapping members are how a small file inflates without end.
void ZipReader::check_overlap(uint64_t directory_offset) const {
  std::vector<const ZipEntry*> ordered;
  for (const ZipEntry& entry : entries_) ordered.push_back(&entry);
  std::sort(ordered.begin(), ordered.end(),
            [](const ZipEntry* a, const ZipEntry* b) { return a->header_offset < b->header_offset; });
  for (size_t i = 0; i < ordered.size(); ++i) {
    const uint64_t limit = i + 1 < ordered.size() ? ordered[i + 1]->header_offset : directory_offset;
    const uint64_t needed = kLocalSize + ordered[i]->name.size() + ordered[i]->stored_size;
    if (ordered[i]->header_offset > limit || needed > limit - ordered[i]->header_offset) {
      throw Error(where(ordered[i]->name), str("reaches into what follows it: ", needed, " bytes at offset ",
                                               ordered[i]->header_offset, ", the next part begins at ", limit));
    }
  }
}

const ZipEntry* ZipReader::find(const std::string& name) const {
  const auto found = by_name_.find(name);
  return found == by_name_.end() ? nullptr : &entries_[found->second];
}

std::string ZipReader::where(const std::string& name) const { return source_->name() + "/" + name; }

uint64_t ZipReader::payload_offset(const ZipEntry& entry) const {
  const std::string header = source_->read(entry.header_offset, kLocalSize);
  ByteReader reader(where(entry.name), header);
  if (reader.u32() != kLocalMagic) throw Error(reader.where(), "its local header has a wrong magic number");
  reader.seek(8);
  const uint16_t method = reader.u16();
  reader.seek(26);
  const uint16_t name_size = reader.u16();
  const uint16_t extra_size = reader.u16();
  if (method != entry.method || source_->read(entry.header_offset + kLocalSize, name_size) != entry.name) {
    throw Error(reader.where(), "its local header differs from the central directory");
  }
  return entry.header_offset + kLocalSize + name_size + extra_size;
}

void ZipReader::read_into(const ZipEntry& entry, void* to) const {
  const uint64_t offset = payload_offset(entry);
  if (entry.method == 0) {
    source_->read(offset, entry.size, to);
  } else {
    inflate_into(source_->read(offset, entry.stored_size), to, entry.size, where(entry.name));
  }
  const auto crc = static_cast<uint32_t>(crc32_z(0, static_cast<const unsigned char*>(to), entry.size));
  if (crc != entry.crc) throw Error(where(entry.name), "is damaged: its checksum (CRC-32) differs");
}

std::string ZipReader::read(const ZipEntry& entry) const {
  budget_->charge(entry.size, "what it holds");
  std::string bytes(entry.size, '\0');
  read_into(entry, bytes.data());
  return bytes;
}

std::string ZipReader::read(const std::string& name, uint64_t limit) const {
  const ZipEntry* entry = find(name);
  if (entry == nullptr) throw Error(where(name), "is missing from the archive");
  if (entry->size > limit)
    throw Error(where(name), str("is too large: ", entry->size, " bytes, at most ", limit, " expected"));
  return read(*entry);
}

}  // namespace octet

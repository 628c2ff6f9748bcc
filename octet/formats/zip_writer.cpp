#include <zlib.h>

#include "octet/formats/zip.h"
#include "octet/formats/zip_format.h"
#include "octet/support/error.h"

namespace octet {
namespace {

constexpr uint64_t kAlignment = 64;
constexpr uint16_t kUtf8Names = 0x0800;
constexpr uint16_t kDate1980 = 0x0021;  // 1 January 1980: equal models make equal files

void put(std::string& to, uint64_t value, int bytes) {
  for (int i = 0; i < bytes; ++i) to.push_back(static_cast<char>(value >> (8 * i) & 0xff));
}
void put16(std::string& to, uint64_t value) { put(to, value, 2); }
void put32(std::string& to, uint64_t value) { put(to, value, 4); }
void put64(std::string& to, uint64_t value) { put(to, value, 8); }

void put_versions_to_sizes(std::string& to, const ZipEntry& entry, bool zip64) {
  put16(to, zip64 ? 45 : 20);
  put16(to, kUtf8Names);
  put16(to, entry.method);
  put16(to, 0);
  put16(to, kDate1980);
  put32(to, entry.crc);
  put32(to, zip64 ? kFull32 : entry.stored_size);
  put32(to, zip64 ? kFull32 : entry.size);
  put16(to, entry.name.size());
}

std::string local_header(const ZipEntry& entry, bool zip64) {
  std::string header = "PK\x03\x04";
  put_versions_to_sizes(header, entry, zip64);
  const uint64_t zip64_size = zip64 ? 20 : 0;
  const uint64_t unpadded = entry.header_offset + header.size() + 2 + entry.name.size() + zip64_size + 4;
  const uint64_t padding = (kAlignment - unpadded % kAlignment) % kAlignment;
  put16(header, zip64_size + 4 + padding);
  header += entry.name;
  if (zip64) {
    put16(header, 1);
    put16(header, 16);
    put64(header, entry.size);
    put64(header, entry.stored_size);
  }
  header += "FB";  // the padding field that PyTorch uses
  put16(header, padding);
  header.append(padding, '\0');
  return header;
}

std::string central_header(const ZipEntry& entry, bool zip64) {
  std::string header = "PK\x01\x02";
  put16(header, zip64 ? 45 : 20);
  put_versions_to_sizes(header, entry, zip64);
  put16(header, zip64 ? 28 : 0);
  put16(header, 0);
  put16(header, 0);
  put16(header, 0);
  put32(header, 0);
  put32(header, zip64 ? kFull32 : entry.header_offset);
  header += entry.name;
  if (zip64) {
    put16(header, 1);
    put16(header, 24);
    put64(header, entry.size);
    put64(header, entry.stored_size);
    put64(header, entry.header_offset);
  }
  return header;
}

}  // namespace

void ZipWriter::write(std::string_view bytes) {
  if (file_) {
    file_->write(bytes);
  } else {
    memory_->append(bytes);
  }
}

void ZipWriter::add(const std::string& name, std::string_view bytes) {
  if (name.empty() || name.size() > 0xffff) throw Error(name, "cannot be the name of a zip entry");
  if (!by_name_.emplace(name, entries_.size()).second) throw Error(name, "was written to the archive before");
  ZipEntry entry;
  entry.name = name;
  entry.size = entry.stored_size = bytes.size();
  entry.header_offset = size();
  entry.crc = static_cast<uint32_t>(crc32_z(0, reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size()));
  write(local_header(entry, always_zip64_ || entry.size >= kFull32));
  write(bytes);
  entries_.push_back(std::move(entry));
}

void ZipWriter::finish() {
  const uint64_t offset = size();
  for (const ZipEntry& entry : entries_) {
    write(central_header(entry, always_zip64_ || entry.size >= kFull32 || entry.header_offset >= kFull32));
  }
  const uint64_t directory_size = size() - offset;
  const uint64_t count = entries_.size();
  const bool zip64 = always_zip64_ || offset >= kFull32 || directory_size >= kFull32 || count >= 0xffff;
  std::string end;
  if (zip64) {
    const uint64_t end64_offset = size();
    end += "PK\x06\x06";
    put64(end, 44);
    put16(end, 45);
    put16(end, 45);
    put32(end, 0);
    put32(end, 0);
    put64(end, count);
    put64(end, count);
    put64(end, directory_size);
    put64(end, offset);
    end += "PK\x06\x07";
    put32(end, 0);
    put64(end, end64_offset);
    put32(end, 1);
  }
  end += "PK\x05\x06";
  put32(end, 0);
  put16(end, zip64 ? 0xffff : count);
  put16(end, zip64 ? 0xffff : count);
  put32(end, zip64 ? kFull32 : directory_size);
  put32(end, zip64 ? kFull32 : offset);
  put16(end, 0);
  write(end);
  if (file_) file_->commit();
}

}  // namespace octet

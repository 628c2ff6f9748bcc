#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "octet/support/api.h"

namespace octet {

/// Bytes that can be read at any offset: a file, or memory. Reads are safe from several threads.
class OCTET_API ByteSource {
 public:
  virtual ~ByteSource() = default;
  virtual uint64_t size() const = 0;
  /// Copies `count` bytes at `offset` to `to`; throws octet::Error where they reach past the end.
  virtual void read(uint64_t offset, uint64_t count, void* to) const = 0;
  /// The file's path, or what the memory holds; for errors.
  virtual const std::string& name() const = 0;

  /// The same bytes as a string. The length is checked against size() before anything is allocated.
  std::string read(uint64_t offset, uint64_t count) const;
};

/// A regular file, opened for reading. Throws octet::Error with the system's reason where it can't be.
OCTET_API std::shared_ptr<const ByteSource> open_file(const std::string& path);
/// Memory that the source owns.
OCTET_API std::shared_ptr<const ByteSource> memory_source(std::string name, std::string bytes);
/// The whole file; throws octet::Error where it is longer than `limit` bytes.
OCTET_API std::string read_file(const std::string& path, uint64_t limit = UINT64_MAX);

}  // namespace octet

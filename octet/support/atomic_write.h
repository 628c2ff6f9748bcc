#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace octet {

/// A file that appears whole or not at all: it is written under a temporary name in the same folder, synced to disk and
/// renamed by commit(). Without commit() nothing remains. A target that exists and is no regular file (a device, a
/// pipe) is written directly; a symbolic link is followed.
class AtomicFile {
 public:
  /// Throws octet::Error with the system's reason where the folder can't be written.
  explicit AtomicFile(const std::string& path);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  void write(std::string_view bytes);
  /// Bytes written so far.
  uint64_t size() const { return size_; }
  void commit();

 private:
  [[noreturn]] void fail(const char* what) const;

  std::string path_;       // as the user named it, for errors
  std::string target_;     // links resolved
  std::string temporary_;  // empty where the target is written directly
  int descriptor_ = -1;
  uint64_t size_ = 0;
};

/// The whole of a small file at once.
void atomic_write(const std::string& path, std::string_view bytes);

}  // namespace octet

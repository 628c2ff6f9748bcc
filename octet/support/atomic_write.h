#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <string_view>

#include "octet/support/api.h"

namespace octet {

/// A file that appears whole or not at all: it is written under a temporary name in the same folder, synced to disk and
/// renamed by commit(). Without commit() nothing remains. A target that exists and is no regular file (a device, a
/// pipe) is written directly; a symbolic link is followed.
///
/// The folder is opened once, and everything happens in what was opened: who renames folders or puts links in their
/// place meanwhile redirects nothing. A file that is replaced gives its permissions to the new one, which nobody can
/// open with wider ones in between.
class OCTET_API AtomicFile {
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
  void open_temporary(mode_t mode, bool exactly);
  void open_directly();
  void close() noexcept;
  [[noreturn]] void fail(const char* what) const;

  std::string path_;       // as the user named it, for errors
  std::string target_;     // name in the folder
  std::string temporary_;  // name in the folder; empty where the target is written directly
  int folder_ = -1;
  int descriptor_ = -1;
  uint64_t size_ = 0;
};

/// The whole of a small file at once.
OCTET_API void atomic_write(const std::string& path, std::string_view bytes);

}  // namespace octet

#include "octet/support/atomic_write.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <random>

#include "octet/support/error.h"

namespace octet {
namespace {

namespace fs = std::filesystem;

constexpr mode_t kPermissions = 0777;  // that a replaced file hands on; no set-user-id
constexpr mode_t kNew = 0666;          // less the umask

// The name of a file that a rename may replace: dangling links name the file that they would make.
fs::path resolve_links(fs::path path) {
  std::error_code ignored;
  for (int hops = 0; hops < 40 && fs::is_symlink(path, ignored); ++hops) {
    const fs::path next = fs::read_symlink(path, ignored);
    if (ignored) break;
    path = next.is_absolute() ? next : path.parent_path() / next;
  }
  return path;
}

}  // namespace

AtomicFile::AtomicFile(const std::string& path) : path_(path) {
  const fs::path resolved = resolve_links(path);
  const fs::path folder = resolved.parent_path();
  target_ = resolved.filename().string();
  std::error_code ignored;
  if (target_.empty() || fs::is_directory(resolved, ignored))
    throw Error(path_, "cannot be written: it is a folder", ErrorCategory::kFile);
  folder_ = ::open(folder.empty() ? "." : folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (folder_ < 0) folder_ = ::open(folder.empty() ? "." : folder.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (folder_ < 0) fail("cannot be written");
  try {
    struct stat status {};
    const bool exists = ::fstatat(folder_, target_.c_str(), &status, AT_SYMLINK_NOFOLLOW) == 0;
    if (exists && !S_ISREG(status.st_mode)) {
      open_directly();
    } else {
      open_temporary(exists ? status.st_mode & kPermissions : kNew, exists);
    }
  } catch (...) {
    close();
    throw;
  }
}

// A device or a pipe: what became a regular file meanwhile is left as it is.
void AtomicFile::open_directly() {
  descriptor_ = ::openat(folder_, target_.c_str(), O_WRONLY | O_NOFOLLOW | O_CLOEXEC);
  struct stat status {};
  if (descriptor_ < 0 || ::fstat(descriptor_, &status) != 0) fail("cannot be written");
  if (S_ISREG(status.st_mode))
    throw Error(path_, "cannot be written: another program put a file in its place", ErrorCategory::kFile);
}

void AtomicFile::open_temporary(mode_t mode, bool exactly) {
  std::random_device random;
  for (int tries = 0; tries < 100 && descriptor_ < 0; ++tries) {
    char suffix[16];
    std::snprintf(suffix, sizeof suffix, ".%08x~", static_cast<unsigned>(random()));
    temporary_ = target_ + suffix;
    descriptor_ = ::openat(folder_, temporary_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
    if (descriptor_ < 0 && errno != EEXIST) break;
  }
  if (descriptor_ < 0) {
    temporary_.clear();
    fail("cannot be written");
  }
  // Through the descriptor: the name may be another file's by now.
  if (exactly && ::fchmod(descriptor_, mode) != 0) fail("cannot be given the permissions of the file that it replaces");
}

void AtomicFile::close() noexcept {
  if (descriptor_ >= 0) {
    ::close(descriptor_);
    if (!temporary_.empty()) ::unlinkat(folder_, temporary_.c_str(), 0);
  }
  if (folder_ >= 0) ::close(folder_);
  descriptor_ = folder_ = -1;
}

AtomicFile::~AtomicFile() { close(); }

void AtomicFile::write(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t put = ::write(descriptor_, bytes.data(), bytes.size());
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) fail("cannot be written");
    bytes.remove_prefix(static_cast<size_t>(put));
    size_ += static_cast<uint64_t>(put);
  }
}

void AtomicFile::commit() {
  if (descriptor_ < 0) throw Error(path_, "was committed already", ErrorCategory::kFile);
  if (!temporary_.empty()) {
    if (::fsync(descriptor_) != 0) fail("cannot be synced to disk");
    if (::renameat(folder_, temporary_.c_str(), folder_, target_.c_str()) != 0) fail("cannot be put in place");
    temporary_.clear();  // nothing to take away any more
    ::fsync(folder_);    // some file systems refuse; the rename stands all the same
  }
  const int closed = ::close(descriptor_);
  descriptor_ = -1;
  if (closed != 0) fail("cannot be written");
}

void AtomicFile::fail(const char* what) const {
  throw Error(path_, str(what, ": ", std::strerror(errno)), ErrorCategory::kFile);
}

void atomic_write(const std::string& path, std::string_view bytes) {
  AtomicFile file(path);
  file.write(bytes);
  file.commit();
}

}  // namespace octet

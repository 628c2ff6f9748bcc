#include "octet/support/byte_source.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "octet/support/error.h"

namespace octet {
namespace {

void check_range(const ByteSource& source, uint64_t offset, uint64_t count) {
  if (offset > source.size() || count > source.size() - offset) {
    throw Error(source.name(), str("ends early: ", count, " bytes wanted at offset ", offset, " of ", source.size()),
                ErrorCategory::kFile);
  }
}

class FileSource final : public ByteSource {
 public:
  // O_NONBLOCK: a pipe that nobody writes to would keep us waiting before it is known to be one.
  explicit FileSource(const std::string& path)
      : path_(path), descriptor_(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)) {
    if (descriptor_ < 0) throw Error(path, str("cannot be opened: ", std::strerror(errno)), ErrorCategory::kFile);
    struct stat status {};
    if (::fstat(descriptor_, &status) != 0 || !S_ISREG(status.st_mode)) {
      ::close(descriptor_);
      throw Error(path, S_ISDIR(status.st_mode) ? "is a folder, not a file" : "is not a regular file",
                  ErrorCategory::kFile);
    }
    size_ = static_cast<uint64_t>(status.st_size);
  }
  ~FileSource() override { ::close(descriptor_); }
  FileSource(const FileSource&) = delete;
  FileSource& operator=(const FileSource&) = delete;

  uint64_t size() const override { return size_; }
  const std::string& name() const override { return path_; }
  void read(uint64_t offset, uint64_t count, void* to) const override {
    check_range(*this, offset, count);
    char* out = static_cast<char*>(to);
    while (count > 0) {
      const ssize_t got = ::pread(descriptor_, out, count, static_cast<off_t>(offset));
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) throw Error(path_, str("cannot be read: ", std::strerror(errno)), ErrorCategory::kFile);
      if (got == 0)
        throw Error(path_, str("became shorter while it was read (offset ", offset, ")"), ErrorCategory::kFile);
      out += got;
      offset += static_cast<uint64_t>(got);
      count -= static_cast<uint64_t>(got);
    }
  }

 private:
  std::string path_;
  int descriptor_;
  uint64_t size_ = 0;
};

class MemorySource final : public ByteSource {
 public:
  MemorySource(std::string name, std::string bytes) : name_(std::move(name)), bytes_(std::move(bytes)) {}
  uint64_t size() const override { return bytes_.size(); }
  const std::string& name() const override { return name_; }
  void read(uint64_t offset, uint64_t count, void* to) const override {
    check_range(*this, offset, count);
    if (count > 0) std::memcpy(to, bytes_.data() + offset, count);
  }

 private:
  std::string name_;
  std::string bytes_;
};

}  // namespace

std::string ByteSource::read(uint64_t offset, uint64_t count) const {
  check_range(*this, offset, count);
  std::string bytes(count, '\0');
  read(offset, count, bytes.data());
  return bytes;
}

std::shared_ptr<const ByteSource> open_file(const std::string& path) { return std::make_shared<FileSource>(path); }

std::shared_ptr<const ByteSource> memory_source(std::string name, std::string bytes) {
  return std::make_shared<MemorySource>(std::move(name), std::move(bytes));
}

std::string read_file(const std::string& path, uint64_t limit) {
  const auto source = open_file(path);
  if (source->size() > limit) {
    throw Error(path, str("is too large: ", source->size(), " bytes, at most ", limit, " expected"),
                ErrorCategory::kFile);
  }
  return source->read(0, source->size());
}

}  // namespace octet

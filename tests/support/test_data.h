#pragma once

#include <cstdlib>
#include <filesystem>
#include <string>

namespace octet::test {

/// A path under tests/data, wherever the suite runs from.
inline std::string data(const std::string& relative) {
  const char* root = std::getenv("OCTET_TEST_DATA");
  return (std::filesystem::path(root != nullptr ? root : "tests/data") / relative).string();
}

/// A fresh empty folder, removed with the object.
class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "octet-test-XXXXXX").string();
    path_ = mkdtemp(pattern.data());
  }
  ~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  std::string file(const std::string& name) const { return (std::filesystem::path(path_) / name).string(); }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

}  // namespace octet::test

#pragma once
// Internal to octet/train: what folders of pictures and folders of sounds have in common.

#include <functional>
#include <mutex>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "octet/support/error.h"
#include "octet/train/data_source.h"

namespace octet {

/// What is looked for in a folder, and how it is dealt with.
struct FolderOptions {
  const char* what = "";     ///< "picture"
  const char* endings = "";  ///< ".jpg, .jpeg, .png"
  bool (*is_one)(std::string_view name) = nullptr;
  /// Folders named so, `_background_noise_`, hold no class; and where `testing_list.txt` and `validation_list.txt`
  /// stand, as in Speech Commands, the first is the test data, and neither is trained on.
  bool has_lists = false;
  double held_out = 0.1;  ///< share of the files that are test data where nothing else says which
  bool strict = false;    ///< a file that can't be read is an error
};

/// Files in a folder a class, the classes in the order of their names; below FOLDER, or below its `train` and `val` (or
/// `valid`, `test`), whose classes are those of `train`. Files that stand in the folder itself have no labels. They are
/// in an order that is mixed and always the same, so that the first ones are of all classes. A sample is a file, unless
/// size() and file_of() say otherwise.
class FolderSource : public DataSource {
 public:
  int64_t size() const override { return static_cast<int64_t>(files_.size()); }
  bool has_targets() const override { return !classes_.empty(); }
  int64_t num_classes() const override { return static_cast<int64_t>(classes_.size()); }
  std::vector<int64_t> class_counts() const override;
  /// Decoding takes longer than a small model's step: one a core.
  int64_t usual_workers() const override;
  std::vector<std::string> class_names() const override { return classes_; }
  std::vector<std::string> left_out() const override;

 protected:
  /// A file, and the number of its class; -1: none.
  struct File {
    std::string path;
    int64_t label = -1;
  };

  /// Throws octet::Error for a folder that holds nothing of the kind.
  FolderSource(std::string name, const std::string& folder, Split split, const FolderOptions& options);

  std::vector<File>& files() { return files_; }
  const std::vector<File>& files() const { return files_; }
  void set_classes(std::vector<std::string> classes) { classes_ = std::move(classes); }
  virtual const File& file_of(int64_t sample) const { return files_[static_cast<size_t>(sample)]; }

  /// Calls `make(i)` for each of the samples, and gives the labels (undefined where there are none) of those that it
  /// made: what throws is left out, with a warning, or with `strict` thrown on.
  at::Tensor labels_of_made(const std::vector<int64_t>& samples, const std::function<void(size_t)>& make) const;
  /// Remembers a file that can't be read; with `strict` throws `reason`.
  void leave_out(const std::string& path, const Error& reason) const;

 private:
  void keep_part(const std::string& root, Split split);
  bool keep_listed(const std::string& root, Split split);

  FolderOptions options_;
  std::vector<std::string> classes_;
  std::vector<File> files_;
  mutable std::mutex mutex_;
  mutable std::set<std::string> damaged_;
};

}  // namespace octet

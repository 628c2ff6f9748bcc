#include "octet/train/class_folder.h"

#include <algorithm>
#include <filesystem>
#include <sstream>
#include <thread>

#include "octet/support/byte_source.h"
#include "octet/support/error.h"
#include "octet/support/log.h"
#include "octet/support/mix_seed.h"

namespace octet {
namespace {

namespace fs = std::filesystem;

constexpr size_t kMostWarnings = 10;
constexpr uint64_t kMostListBytes = uint64_t{64} << 20;

// Files of the kind in a folder, or its folders.
class Listing {
 public:
  explicit Listing(const FolderOptions& options) : options_(options) {}

  std::vector<fs::path> files(const fs::path& folder) const { return entries(folder, false); }
  std::vector<fs::path> folders(const fs::path& folder) const { return entries(folder, true); }
  std::vector<std::string> names_of_folders(const fs::path& folder) const {
    std::vector<std::string> names;
    for (const fs::path& path : folders(folder)) names.push_back(path.filename().string());
    return names;
  }
  // At any depth; a folder that links lead to again is looked at once, so that their circles end.
  std::vector<std::string> files_below(const fs::path& folder) const {
    std::vector<std::string> found;
    std::set<fs::path> seen;
    std::vector<fs::path> waiting = {folder};
    while (!waiting.empty()) {
      const fs::path here = waiting.back();
      waiting.pop_back();
      std::error_code failure;
      if (!seen.insert(fs::canonical(here, failure)).second) {
        log::warn(here.string(), ": links lead to this folder again; its files count once");
        continue;
      }
      if (failure) throw Error(here.string(), failure.message());
      for (const fs::path& path : files(here)) found.push_back(path.string());
      std::vector<fs::path> below = folders(here);
      waiting.insert(waiting.end(), below.rbegin(), below.rend());
    }
    return found;
  }

 private:
  bool is_hidden(const std::string& name, bool is_folder) const {
    return name.starts_with('.') || (is_folder && options_.has_lists && name.starts_with('_'));
  }

  std::vector<fs::path> entries(const fs::path& folder, bool folders) const {
    std::vector<fs::path> found;
    std::error_code failure;
    for (const auto& entry : fs::directory_iterator(folder, failure)) {
      std::error_code ignored;
      const bool is_folder = entry.is_directory(ignored);
      if (is_hidden(entry.path().filename().string(), is_folder) || is_folder != folders) continue;
      if (folders || options_.is_one(entry.path().string())) found.push_back(entry.path());
    }
    if (failure) throw Error(folder.string(), failure.message());
    std::sort(found.begin(), found.end());
    return found;
  }

  const FolderOptions& options_;
};

struct Layout {
  fs::path files;                    // folders a class, or the files themselves
  std::vector<std::string> classes;  // in the order of their labels
  bool is_split = false;             // there is another folder for the other split
};

Layout layout_of(const std::string& name, const fs::path& folder, Split split, const Listing& listing) {
  std::error_code ignored;
  if (!fs::is_directory(folder, ignored)) throw Error(name, str("no folder ", folder.string()));
  const fs::path train = folder / "train";
  if (!fs::is_directory(train, ignored)) return {folder, listing.names_of_folders(folder), false};
  for (const char* other : {"val", "valid", "test"}) {
    if (!fs::is_directory(folder / other, ignored)) continue;
    return {split == Split::kTrain ? train : folder / other, listing.names_of_folders(train), true};
  }
  return {train, listing.names_of_folders(train), false};
}

uint64_t hash(const std::string& text) {
  uint64_t value = 0;
  for (const char c : text) value = mix_seed(value, static_cast<unsigned char>(c));
  return value;
}

// The lines of a list of files, none where there is no such list.
std::set<std::string> listed(const fs::path& list) {
  std::error_code ignored;
  if (!fs::is_regular_file(list, ignored)) return {};
  std::set<std::string> lines;
  std::istringstream stream(read_file(list.string(), kMostListBytes));
  for (std::string line; std::getline(stream, line);) {
    while (!line.empty() && (line.back() == '\r' || line.back() == ' ')) line.pop_back();
    if (!line.empty()) lines.insert(line);
  }
  return lines;
}

std::string below(const std::string& path, const std::string& root) {
  return fs::path(path).lexically_relative(root).generic_string();
}

}  // namespace

FolderSource::FolderSource(std::string name, const std::string& folder, Split split, const FolderOptions& options)
    : DataSource(std::move(name)), options_(options) {
  const Listing listing(options_);
  const Layout layout = layout_of(this->name(), folder, split, listing);
  classes_ = layout.classes;
  const std::string what = options_.what, root = layout.files.string();
  const auto add = [&](const fs::path& from, int64_t label) {
    for (std::string& path : listing.files_below(from)) files_.push_back({std::move(path), label});
  };
  if (classes_.empty()) add(layout.files, -1);
  for (size_t i = 0; i < classes_.size(); ++i) {
    const size_t before = files_.size();
    std::error_code ignored;
    if (fs::is_directory(layout.files / classes_[i], ignored)) add(layout.files / classes_[i], static_cast<int64_t>(i));
    if (files_.size() == before) log::warn(this->name(), ": no ", what, " of class '", classes_[i], "' in ", root);
  }
  for (const std::string& other : listing.names_of_folders(layout.files)) {
    if (!std::binary_search(classes_.begin(), classes_.end(), other)) {
      throw Error(this->name(), str("class '", other, "' of ", root, " is none of the training's"));
    }
  }
  if (files_.empty()) throw Error(this->name(), str("no ", what, " below ", root, " (", options_.endings, ")"));
  if (!layout.is_split && !keep_listed(root, split)) keep_part(root, split);
  for (size_t i = files_.size(); i > 1; --i) std::swap(files_[i - 1], files_[mix_seed(1, i) % i]);
}

// False where nobody has listed the files.
bool FolderSource::keep_listed(const std::string& root, Split split) {
  if (!options_.has_lists) return false;
  const std::set<std::string> test = listed(fs::path(root) / "testing_list.txt");
  const std::set<std::string> validation = listed(fs::path(root) / "validation_list.txt");
  if (test.empty() && validation.empty()) return false;
  const std::set<std::string>& measured = test.empty() ? validation : test;
  std::erase_if(files_, [&](const File& file) {
    const std::string path = below(file.path, root);
    return split == Split::kTest ? !measured.contains(path) : test.contains(path) || validation.contains(path);
  });
  if (files_.empty()) throw Error(name(), str("no ", options_.what, " is left of this part by the lists in ", root));
  return true;
}

// The files of a folder that nobody split, by a number from each one's path below it.
void FolderSource::keep_part(const std::string& root, Split split) {
  if (options_.held_out <= 0.0) return;
  std::erase_if(files_, [&](const File& file) {
    const bool is_held_out = static_cast<double>(hash(below(file.path, root)) >> 11) * 0x1.0p-53 < options_.held_out;
    return is_held_out != (split == Split::kTest);
  });
  if (files_.empty()) {
    throw Error(name(), str("no ", options_.what, " is left of this part"))
        .hint("another share, or folders train and val");
  }
}

std::vector<int64_t> FolderSource::class_counts() const {
  std::vector<int64_t> counts(classes_.size(), 0);
  for (int64_t i = 0; i < size(); ++i) {
    const int64_t label = file_of(i).label;
    if (label >= 0) ++counts.at(static_cast<size_t>(label));
  }
  return counts;
}

int64_t FolderSource::usual_workers() const { return std::max<int64_t>(1, std::thread::hardware_concurrency()); }

std::vector<std::string> FolderSource::left_out() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return {damaged_.begin(), damaged_.end()};
}

at::Tensor FolderSource::labels_of_made(const std::vector<int64_t>& samples,
                                        const std::function<void(size_t)>& make) const {
  check_indices(samples);
  std::vector<int64_t> labels;
  for (size_t i = 0; i < samples.size(); ++i) {
    try {
      make(i);
      labels.push_back(file_of(samples[i]).label);
    } catch (const Error& error) {
      leave_out(file_of(samples[i]).path, error);
    }
  }
  return has_targets() ? at::tensor(labels, at::kLong) : at::Tensor();
}

void FolderSource::leave_out(const std::string& path, const Error& reason) const {
  if (options_.strict) throw Error(reason);
  const std::lock_guard<std::mutex> lock(mutex_);
  if (!damaged_.insert(path).second) return;
  if (damaged_.size() <= kMostWarnings) log::warn(reason.what(), "; left out");
  if (damaged_.size() == kMostWarnings) log::warn(name(), ": further damaged files are left out without a word");
}

}  // namespace octet

#include "octet/train/image_folder.h"

#include <algorithm>
#include <filesystem>
#include <mutex>
#include <set>
#include <thread>

#include "octet/images/image_file.h"
#include "octet/support/error.h"
#include "octet/support/log.h"
#include "octet/train/transforms.h"

namespace octet {
namespace {

namespace fs = std::filesystem;
using images::Image;

constexpr size_t kMostWarnings = 10;

// A picture, and the number of its class; -1: none.
struct Picture {
  std::string path;
  int64_t label = -1;
};

bool is_hidden(const fs::path& path) { return path.filename().string().rfind('.', 0) == 0; }

std::vector<fs::path> entries(const fs::path& folder, bool folders) {
  std::vector<fs::path> found;
  std::error_code failure;
  for (const auto& entry : fs::directory_iterator(folder, failure)) {
    std::error_code ignored;
    const bool is_folder = entry.is_directory(ignored);
    if (is_hidden(entry.path()) || is_folder != folders) continue;
    if (folders || images::is_image_name(entry.path().string())) found.push_back(entry.path());
  }
  if (failure) throw Error(folder.string(), failure.message());
  std::sort(found.begin(), found.end());
  return found;
}

std::vector<std::string> class_folders(const fs::path& folder) {
  std::vector<std::string> names;
  for (const fs::path& path : entries(folder, true)) names.push_back(path.filename().string());
  return names;
}

// All pictures below a folder, at any depth.
void add_pictures(const fs::path& folder, int64_t label, std::vector<Picture>& to) {
  std::vector<fs::path> waiting = {folder};
  while (!waiting.empty()) {
    const fs::path here = waiting.back();
    waiting.pop_back();
    for (const fs::path& path : entries(here, false)) to.push_back({path.string(), label});
    std::vector<fs::path> below = entries(here, true);
    waiting.insert(waiting.end(), below.rbegin(), below.rend());
  }
}

struct Layout {
  fs::path pictures;                 // folders a class, or the pictures themselves
  std::vector<std::string> classes;  // in the order of their labels
  bool is_split = false;             // there is another folder for the other split
};

Layout layout_of(const std::string& name, const fs::path& folder, Split split) {
  std::error_code ignored;
  if (!fs::is_directory(folder, ignored)) throw Error(name, str("no folder ", folder.string()));
  const fs::path train = folder / "train";
  if (!fs::is_directory(train, ignored)) return {folder, class_folders(folder), false};
  for (const char* other : {"val", "valid", "test"}) {
    if (!fs::is_directory(folder / other, ignored)) continue;
    return {split == Split::kTrain ? train : folder / other, class_folders(train), true};
  }
  return {train, class_folders(train), false};
}

std::vector<Picture> list_pictures(const Layout& layout, const std::string& name) {
  std::vector<Picture> pictures;
  if (layout.classes.empty()) {
    add_pictures(layout.pictures, -1, pictures);
  }
  for (size_t i = 0; i < layout.classes.size(); ++i) {
    const size_t before = pictures.size();
    const fs::path folder = layout.pictures / layout.classes[i];
    std::error_code ignored;
    if (fs::is_directory(folder, ignored)) add_pictures(folder, static_cast<int64_t>(i), pictures);
    if (pictures.size() == before)
      log::warn(name, ": no picture of class '", layout.classes[i], "' in ", layout.pictures.string());
  }
  for (const std::string& other : class_folders(layout.pictures)) {
    if (!std::binary_search(layout.classes.begin(), layout.classes.end(), other)) {
      throw Error(name, str("class '", other, "' of ", layout.pictures.string(), " is none of the training's"));
    }
  }
  if (pictures.empty()) {
    throw Error(name, str("no picture below ", layout.pictures.string(), " (.jpg, .jpeg, .png)"));
  }
  return pictures;
}

uint64_t hash(const std::string& text) {
  uint64_t value = 0;
  for (const char c : text) value = mix_seed(value, static_cast<unsigned char>(c));
  return value;
}

class ImageFolder : public DataSource {
 public:
  ImageFolder(std::string name, const std::string& folder, Split split, ImageFolderOptions options)
      : DataSource(std::move(name)), options_(std::move(options)) {
    const std::vector<int64_t>& sample = options_.sample;
    if (sample.size() != 3 || (sample[0] != 1 && sample[0] != 3) || sample[1] < 1 || sample[2] < 1) {
      throw expected(this->name(), "model input", "[3, height, width] or [1, height, width] (without the batch)",
                     octet::str('[', join(", ", sample), ']'));
    }
    check_chance();
    set_facts();
    const Layout layout = layout_of(this->name(), folder, split);
    classes_ = layout.classes;
    pictures_ = list_pictures(layout, this->name());
    if (!layout.is_split) keep_part(layout.pictures, split);
    // Mixed once for all, so that the first ones are of all classes.
    for (size_t i = pictures_.size(); i > 1; --i) std::swap(pictures_[i - 1], pictures_[mix_seed(1, i) % i]);
  }

  int64_t size() const override { return static_cast<int64_t>(pictures_.size()); }
  std::vector<std::vector<int64_t>> sample_shapes() const override { return {options_.sample}; }
  bool has_targets() const override { return !classes_.empty(); }
  int64_t num_classes() const override { return static_cast<int64_t>(classes_.size()); }
  std::vector<int64_t> class_counts() const override {
    std::vector<int64_t> counts(classes_.size(), 0);
    for (const Picture& each : pictures_) {
      if (each.label >= 0) ++counts.at(static_cast<size_t>(each.label));
    }
    return counts;
  }
  // Decoding takes longer than a small model's step.
  int64_t usual_workers() const override { return std::max<int64_t>(1, std::thread::hardware_concurrency()); }
  std::vector<std::string> class_names() const override { return classes_; }
  const ImageFacts* image_facts() const override { return &facts_; }
  std::vector<std::string> left_out() const override {
    const std::lock_guard<std::mutex> lock(mutex_);
    return {damaged_.begin(), damaged_.end()};
  }

  Batch get(const std::vector<int64_t>& indices) const override {
    return batch_of(indices, [&](size_t i) { return whole(picture(indices[i])); });
  }

  Batch draw(const std::vector<int64_t>& indices, const std::vector<uint64_t>& seeds) const override {
    if (!options_.augment) return get(indices);
    return batch_of(indices, [&](size_t i) { return changed(picture(indices[i]), seeds[i]); });
  }

 private:
  const Picture& picture(int64_t index) const { return pictures_[static_cast<size_t>(index)]; }

  void check_chance() const {
    const images::RandAugment& chosen = options_.rand_augment;
    if (chosen.changes < 0) throw expected(name(), "RandAugment's changes", "0 or more", str(chosen.changes));
    if (chosen.bins < 2) throw expected(name(), "RandAugment's bins", "2 or more", str(chosen.bins));
    if (chosen.magnitude < 0 || chosen.magnitude >= chosen.bins) {
      throw expected(name(), "RandAugment's magnitude", str("0 to ", chosen.bins - 1), str(chosen.magnitude));
    }
    const images::Jitter& jitter = options_.jitter;
    for (const double each : {jitter.brightness, jitter.contrast, jitter.saturation, jitter.hue}) {
      if (!(each >= 0)) throw expected(name(), "jitter", "0 or more", str(each));
    }
    if (jitter.hue > 0.5) throw expected(name(), "jitter of the hue", "at most 0.5", str(jitter.hue));
  }

  void set_facts() {
    const bool is_grey = options_.sample[0] == 1;
    facts_.mean = !options_.mean.empty() ? options_.mean
                  : is_grey              ? std::vector<double>{0.449}
                                         : std::vector<double>{0.485, 0.456, 0.406};
    facts_.std = !options_.std.empty() ? options_.std
                 : is_grey             ? std::vector<double>{0.226}
                                       : std::vector<double>{0.229, 0.224, 0.225};
    const auto channels = static_cast<size_t>(options_.sample[0]);
    if (facts_.mean.size() != channels || facts_.std.size() != channels) {
      throw expected(name(), "mean and std", str(channels, " numbers each"),
                     str(facts_.mean.size(), " and ", facts_.std.size()));
    }
  }

  // The files of a folder that nobody split, by a number from each one's path below it.
  void keep_part(const fs::path& root, Split split) {
    if (options_.held_out <= 0.0) return;
    std::vector<Picture> kept;
    for (Picture& each : pictures_) {
      const std::string below = fs::path(each.path).lexically_relative(root).string();
      const bool is_held_out = static_cast<double>(hash(below) >> 11) * 0x1.0p-53 < options_.held_out;
      if (is_held_out == (split == Split::kTest)) kept.push_back(std::move(each));
    }
    if (kept.empty())
      throw Error(name(), "no picture is left of this part").hint("another share, or folders train and val");
    pictures_ = std::move(kept);
  }

  // As a model is measured: brought to size, cut from the middle.
  Image whole(const Picture& picture) const {
    const int64_t height = options_.sample[1], width = options_.sample[2];
    const Image image = images::read_image(picture.path);
    if (options_.resize > 0) {
      return images::center_crop(images::resize_shorter(image, options_.resize, options_.filter), height, width);
    }
    // Both sides cover the crop with an eighth of it to spare.
    const auto spared = [](int64_t side) { return (side * 8 + 3) / 7; };
    const double factor = std::max(static_cast<double>(spared(height)) / static_cast<double>(image.height),
                                   static_cast<double>(spared(width)) / static_cast<double>(image.width));
    const auto side = [&](int64_t from, int64_t least) {
      return std::max(least, static_cast<int64_t>(static_cast<double>(from) * factor + 1e-9));
    };
    return images::center_crop(
        images::resize(image, side(image.height, spared(height)), side(image.width, spared(width)), options_.filter),
        height, width);
  }

  // As a model is trained.
  Image changed(const Picture& picture, uint64_t seed) const {
    const int64_t height = options_.sample[1], width = options_.sample[2];
    Draws draws(seed);
    const std::string bytes = images::read_image_file(picture.path);
    const images::ImageSize size = images::image_size(bytes, picture.path);
    images::Box box = images::random_box(size.height, size.width, draws, options_.least_scale);
    // A JPEG is decoded no larger than the box needs.
    int shrink = 1;
    while (shrink < 8 && box.height / (2 * shrink) >= height && box.width / (2 * shrink) >= width) shrink *= 2;
    const Image image = images::decode_image(bytes, picture.path, {.shrink = shrink});
    const auto scaled = [](int64_t at, int64_t of, int64_t whole) { return at * of / whole; };
    box.top = scaled(box.top, image.height, size.height);
    box.left = scaled(box.left, image.width, size.width);
    box.height = std::clamp<int64_t>(scaled(box.height, image.height, size.height), 1, image.height - box.top);
    box.width = std::clamp<int64_t>(scaled(box.width, image.width, size.width), 1, image.width - box.left);
    Image made = images::resize(images::crop(image, box), height, width, options_.filter);
    if (options_.mirror && draws.uniform(0.0, 1.0) < 0.5) images::mirror(made);
    images::rand_augment(made, options_.rand_augment, draws);
    images::color_jitter(made, options_.jitter, draws);
    return made;
  }

  template <typename Make>
  Batch batch_of(const std::vector<int64_t>& indices, const Make& make) const {
    check_indices(indices);
    std::vector<Image> made;
    std::vector<int64_t> labels;
    std::string reason;
    for (size_t i = 0; i < indices.size(); ++i) {
      try {
        made.push_back(make(i));
        labels.push_back(picture(indices[i]).label);
      } catch (const Error& error) {
        if (options_.strict) throw;
        reason = error.what();
        leave_out(picture(indices[i]).path, reason);
      }
    }
    if (made.empty() && !indices.empty()) throw Error(name(), str("no file of a batch can be read: ", reason));
    return {{values(made)}, has_targets() ? at::tensor(labels, at::kLong) : at::Tensor()};
  }

  // Images as [N, C, H, W] from 0 to 1. By hand: this runs on the loader's threads (transforms.cpp).
  at::Tensor values(const std::vector<Image>& made) const {
    const int64_t channels = options_.sample[0], area = options_.sample[1] * options_.sample[2];
    at::Tensor all =
        at::empty({static_cast<int64_t>(made.size()), channels, options_.sample[1], options_.sample[2]}, at::kFloat);
    float* to = all.mutable_data_ptr<float>();
    for (const Image& image : made) {
      const uint8_t* from = image.rgb.data();
      for (int64_t i = 0; i < area; ++i, from += 3) {
        if (channels == 1) {
          to[i] = static_cast<float>(images::luminance(from)) / 255.0F;
        } else {
          for (int64_t c = 0; c < 3; ++c) to[c * area + i] = static_cast<float>(from[c]) / 255.0F;
        }
      }
      to += channels * area;
    }
    return all;
  }

  void leave_out(const std::string& path, const std::string& reason) const {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (!damaged_.insert(path).second) return;
    if (damaged_.size() <= kMostWarnings) log::warn(reason, "; left out");
    if (damaged_.size() == kMostWarnings) log::warn(name(), ": further damaged files are left out without a word");
  }

  ImageFolderOptions options_;
  ImageFacts facts_;
  std::vector<std::string> classes_;
  std::vector<Picture> pictures_;
  mutable std::mutex mutex_;
  mutable std::set<std::string> damaged_;
};

}  // namespace

std::shared_ptr<DataSource> image_folder(std::string name, const std::string& folder, Split split,
                                         const ImageFolderOptions& options) {
  return std::make_shared<ImageFolder>(std::move(name), folder, split, options);
}

}  // namespace octet

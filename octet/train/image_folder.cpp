#include "octet/train/image_folder.h"

#include <algorithm>

#include "octet/images/image_file.h"
#include "octet/support/draws.h"
#include "octet/support/error.h"
#include "octet/train/class_folder.h"

namespace octet {
namespace {

using images::Image;

FolderOptions looking_for_pictures(const ImageFolderOptions& options) {
  return {.what = "picture",
          .endings = images::kImageEndings,
          .is_one = images::is_image_name,
          .held_out = options.held_out,
          .strict = options.strict};
}

// Throws octet::Error naming `name` for a model that takes no pictures.
const ImageFolderOptions& with_sizes(const std::string& name, const ImageFolderOptions& options) {
  const std::vector<int64_t>& sample = options.sample;
  if (sample.size() == 3 && (sample[0] == 1 || sample[0] == 3) && sample[1] >= 1 && sample[2] >= 1) return options;
  throw expected(name, "model input", "[3, height, width] or [1, height, width] (without the batch)",
                 octet::str('[', join(", ", sample), ']'));
}

class ImageFolder : public FolderSource {
 public:
  ImageFolder(const std::string& name, const std::string& folder, Split split, const ImageFolderOptions& options)
      : FolderSource(name, folder, split, looking_for_pictures(with_sizes(name, options))), options_(options) {
    check_chance();
    set_facts();
  }

  std::vector<std::vector<int64_t>> sample_shapes() const override { return {options_.sample}; }
  const ImageFacts* image_facts() const override { return &facts_; }

  Batch get(const std::vector<int64_t>& indices) const override {
    return batch_of(indices, [&](size_t i) { return whole(file_of(indices[i]).path); });
  }

  Batch draw(const std::vector<int64_t>& indices, const std::vector<uint64_t>& seeds) const override {
    if (!options_.augment) return get(indices);
    return batch_of(indices, [&](size_t i) { return changed(file_of(indices[i]).path, seeds[i]); });
  }

 private:
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

  // As a model is measured: brought to size, cut from the middle.
  Image whole(const std::string& path) const {
    const int64_t height = options_.sample[1], width = options_.sample[2];
    const Image image = images::read_image(path);
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
  Image changed(const std::string& path, uint64_t seed) const {
    const int64_t height = options_.sample[1], width = options_.sample[2];
    Draws draws(seed);
    const std::string bytes = images::read_image_file(path);
    const images::ImageSize size = images::image_size(bytes, path);
    images::Box box = images::random_box(size.height, size.width, draws, options_.least_scale);
    // A JPEG is decoded no larger than the box needs.
    int shrink = 1;
    while (shrink < 8 && box.height / (2 * shrink) >= height && box.width / (2 * shrink) >= width) shrink *= 2;
    const Image image = images::decode_image(bytes, path, {.shrink = shrink});
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
    std::vector<Image> made;
    const at::Tensor labels = labels_of_made(indices, [&](size_t i) { made.push_back(make(i)); });
    return {{values(made)}, labels};
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

  ImageFolderOptions options_;
  ImageFacts facts_;
};

}  // namespace

std::shared_ptr<DataSource> image_folder(std::string name, const std::string& folder, Split split,
                                         const ImageFolderOptions& options) {
  return std::make_shared<ImageFolder>(name, folder, split, options);
}

}  // namespace octet

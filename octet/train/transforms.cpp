#include "octet/train/transforms.h"

#include <ATen/ops/_upsample_bilinear2d_aa.h>

#include <algorithm>
#include <cstring>

#include "octet/support/error.h"
#include "octet/train/data_source.h"

namespace octet {
namespace {

// Plain loops rather than ATen: transforms run on the loader's thread beside the training step, where a parallel
// operator would start a second team of threads.

float* pixels(at::Tensor& images) { return images.mutable_data_ptr<float>(); }

at::Tensor checked(at::Tensor images, const char* who) {
  if (images.dim() != 4 || images.scalar_type() != at::kFloat) {
    throw expected(who, "images", "float32 [N, C, H, W]", octet::str(images.scalar_type(), images.sizes()));
  }
  return images.contiguous();
}

uint8_t level(float value) { return static_cast<uint8_t>(std::clamp(value * 255.0F + 0.5F, 0.0F, 255.0F)); }

/// `images` inside zeros: size [N, C, height, width], image n shifted by (top[n], left[n]), which may be negative.
at::Tensor place(const at::Tensor& images, int64_t height, int64_t width, const std::function<int64_t(size_t)>& top,
                 const std::function<int64_t(size_t)>& left) {
  const int64_t channels = images.size(1), old_height = images.size(2), old_width = images.size(3);
  at::Tensor placed = at::empty({images.size(0), channels, height, width}, at::kFloat);
  const float* from = images.const_data_ptr<float>();
  float* to = placed.mutable_data_ptr<float>();
  std::memset(to, 0, placed.nbytes());
  for (int64_t n = 0; n < images.size(0); ++n) {
    const int64_t shift_y = top(static_cast<size_t>(n)), shift_x = left(static_cast<size_t>(n));
    const int64_t first = std::max<int64_t>(0, -shift_x), last = std::min(old_width, width - shift_x);
    for (int64_t c = 0; c < channels && first < last; ++c) {
      for (int64_t y = std::max<int64_t>(0, -shift_y); y < std::min(old_height, height - shift_y); ++y) {
        std::memcpy(to + ((n * channels + c) * height + y + shift_y) * width + first + shift_x,
                    from + ((n * channels + c) * old_height + y) * old_width + first,
                    static_cast<size_t>(last - first) * sizeof(float));
      }
    }
  }
  return placed;
}

}  // namespace

Transform normalise(std::vector<double> mean, std::vector<double> std) {
  if (mean.size() != std.size()) throw expected("normalise", "std", str(mean.size(), " values"), str(std.size()));
  for (double s : std) {
    if (!(s > 0)) throw expected("normalise", "std", "over 0", str(s));
  }
  return [mean = std::move(mean), std = std::move(std)](at::Tensor images, const SampleSeeds&) {
    images = checked(std::move(images), "normalise");
    const auto channels = static_cast<size_t>(images.size(1));
    if (channels != mean.size()) throw expected("normalise", "channels", str(mean.size()), str(channels));
    const int64_t area = images.size(2) * images.size(3);
    float* p = pixels(images);
    for (int64_t n = 0; n < images.size(0); ++n) {
      for (size_t c = 0; c < channels; ++c, p += area) {
        const auto m = static_cast<float>(mean[c]), s = static_cast<float>(std[c]);
        for (int64_t i = 0; i < area; ++i) p[i] = (p[i] - m) / s;
      }
    }
    return images;
  };
}

Transform pad_to(int64_t height, int64_t width) {
  return [height, width](at::Tensor images, const SampleSeeds&) {
    images = checked(std::move(images), "pad_to");
    const int64_t down = height - images.size(2), across = width - images.size(3);
    if (down < 0 || across < 0) {
      throw expected("pad_to", "image size", str("at most ", height, "x", width),
                     str(images.size(2), "x", images.size(3)));
    }
    return place(
        images, height, width, [&](size_t) { return down / 2; }, [&](size_t) { return across / 2; });
  };
}

Transform random_crop(int64_t margin) {
  if (margin < 0) throw expected("random_crop", "margin", "0 or more", str(margin));
  return [margin](at::Tensor images, const SampleSeeds& seeds) {
    images = checked(std::move(images), "random_crop");
    if (seeds.size() != static_cast<size_t>(images.size(0))) throw Error("random_crop", "needs one seed a sample");
    const auto places = static_cast<uint64_t>(2 * margin + 1);
    auto shift = [&](size_t n, uint64_t axis) {
      return margin - static_cast<int64_t>(mix_seed(seeds[n], axis) % places);
    };
    return place(
        images, images.size(2), images.size(3), [&](size_t n) { return shift(n, 0); },
        [&](size_t n) { return shift(n, 1); });
  };
}

Transform random_mirror(double probability) {
  if (!(probability >= 0 && probability <= 1)) {
    throw expected("random_mirror", "probability", "0 to 1", str(probability));
  }
  return [probability](at::Tensor images, const SampleSeeds& seeds) {
    images = checked(std::move(images), "random_mirror");
    if (seeds.size() != static_cast<size_t>(images.size(0))) throw Error("random_mirror", "needs one seed a sample");
    const int64_t rows = images.size(1) * images.size(2), width = images.size(3);
    float* p = pixels(images);
    for (size_t n = 0; n < seeds.size(); ++n, p += rows * width) {
      const double draw = static_cast<double>(mix_seed(seeds[n], 0) >> 11) * 0x1.0p-53;
      for (int64_t row = 0; draw < probability && row < rows; ++row) {
        std::reverse(p + row * width, p + (row + 1) * width);
      }
    }
    return images;
  };
}

Transform random_changes(const images::RandAugment& options) {
  return [options](at::Tensor images, const SampleSeeds& seeds) {
    images = checked(std::move(images), "random_changes");
    if (seeds.size() != static_cast<size_t>(images.size(0))) throw Error("random_changes", "needs one seed a sample");
    const int64_t channels = images.size(1), area = images.size(2) * images.size(3);
    if (channels != 1 && channels != 3) throw expected("random_changes", "channels", "1 or 3", str(channels));
    images::Image image = images::make_image(images.size(2), images.size(3));
    float* p = pixels(images);
    for (size_t n = 0; n < seeds.size(); ++n, p += channels * area) {
      for (int64_t i = 0; i < area; ++i) {
        for (int64_t c = 0; c < 3; ++c)
          image.rgb[static_cast<size_t>(3 * i + c)] = level(p[(channels == 1 ? 0 : c) * area + i]);
      }
      Draws draws(seeds[n]);
      images::rand_augment(image, options, draws);
      for (int64_t c = 0; c < channels; ++c) {
        for (int64_t i = 0; i < area; ++i) {
          p[c * area + i] = static_cast<float>(image.rgb[static_cast<size_t>(3 * i + c)]) / 255.0F;
        }
      }
    }
    return images;
  };
}

Transform resize(int64_t height, int64_t width) {
  if (height < 1 || width < 1) throw expected("resize", "size", "at least 1x1", str(height, "x", width));
  return [height, width](at::Tensor images, const SampleSeeds&) {
    images = checked(std::move(images), "resize");
    return at::_upsample_bilinear2d_aa(images, {height, width}, /*align_corners=*/false);
  };
}

Transform compose(std::vector<Transform> steps) {
  return [steps = std::move(steps)](at::Tensor images, const SampleSeeds& seeds) {
    SampleSeeds own(seeds.size());
    for (size_t k = 0; k < steps.size(); ++k) {
      if (!steps[k]) continue;
      for (size_t n = 0; n < seeds.size(); ++n) own[n] = mix_seed(seeds[n], k);
      images = steps[k](std::move(images), own);
    }
    return images;
  };
}

Transform standard_transform(const DataSource& data, const std::vector<int64_t>& input_shape, bool augment,
                             const images::RandAugment& changes) {
  const ImageFacts* facts = data.image_facts();
  if (facts == nullptr) return {};
  const std::vector<int64_t> image = data.sample_shapes()[0];
  if (input_shape.size() != 3 || input_shape[0] != image[0]) {
    throw expected(data.name(), "model input", str("[", image[0], ", height, width] (without the batch)"),
                   octet::str(at::IntArrayRef(input_shape)));
  }
  const int64_t height = input_shape[1], width = input_shape[2];
  std::vector<Transform> steps;
  if (height != image[1] || width != image[2]) {
    auto pads = [](int64_t from, int64_t to) { return to >= from && to - from <= from / 4; };
    steps.push_back(pads(image[1], height) && pads(image[2], width) ? pad_to(height, width) : resize(height, width));
  }
  if (augment && facts->crop_margin > 0) steps.push_back(random_crop(facts->crop_margin));
  if (augment && facts->mirror) steps.push_back(random_mirror());
  if (augment && changes.changes > 0) steps.push_back(random_changes(changes));
  steps.push_back(normalise(facts->mean, facts->std));
  return compose(std::move(steps));
}

}  // namespace octet

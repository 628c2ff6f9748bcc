#include "octet/train/open_data.h"

#include <cstdlib>
#include <filesystem>

#include "octet/support/error.h"
#include "octet/train/data_readers.h"
#include "octet/train/data_schemes.h"

namespace octet {
namespace {

constexpr const char* kFashionFolder = "/usr/share/datasets/fashion-mnist";

std::string fashion_folder() {
  namespace fs = std::filesystem;
  std::error_code ignored;
  const char* chosen = std::getenv("OCTET_DATA_DIR");
  if (chosen != nullptr && *chosen != '\0') {
    fs::path inside = fs::path(chosen) / "fashion-mnist";
    return fs::is_directory(inside, ignored) ? inside.string() : std::string(chosen);
  }
  if (!fs::is_directory(kFashionFolder, ignored)) {
    throw Error("fashion-mnist", str("no folder ", kFashionFolder))
        .hint("install the package dataset-fashion-mnist, or set OCTET_DATA_DIR to a folder with its four files");
  }
  return kFashionFolder;
}

/// The part behind "scheme:", or nullopt.
std::optional<std::string> behind(const std::string& spec, const std::string& scheme) {
  if (spec.compare(0, scheme.size() + 1, scheme + ":") != 0) return std::nullopt;
  std::string rest = spec.substr(scheme.size() + 1);
  if (rest.empty()) throw Error(spec, "a path has to stand behind the colon");
  return rest;
}

std::shared_ptr<DataSource> open_all(const std::string& spec, Split split, const DataOptions& options) {
  if (spec == "fashion-mnist") {
    ImageFacts facts{{0.2860}, {0.3530}, /*mirror=*/true, /*crop_margin=*/1};
    return readers::idx(spec, fashion_folder(), split, facts, 10);
  }
  if (auto folder = behind(spec, "idx")) {
    // Nothing is known about these images; digits, say, must not be mirrored.
    return readers::idx(spec, *folder, split, ImageFacts{{0.5}, {0.5}, /*mirror=*/false, /*crop_margin=*/2}, 0);
  }
  if (auto folder = behind(spec, "cifar10")) return readers::cifar10(spec, *folder, split);
  if (auto folder = behind(spec, "images")) return image_folder(spec, *folder, split, options.images);
  if (auto folder = behind(spec, "audio")) return audio_folder(spec, *folder, split, options.audio);
  if (auto pattern = behind(spec, "npy")) return readers::npy(spec, *pattern);
  throw expected("data", "one of", data_scheme_help(), "'" + spec + "'");
}

}  // namespace

const char* data_scheme_help() {
  return "fashion-mnist, idx:FOLDER, cifar10:FOLDER, images:FOLDER, audio:FOLDER, npy:GLOB";
}

std::shared_ptr<DataSource> open_data(const std::string& spec, Split split, const DataOptions& options) {
  std::shared_ptr<DataSource> dataset =
      in_category(ErrorCategory::kFile, [&] { return open_all(spec, split, options); });
  if (options.limit > 0 && options.limit < dataset->size()) return first_samples(dataset, options.limit);
  return dataset;
}

}  // namespace octet

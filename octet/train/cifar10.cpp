#include <cstring>
#include <filesystem>

#include "octet/support/byte_source.h"
#include "octet/support/error.h"
#include "octet/train/data_readers.h"

namespace octet::readers {
namespace {

constexpr int64_t kPixels = int64_t{3} * 32 * 32;
constexpr uint64_t kRecord = 1 + kPixels;
constexpr uint64_t kMaxFile = kRecord * 1000000;

}  // namespace

std::shared_ptr<DataSource> cifar10(const std::string& name, const std::string& folder, Split split) {
  namespace fs = std::filesystem;
  fs::path root = folder;
  std::error_code ignored;
  if (fs::is_directory(root / "cifar-10-batches-bin", ignored)) root /= "cifar-10-batches-bin";
  std::vector<fs::path> files;
  if (split == Split::kTest) {
    files.push_back(root / "test_batch.bin");
  } else {
    for (int i = 1; i <= 5; ++i) files.push_back(root / ("data_batch_" + std::to_string(i) + ".bin"));
  }
  std::vector<std::string> parts;
  int64_t count = 0;
  for (const fs::path& path : files) {
    parts.push_back(read_file(path.string(), kMaxFile));
    const std::string& bytes = parts.back();
    if (bytes.empty() || bytes.size() % kRecord != 0) {
      throw expected(path.string(), "size", str("a multiple of ", kRecord, " bytes"), str(bytes.size()))
          .hint("this is the reader of CIFAR-10's binary version");
    }
    for (size_t at = 0; at < bytes.size(); at += kRecord) {
      auto label = static_cast<uint8_t>(bytes[at]);
      if (label > 9) throw expected(path.string(), str("label of record ", at / kRecord), "0 to 9", str(int{label}));
    }
    count += static_cast<int64_t>(bytes.size() / kRecord);
  }
  at::Tensor images = at::empty({count, 3, 32, 32}, at::kByte);
  at::Tensor labels = at::empty({count}, at::kLong);
  uint8_t* image = images.mutable_data_ptr<uint8_t>();
  int64_t* label = labels.mutable_data_ptr<int64_t>();
  for (const std::string& bytes : parts) {
    for (size_t at = 0; at < bytes.size(); at += kRecord) {
      *label++ = static_cast<uint8_t>(bytes[at]);
      std::memcpy(image, bytes.data() + at + 1, kPixels);
      image += kPixels;
    }
  }
  ImageFacts facts{{0.5, 0.5, 0.5}, {0.5, 0.5, 0.5}, /*mirror=*/true, /*crop_margin=*/4};
  return image_source(name, images, labels, 10, facts);
}

}  // namespace octet::readers

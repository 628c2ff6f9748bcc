#include <zlib.h>

#include <algorithm>
#include <filesystem>

#include "octet/support/budget.h"
#include "octet/support/byte_source.h"
#include "octet/support/error.h"
#include "octet/train/data_readers.h"

namespace octet::readers {
namespace {

constexpr uint32_t kMaxSide = 1 << 14;
constexpr uint64_t kChunk = uint64_t{1} << 20;
constexpr uint64_t kLabelBytes = 1 + sizeof(int64_t);  // as read, and as an index

/// Plain and gzip files alike; zlib tells them apart.
class InflatingFile {
 public:
  explicit InflatingFile(const std::string& path) : path_(path), file_(gzopen(path.c_str(), "rb")) {
    if (file_ == nullptr) throw Error(path, "can't be opened");
    gzbuffer(file_, 1 << 17);
  }
  ~InflatingFile() { gzclose(file_); }
  InflatingFile(const InflatingFile&) = delete;
  InflatingFile& operator=(const InflatingFile&) = delete;

  /// Up to `count` bytes; fewer at the end of the file.
  size_t read(void* to, size_t count) {
    int got = gzread(file_, to, static_cast<unsigned>(count));
    int code = Z_OK;
    const char* reason = gzerror(file_, &code);
    if (got < 0 || (code != Z_OK && code != Z_STREAM_END)) {
      throw Error(path_, code == Z_BUF_ERROR ? "is truncated" : str("can't be read: ", reason));
    }
    return static_cast<size_t>(got);
  }

 private:
  std::string path_;
  gzFile file_;
};

uint32_t big_endian(const uint8_t* bytes) {
  return static_cast<uint32_t>(bytes[0]) << 24 | static_cast<uint32_t>(bytes[1]) << 16 |
         static_cast<uint32_t>(bytes[2]) << 8 | bytes[3];
}

std::string hex(uint32_t value) {
  char text[16];
  std::snprintf(text, sizeof text, "0x%08x", value);
  return text;
}

std::string find(const std::string& folder, const std::string& file) {
  std::string dotted = file;
  dotted[dotted.find("-idx")] = '.';
  for (const std::string& name : {file, dotted}) {
    for (const char* suffix : {".gz", ""}) {
      std::filesystem::path path = std::filesystem::path(folder) / (name + suffix);
      std::error_code ignored;
      if (std::filesystem::is_regular_file(path, ignored)) return path.string();
    }
  }
  throw Error(folder, str("holds no '", file, "' or '", file, ".gz'"));
}

}  // namespace

at::Tensor read_idx(const std::string& path, int rank) {
  Budget budget(path, open_file(path)->size());
  InflatingFile file(path);
  std::vector<uint8_t> header(4 + 4 * static_cast<size_t>(rank));
  if (file.read(header.data(), header.size()) != header.size()) throw Error(path, "is truncated in its header");
  const uint32_t magic = 0x00000800U + static_cast<uint32_t>(rank);
  if (big_endian(header.data()) != magic) {
    throw expected(path, "IDX magic", hex(magic), hex(big_endian(header.data())));
  }
  std::vector<int64_t> shape;
  uint64_t bytes = 1;
  for (int d = 0; d < rank; ++d) {
    uint32_t side = big_endian(header.data() + 4 + ptrdiff_t{4} * d);
    if (d > 0 && (side == 0 || side > kMaxSide)) {
      throw expected(path, str("dimension ", d), str("1 to ", kMaxSide), str(side));
    }
    shape.push_back(side);
    bytes *= side;  // at most 2^32 * 2^14 * 2^14
  }
  if (bytes == 0) throw Error(path, "holds no samples");
  budget.charge(bytes, rank == 1 ? kLabelBytes : 1, "the data that its header claims");
  at::Tensor result = at::empty(shape, at::kByte);  // no page of it is real before it is written
  uint8_t* data = result.mutable_data_ptr<uint8_t>();
  for (uint64_t done = 0; done < bytes;) {
    const uint64_t want = std::min(kChunk, bytes - done);
    const size_t got = file.read(data + done, want);
    if (got < want) throw expected(path, "bytes of data", str(bytes), str(done + got)).hint("the file is truncated");
    done += want;
  }
  uint8_t extra = 0;
  if (file.read(&extra, 1) != 0) throw Error(path, str("goes on behind its ", bytes, " bytes of data"));
  return result;
}

std::shared_ptr<DataSource> idx(const std::string& name, const std::string& folder, Split split, ImageFacts facts,
                                int64_t num_classes) {
  const std::string stem = split == Split::kTrain ? "train" : "t10k";
  at::Tensor images = read_idx(find(folder, stem + "-images-idx3-ubyte"), 3);
  std::string labels_path = find(folder, stem + "-labels-idx1-ubyte");
  at::Tensor labels = read_idx(labels_path, 1).to(at::kLong);
  if (labels.size(0) != images.size(0)) {
    throw expected(labels_path, "labels", str(images.size(0)), str(labels.size(0)));
  }
  if (num_classes == 0) num_classes = labels.max().item<int64_t>() + 1;
  return image_source(name, images.unsqueeze(1), labels, num_classes, std::move(facts));
}

}  // namespace octet::readers

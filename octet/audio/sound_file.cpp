#include "octet/audio/sound_file.h"

#include <sndfile.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cmath>
#include <cstdio>
#include <cstring>

#include "octet/audio/resample.h"
#include "octet/support/budget.h"
#include "octet/support/error.h"

namespace octet::audio {

// What libsndfile reads from. Nothing is thrown through it.
struct SoundBytes {
  std::shared_ptr<const ByteSource> bytes;
  sf_count_t at = 0;
};

namespace {

constexpr int kMostChannels = 64;
constexpr int64_t kBlock = int64_t{1} << 16;  // numbers that are read at once

sf_count_t length(void* data) { return static_cast<sf_count_t>(static_cast<SoundBytes*>(data)->bytes->size()); }

sf_count_t seek(sf_count_t offset, int whence, void* data) {
  auto* reading = static_cast<SoundBytes*>(data);
  const sf_count_t from = whence == SEEK_CUR ? reading->at : whence == SEEK_END ? length(data) : 0;
  if (offset > length(data) - from || offset < -from) return -1;
  return reading->at = from + offset;
}

sf_count_t read_bytes(void* to, sf_count_t count, void* data) {
  auto* reading = static_cast<SoundBytes*>(data);
  count = std::clamp<sf_count_t>(count, 0, length(data) - reading->at);
  try {
    reading->bytes->read(static_cast<uint64_t>(reading->at), static_cast<uint64_t>(count), to);
  } catch (const std::exception&) {
    return 0;
  }
  reading->at += count;
  return count;
}

sf_count_t write_nothing(const void*, sf_count_t, void*) { return 0; }

sf_count_t tell(void* data) { return static_cast<SoundBytes*>(data)->at; }

// libsndfile knows dozens of formats; ours is asked for before it is.
void check_head(const ByteSource& bytes) {
  constexpr uint64_t kHead = 12;
  if (bytes.size() == 0) throw Error(bytes.name(), "is empty");
  const std::string head = bytes.read(0, std::min(bytes.size(), kHead));
  if (head.size() < kHead || head.compare(0, 4, "RIFF") != 0 || head.compare(8, 4, "WAVE") != 0) {
    throw Error(bytes.name(), "is no sound that octet reads: no WAV file");
  }
}

void check_encoding(const SF_INFO& info, const std::string& name) {
  constexpr std::array kRead = {SF_FORMAT_PCM_U8, SF_FORMAT_PCM_16, SF_FORMAT_PCM_24,
                                SF_FORMAT_PCM_32, SF_FORMAT_FLOAT,  SF_FORMAT_DOUBLE};
  const int container = info.format & SF_FORMAT_TYPEMASK, encoding = info.format & SF_FORMAT_SUBMASK;
  const bool is_wav = container == SF_FORMAT_WAV || container == SF_FORMAT_WAVEX;
  if (!is_wav || std::find(kRead.begin(), kRead.end(), encoding) == kRead.end()) {
    throw expected(name, "encoding", "PCM of 8 to 32 bits, or floats", "another").hint("convert the file");
  }
}

// libsndfile reads what there is of a file that is cut off; its log says that the header promised more. A program that
// did not know the length promises all.
bool is_cut_off(SNDFILE* file) {
  std::array<char, 4096> log{};
  sf_command(file, SFC_GET_LOG_INFO, log.data(), static_cast<int>(log.size()) - 1);
  for (const char* line = log.data(); (line = std::strstr(line, "data : ")) != nullptr; ++line) {
    const char* end = std::strchr(line, '\n');
    const std::string_view text(line, end == nullptr ? std::strlen(line) : static_cast<size_t>(end - line));
    if (text.find("(should be") != text.npos && text.find("4294967295") == text.npos) return true;
  }
  return false;
}

}  // namespace

struct SoundFile::Impl {
  explicit Impl(std::shared_ptr<const ByteSource> bytes)
      : budget(bytes->name(), bytes->size()), reading{std::move(bytes)} {}
  ~Impl() {
    if (file != nullptr) sf_close(file);
  }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  const std::string& name() const { return reading.bytes->name(); }

  Budget budget;
  SoundBytes reading;
  SF_INFO info = {};
  SNDFILE* file = nullptr;
};

SoundFile::SoundFile(std::shared_ptr<const ByteSource> bytes) : impl_(std::make_unique<Impl>(std::move(bytes))) {
  check_head(*impl_->reading.bytes);
  SF_VIRTUAL_IO io{length, seek, read_bytes, write_nothing, tell};
  impl_->file = sf_open_virtual(&io, SFM_READ, &impl_->info, &impl_->reading);
  const std::string& name = impl_->name();
  if (impl_->file == nullptr) throw Error(name, str("is a damaged WAV: ", sf_strerror(nullptr)));
  const SF_INFO& info = impl_->info;
  check_encoding(info, name);
  if (info.samplerate < kLeastRate || info.samplerate > kMostRate) {
    throw expected(name, "samples a second", str(kLeastRate, " to ", kMostRate), str(info.samplerate));
  }
  if (info.channels < 1 || info.channels > kMostChannels) {
    throw expected(name, "channels", str("1 to ", kMostChannels), str(info.channels));
  }
  if (is_cut_off(impl_->file)) throw Error(name, "is a damaged WAV: it is cut off");
  // A sample has a byte at least, whatever the header says.
  if (info.frames < 1 || static_cast<uint64_t>(info.frames) > impl_->reading.bytes->size()) {
    throw Error(name, "is a damaged WAV: it holds no samples");
  }
}

SoundFile::~SoundFile() = default;

int64_t SoundFile::rate() const { return impl_->info.samplerate; }
int64_t SoundFile::size() const { return impl_->info.frames; }

std::vector<float> SoundFile::read(int64_t first, int64_t count) {
  const int64_t begin = std::clamp<int64_t>(first, 0, size()), end = std::clamp<int64_t>(first + count, begin, size());
  const int64_t channels = impl_->info.channels;
  const int64_t block = std::min(std::max<int64_t>(1, kBlock / channels), std::max<int64_t>(1, end - begin));
  impl_->budget.charge(static_cast<uint64_t>(count), sizeof(float), "its samples");
  impl_->budget.charge(static_cast<uint64_t>(block * channels), sizeof(float), "its channels");
  std::vector<float> samples(static_cast<size_t>(count), 0.0F), part(static_cast<size_t>(block * channels));
  if (begin < end && sf_seek(impl_->file, begin, SEEK_SET) != begin) throw Error(impl_->name(), "is a damaged WAV");
  for (int64_t at = begin; at < end;) {
    const int64_t wanted = std::min(block, end - at);
    if (sf_readf_float(impl_->file, part.data(), wanted) != wanted) {
      throw Error(impl_->name(), "is a damaged WAV: it is cut off");
    }
    for (int64_t i = 0; i < wanted; ++i) {
      float sum = 0.0F;
      for (int64_t c = 0; c < channels; ++c) sum += part[static_cast<size_t>(i * channels + c)];
      samples[static_cast<size_t>(at - first + i)] = sum / static_cast<float>(channels);
    }
    at += wanted;
  }
  for (const float sample : samples) {
    if (!std::isfinite(sample)) throw Error(impl_->name(), "is a damaged WAV: a sample is no number");
  }
  return samples;
}

int64_t SoundFile::size_at(int64_t other) const { return resampled_size(size(), rate(), other); }

std::vector<float> SoundFile::read_at(int64_t other, int64_t first, int64_t count) {
  if (other == rate()) return read(first, count);
  impl_->budget.charge(static_cast<uint64_t>(size_at(other)), 2 * sizeof(float), "its samples at another rate");
  impl_->budget.charge(static_cast<uint64_t>(count), sizeof(float), "its samples");
  const std::vector<float> whole = resample(read(0, size()), rate(), other);
  std::vector<float> part(static_cast<size_t>(count), 0.0F);
  const auto end = std::min(count, static_cast<int64_t>(whole.size()) - first);
  for (int64_t i = std::max<int64_t>(0, -first); i < end; ++i) {
    part[static_cast<size_t>(i)] = whole[static_cast<size_t>(first + i)];
  }
  return part;
}

namespace {

Sound read_all(std::shared_ptr<const ByteSource> bytes) {
  SoundFile file(std::move(bytes));
  return {file.rate(), file.read(0, file.size())};
}

}  // namespace

Sound read_sound(const std::string& path) { return read_all(open_file(path)); }

Sound decode_sound(std::string bytes, const std::string& name) {
  return read_all(memory_source(name, std::move(bytes)));
}

bool is_sound_name(std::string_view path) {
  const size_t dot = path.rfind('.');
  if (dot == std::string_view::npos) return false;
  std::string ending(path.substr(dot));
  std::transform(ending.begin(), ending.end(), ending.begin(), [](unsigned char c) { return std::tolower(c); });
  return ending == ".wav";
}

}  // namespace octet::audio

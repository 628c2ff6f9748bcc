#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace octet::targets {

/// How the files of a folder became samples, where it was said: what a config keeps of a calibration, so that the model
/// can be made again. octet/train/image_folder.h and audio_folder.h have what is used otherwise.
struct SampleFacts {
  // Of pictures and of sounds.
  std::vector<double> mean, std;   ///< a channel, from 0 to 1; of sounds a column, or one for all; empty: not said
  std::optional<double> held_out;  ///< share of the files that are not calibrated on

  // Of pictures.
  std::optional<int64_t> resize;      ///< shorter side before the crop, pixels
  std::optional<std::string> filter;  ///< bilinear or bicubic

  // Of sounds.
  std::optional<std::string> features;         ///< mfcc, logmel, lfbe or samples
  std::optional<int64_t> rate;                 ///< samples a second
  std::optional<double> window_ms, stride_ms;  ///< of the frames
  std::optional<int64_t> bands, coefficients;  ///< of the mel scale; of mfcc
  std::vector<double> mel_range;               ///< Hz, least and greatest
  std::optional<double> clip_ms, hop_ms;       ///< what a sample hears; from one sample of a recording to the next
  std::vector<double> part_ms;                 ///< of each recording, from and to
  std::optional<bool> time_last;

  bool operator==(const SampleFacts&) const = default;
};

}  // namespace octet::targets

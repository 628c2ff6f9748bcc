#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "octet/audio/features.h"
#include "octet/support/api.h"
#include "octet/train/data_source.h"

namespace octet {

/// How the recordings of a folder become samples; the defaults are MLPerf Tiny's of the kind of features.
struct AudioFolderOptions {
  /// What the model takes without the batch: as many numbers as frames of features have, [frames, width], ones anywhere
  /// between; or all in one, [frames * width].
  std::vector<int64_t> sample = {};
  audio::FeatureOptions features = {};
  bool time_last = false;  ///< the model takes [width, frames]

  /// What is heard at once, cut off or filled up with zeros; 0: a second, or what the frames take where that is more or
  /// the features are not scaled to a peak.
  double clip_ms = 0;
  /// From the begin of one sample of a recording to that of the next; 0: a recording is one sample.
  double hop_ms = 0;
  /// The part of each recording that is used, from and to; empty: all. Behind it a sample is filled up as behind a
  /// recording's end; a recording that ends before it is left out, as a damaged one is.
  std::vector<double> part_ms = {};
  /// Taken off, and what is left divided by; a number for all features, or one a column; empty: neither.
  std::vector<double> mean = {};
  std::vector<double> std = {};

  // By chance, in training alone.
  bool augment = false;
  double shift_ms = 0;            ///< at most so far back or forth in time
  std::vector<double> gain = {};  ///< least and greatest factor; empty: none
  std::string noise = {};         ///< a folder of WAV files that are heard behind the recordings; empty: none
  double noise_level = 0.1;       ///< greatest factor of the noise
  double noise_share = 0.8;       ///< of the samples that have noise

  double held_out = 0.1;  ///< as ImageFolderOptions has it
  bool strict = false;
};

/// WAV files in a folder a class, as image_folder() has pictures. Folders named `_so` hold no class; where
/// `testing_list.txt` and `validation_list.txt` stand, as in Speech Commands, they say which files are test data. Where
/// there are no classes but all files are named `normal...` or `anomaly...`, as in ToyADMOS, or where the folders are,
/// these are labels 0 and 1. Recordings are brought to one channel and to the features' rate.
/// Throws octet::Error for a folder without recordings, and options that do not fit the model.
OCTET_API std::shared_ptr<DataSource> audio_folder(const std::string& name, const std::string& folder, Split split,
                                                   const AudioFolderOptions& options);

}  // namespace octet

#pragma once

#include <memory>
#include <string>

#include "octet/support/api.h"
#include "octet/train/audio_folder.h"
#include "octet/train/data_source.h"
#include "octet/train/image_folder.h"

namespace octet {

struct DataOptions {
  /// Of `images:FOLDER`: sizes of the model's input, what is changed by chance, ...
  ImageFolderOptions images = {};
  /// Of `audio:FOLDER`: the same, and the features.
  AudioFolderOptions audio = {};
  /// At most this many samples; 0: all.
  int64_t limit = 0;
};

/// Opens data by its one name, everywhere the same:
///
/// - `fashion-mnist`: the Debian package dataset-fashion-mnist, or the folder OCTET_DATA_DIR (or its `fashion-mnist`);
/// - `idx:FOLDER`: `train-images-idx3-ubyte`, `train-labels-idx1-ubyte`, `t10k-...`, plain or `.gz`;
/// - `cifar10:FOLDER`: the binary version, `data_batch_1.bin` to `data_batch_5.bin` and `test_batch.bin`;
/// - `images:FOLDER`: pictures in a folder a class, read when they are asked for (image_folder.h);
/// - `audio:FOLDER`: WAV files in a folder a class, of which features are made (audio_folder.h);
/// - `npy:GLOB`: arrays for the model as they are, both splits the same (below).
///
/// A file of `npy:GLOB` holds samples along dimension 0. Files named `*_I_J.npy` (all of them) are input J of sample
/// file I, taken in the order of I; others are taken in name order and feed a single input. All files of an input agree
/// in shape but for dimension 0. Where `labels.npy` lies beside the files, it holds, in the order of the samples,
/// one integer label each, or what else a task compares with (task.h): floating numbers, or several integers each; it
/// is never an input. float64 arrays become float32. `natural_batch()` is the number of samples a file where all files
/// agree in it.
///
/// Throws octet::Error that names the file and the reason: wrong magic, truncated, absurd sizes, labels out of range.
OCTET_API std::shared_ptr<DataSource> open_data(const std::string& spec, Split split, const DataOptions& options = {});

}  // namespace octet

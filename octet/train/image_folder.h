#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "octet/images/augment.h"
#include "octet/images/rand_augment.h"
#include "octet/support/api.h"
#include "octet/train/data_source.h"

namespace octet {

/// How the pictures of a folder become samples; the defaults are torchvision's recipe for ImageNet.
struct ImageFolderOptions {
  /// What the model takes without the batch: [3, H, W], or [1, H, W] for brightness alone.
  std::vector<int64_t> sample = {};
  /// The shorter side before the crop from the middle, where nothing is changed by chance; 0: of a size that the crop
  /// takes 7/8 of both sides of it.
  int64_t resize = 0;
  images::Filter filter = images::Filter::kBilinear;
  std::vector<double> mean = {};  ///< on the scale 0 to 1; empty: ImageNet's
  std::vector<double> std = {};

  // By chance, in training alone.
  bool augment = false;
  double least_scale = 0.08;  ///< of a random box: the part of the area
  bool mirror = true;
  images::RandAugment rand_augment = {};  ///< behind the box and the mirror
  images::Jitter jitter = {};             ///< behind that

  /// Where the folder is not split itself: the part of the files that is held out as test data, by their names.
  double held_out = 0.1;
  /// A file that can't be read ends the run; else it is left out, with a warning.
  bool strict = false;
};

/// Pictures in a folder a class (ImageFolder), the classes in the order of their names; below FOLDER, or below its
/// `train` and `val` (or `valid`, `test`), whose classes are those of `train`. Pictures that stand in the folder itself
/// have no labels. They are read when they are asked for, in an order that is mixed and always the same, so that the
/// first ones are of all classes. Throws octet::Error for a folder without pictures.
OCTET_API std::shared_ptr<DataSource> image_folder(std::string name, const std::string& folder, Split split,
                                                   const ImageFolderOptions& options);

}  // namespace octet

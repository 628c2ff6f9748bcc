#pragma once
// Internal to octet/train: the file formats behind open_data.

#include <memory>
#include <string>

#include "octet/train/data_source.h"

namespace octet::readers {

/// The images and labels of one split in `folder`.
std::shared_ptr<DataSource> idx(const std::string& name, const std::string& folder, Split split, ImageFacts facts,
                                int64_t num_classes);
std::shared_ptr<DataSource> cifar10(const std::string& name, const std::string& folder, Split split);
std::shared_ptr<DataSource> npy(const std::string& name, const std::string& pattern);

/// One IDX file of unsigned bytes with `rank` dimensions, plain or gzip.
at::Tensor read_idx(const std::string& path, int rank);

}  // namespace octet::readers

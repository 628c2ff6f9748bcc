#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <string>
#include <tuple>
#include <vector>

#include "octet/support/api.h"

namespace octet {

enum class Split { kTrain, kTest };

/// Some samples: one tensor a model input, dimension 0 the samples, and what the results are compared with: int64
/// labels [samples] of a classification, else any tensor of as many samples; undefined where there is nothing.
struct OCTET_API Batch {
  std::vector<at::Tensor> inputs;
  at::Tensor targets;
  /// Where a file gives several samples, the number of each one's file, int64 [samples]; else undefined.
  at::Tensor files = {};
  /// Of a part of a batch that several processes share: its samples' part of all weights over its part of all samples,
  /// for a loss that is a weighted mean (Task::weight).
  double weight_share = 1;
  int64_t size() const { return inputs.empty() || inputs[0].dim() == 0 ? 0 : inputs[0].size(0); }

  /// `auto& [inputs, targets] = batch`, as a DataLoader gives them.
  template <size_t I>
  auto& get() {
    static_assert(I < 2);
    if constexpr (I == 0) {
      return inputs;
    } else {
      return targets;
    }
  }
};

/// What is customary for a set of images: the usual normalisation, and the changes that leave a label true.
struct ImageFacts {
  std::vector<double> mean;  ///< a channel, on the scale 0 to 1
  std::vector<double> std;
  bool mirror = false;      ///< left and right may be exchanged
  int64_t crop_margin = 0;  ///< pixels by which an image may be shifted
};

/// Samples that can be read in any order. Reading is safe from several threads.
class OCTET_API DataSource {
 public:
  explicit DataSource(std::string name) : name_(std::move(name)) {}
  virtual ~DataSource() = default;

  virtual int64_t size() const = 0;
  /// Per model input, one sample's shape without the batch dimension; of sets, with all dimensions.
  virtual std::vector<std::vector<int64_t>> sample_shapes() const = 0;
  virtual bool has_targets() const = 0;
  /// Of labels; 0 where unknown, or where the targets are none.
  virtual int64_t num_classes() const = 0;
  /// Images come as float32 from 0 to 1, arrays in their own type. Throws octet::Error for an index out of range.
  virtual Batch get(const std::vector<int64_t>& indices) const = 0;
  /// The same for training, where a sample may be changed by chance, drawn from its seed. What can't be read may be
  /// left out of either, all of a batch too (Loader deals with it).
  virtual Batch draw(const std::vector<int64_t>& indices, const std::vector<uint64_t>& seeds) const {
    return get(indices);
  }

  /// True where a sample is a set of inputs as the model takes them, batch and all: states of shape [layers, N, H], a
  /// scalar, a table. get() gives one at a time.
  virtual bool gives_sets() const { return false; }
  /// Threads that should prepare batches where nobody says how many.
  virtual int64_t usual_workers() const { return 1; }
  /// Names of the labels, in their order; empty where they have none.
  virtual std::vector<std::string> class_names() const { return {}; }
  /// Samples of each label, in their order; empty where that is not known without reading all.
  virtual std::vector<int64_t> class_counts() const { return {}; }
  /// What could not be read so far and was left out, for people.
  virtual std::vector<std::string> left_out() const { return {}; }
  /// Samples that belong in one batch because their file holds them together; 0: no preference.
  virtual int64_t natural_batch() const { return 0; }
  /// nullptr for data that is no set of images: it goes into the model as it is.
  virtual const ImageFacts* image_facts() const { return nullptr; }
  /// The words that opened it, for messages.
  const std::string& name() const { return name_; }

 protected:
  void check_indices(const std::vector<int64_t>& indices) const;

 private:
  std::string name_;
};

/// Images in memory: uint8 [N, C, H, W] with labels int64 [N] below `num_classes`. Throws octet::Error where they
/// disagree.
OCTET_API std::shared_ptr<DataSource> image_source(std::string name, at::Tensor images, at::Tensor labels,
                                                   int64_t num_classes, ImageFacts facts);

/// Arrays in memory, one a model input, equal in dimension 0; targets int64 [N] (labels), floating [N, ...], or
/// undefined. `num_classes` 0: one more than the greatest label.
OCTET_API std::shared_ptr<DataSource> tensor_source(std::string name, std::vector<at::Tensor> inputs,
                                                    at::Tensor targets = {}, int64_t num_classes = 0,
                                                    int64_t natural_batch = 0);

/// Sets of inputs in memory, all alike; targets as above, one a set. Throws octet::Error where they differ.
OCTET_API std::shared_ptr<DataSource> set_source(std::string name, std::vector<std::vector<at::Tensor>> sets,
                                                 at::Tensor targets = {});

/// The first `count` samples.
OCTET_API std::shared_ptr<DataSource> first_samples(std::shared_ptr<const DataSource> data, int64_t count);

}  // namespace octet

template <>
struct std::tuple_size<octet::Batch> : std::integral_constant<size_t, 2> {};
template <>
struct std::tuple_element<0, octet::Batch> {
  using type = std::vector<at::Tensor>;
};
template <>
struct std::tuple_element<1, octet::Batch> {
  using type = at::Tensor;
};

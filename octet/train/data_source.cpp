#include "octet/train/data_source.h"

#include <array>
#include <cstring>

#include "octet/support/error.h"

namespace octet {
namespace {

constexpr int64_t kMostClasses = 1 << 24;  // one more than the greatest label: a count each is held

// The getters below copy by hand: they run on the loader's thread, where ATen would start a second team of threads.

void check_labels(const std::string& name, const at::Tensor& labels, int64_t size, int64_t num_classes) {
  if (!labels.defined()) return;
  if (labels.dim() != 1 || labels.size(0) != size) {
    throw expected(name, "labels", str(size), octet::str(labels.sizes()));
  }
  if (labels.scalar_type() != at::kLong) throw expected(name, "label type", "int64", octet::str(labels.scalar_type()));
  const int64_t* values = labels.const_data_ptr<int64_t>();
  const int64_t most = num_classes > 0 ? num_classes - 1 : kMostClasses - 1;
  for (int64_t i = 0; i < size; ++i) {
    if (values[i] < 0 || values[i] > most) {
      const std::string range = num_classes > 0 || values[i] > most ? str("0 to ", most) : "0 or more";
      throw expected(name, str("label of sample ", i), range, str(values[i]));
    }
  }
}

// Samples of each of `num_classes` labels, int64; nothing of targets that are none.
std::vector<int64_t> counts_of(const at::Tensor& labels, int64_t num_classes) {
  if (!labels.defined() || labels.scalar_type() != at::kLong) return {};
  const at::Tensor counts = at::bincount(labels, {}, num_classes);
  return {counts.const_data_ptr<int64_t>(), counts.const_data_ptr<int64_t>() + counts.numel()};
}

// Labels, or floating targets of as many samples.
void check_targets(const std::string& name, const at::Tensor& targets, int64_t size, int64_t num_classes) {
  if (!targets.defined() || !at::isFloatingType(targets.scalar_type())) {
    return check_labels(name, targets, size, num_classes);
  }
  if (targets.dim() == 0 || targets.size(0) != size) {
    throw expected(name, "targets", str(size), octet::str(targets.sizes()));
  }
}

// One more than the greatest of labels; 0 for other targets, and for none.
int64_t classes_of(const at::Tensor& targets) {
  const bool labelled = targets.defined() && targets.numel() > 0 && targets.scalar_type() == at::kLong;
  return labelled ? targets.max().item<int64_t>() + 1 : 0;
}

// These rows of dimension 0; of nothing, nothing.
at::Tensor pick(const at::Tensor& all, const std::vector<int64_t>& indices) {
  if (!all.defined()) return {};
  std::vector<int64_t> shape = all.sizes().vec();
  const size_t bytes = shape[0] == 0 ? 0 : all.nbytes() / static_cast<size_t>(shape[0]);
  shape[0] = static_cast<int64_t>(indices.size());
  at::Tensor picked = at::empty(shape, all.scalar_type());
  const auto* from = static_cast<const char*>(all.const_data_ptr());
  auto* to = static_cast<char*>(picked.mutable_data_ptr());
  for (size_t i = 0; i < indices.size() && bytes > 0; ++i) {
    std::memcpy(to + i * bytes, from + static_cast<size_t>(indices[i]) * bytes, bytes);
  }
  return picked;
}

class ImageSource : public DataSource {
 public:
  ImageSource(std::string name, at::Tensor images, at::Tensor labels, int64_t num_classes, ImageFacts facts)
      : DataSource(std::move(name)),
        images_(images.contiguous()),
        labels_(labels.defined() ? labels.contiguous() : labels),
        num_classes_(num_classes),
        facts_(std::move(facts)) {
    if (images_.dim() != 4 || images_.scalar_type() != at::kByte) {
      throw expected(this->name(), "images", "uint8 [N, C, H, W]", octet::str(images_.scalar_type(), images_.sizes()));
    }
    auto channels = static_cast<size_t>(images_.size(1));
    if (facts_.mean.size() != channels || facts_.std.size() != channels) {
      throw expected(this->name(), "mean and std", str(channels, " values"), str(facts_.mean.size()));
    }
    check_labels(this->name(), labels_, images_.size(0), num_classes_);
    for (size_t i = 0; i < scaled_.size(); ++i) scaled_[i] = static_cast<float>(i) / 255.0F;
  }

  int64_t size() const override { return images_.size(0); }
  std::vector<std::vector<int64_t>> sample_shapes() const override { return {images_.sizes().slice(1).vec()}; }
  bool has_targets() const override { return labels_.defined(); }
  int64_t num_classes() const override { return num_classes_; }
  std::vector<int64_t> class_counts() const override { return counts_of(labels_, num_classes_); }
  const ImageFacts* image_facts() const override { return &facts_; }

  Batch get(const std::vector<int64_t>& indices) const override {
    check_indices(indices);
    std::vector<int64_t> shape = images_.sizes().vec();
    shape[0] = static_cast<int64_t>(indices.size());
    at::Tensor batch = at::empty(shape, at::kFloat);
    const int64_t pixels = size() == 0 ? 0 : images_.numel() / size();
    const uint8_t* from = images_.const_data_ptr<uint8_t>();
    float* to = batch.mutable_data_ptr<float>();
    for (int64_t index : indices) {
      const uint8_t* image = from + index * pixels;
      for (int64_t p = 0; p < pixels; ++p) *to++ = scaled_[image[p]];
    }
    return {{batch}, pick(labels_, indices)};
  }

 private:
  at::Tensor images_;
  at::Tensor labels_;
  int64_t num_classes_;
  ImageFacts facts_;
  std::array<float, 256> scaled_{};
};

class TensorSource : public DataSource {
 public:
  TensorSource(std::string name, std::vector<at::Tensor> inputs, at::Tensor targets, int64_t num_classes,
               int64_t natural_batch)
      : DataSource(std::move(name)),
        inputs_(std::move(inputs)),
        targets_(std::move(targets)),
        num_classes_(num_classes),
        natural_batch_(natural_batch) {
    if (inputs_.empty()) throw Error(this->name(), "a source of data needs at least one input");
    for (at::Tensor& input : inputs_) {
      if (input.dim() == 0) throw Error(this->name(), "an input without dimensions has no samples");
      if (input.size(0) != inputs_[0].size(0)) {
        throw expected(this->name(), "samples of an input", str(inputs_[0].size(0)), str(input.size(0)));
      }
      input = input.contiguous();
    }
    if (targets_.defined()) targets_ = targets_.contiguous();
    check_targets(this->name(), targets_, size(), num_classes_);
    if (num_classes_ == 0) num_classes_ = classes_of(targets_);
  }

  int64_t size() const override { return inputs_[0].size(0); }
  std::vector<std::vector<int64_t>> sample_shapes() const override {
    std::vector<std::vector<int64_t>> shapes;
    for (const at::Tensor& input : inputs_) shapes.push_back(input.sizes().slice(1).vec());
    return shapes;
  }
  bool has_targets() const override { return targets_.defined(); }
  int64_t num_classes() const override { return num_classes_; }
  std::vector<int64_t> class_counts() const override { return counts_of(targets_, num_classes_); }
  int64_t natural_batch() const override { return natural_batch_; }

  Batch get(const std::vector<int64_t>& indices) const override {
    check_indices(indices);
    Batch batch;
    for (const at::Tensor& input : inputs_) batch.inputs.push_back(pick(input, indices));
    batch.targets = pick(targets_, indices);
    return batch;
  }

 private:
  std::vector<at::Tensor> inputs_;
  at::Tensor targets_;
  int64_t num_classes_;
  int64_t natural_batch_;
};

class SetSource : public DataSource {
 public:
  SetSource(std::string name, std::vector<std::vector<at::Tensor>> sets, at::Tensor targets)
      : DataSource(std::move(name)), sets_(std::move(sets)), targets_(std::move(targets)) {
    if (sets_.empty() || sets_[0].empty()) throw Error(this->name(), "a source of data needs at least one input");
    for (const std::vector<at::Tensor>& set : sets_) {
      if (set.size() != sets_[0].size()) {
        throw expected(this->name(), "inputs of a set", str(sets_[0].size()), str(set.size()));
      }
      for (size_t i = 0; i < set.size(); ++i) {
        if (set[i].sizes() != sets_[0][i].sizes()) {
          throw expected(this->name(), str("sizes of input ", i), octet::str(sets_[0][i].sizes()),
                         octet::str(set[i].sizes()));
        }
      }
    }
    if (targets_.defined()) targets_ = targets_.contiguous();
    check_targets(this->name(), targets_, size(), 0);
    num_classes_ = classes_of(targets_);
  }

  int64_t size() const override { return static_cast<int64_t>(sets_.size()); }
  std::vector<std::vector<int64_t>> sample_shapes() const override {
    std::vector<std::vector<int64_t>> shapes;
    for (const at::Tensor& input : sets_[0]) shapes.push_back(input.sizes().vec());
    return shapes;
  }
  bool has_targets() const override { return targets_.defined(); }
  int64_t num_classes() const override { return num_classes_; }
  std::vector<int64_t> class_counts() const override { return counts_of(targets_, num_classes_); }
  int64_t natural_batch() const override { return 1; }
  bool gives_sets() const override { return true; }

  Batch get(const std::vector<int64_t>& indices) const override {
    check_indices(indices);
    if (indices.size() != 1) {
      throw expected(name(), "samples at a time", "1, since its inputs are not batched along dimension 0",
                     str(indices.size()));
    }
    return {sets_[static_cast<size_t>(indices[0])], pick(targets_, indices)};
  }

 private:
  std::vector<std::vector<at::Tensor>> sets_;
  at::Tensor targets_;
  int64_t num_classes_ = 0;
};

class FirstSamples : public DataSource {
 public:
  FirstSamples(std::shared_ptr<const DataSource> whole, int64_t count)
      : DataSource(whole->name()), whole_(std::move(whole)), count_(std::clamp<int64_t>(count, 0, whole_->size())) {}
  int64_t size() const override { return count_; }
  std::vector<std::vector<int64_t>> sample_shapes() const override { return whole_->sample_shapes(); }
  bool has_targets() const override { return whole_->has_targets(); }
  int64_t num_classes() const override { return whole_->num_classes(); }
  int64_t natural_batch() const override { return whole_->natural_batch(); }
  bool gives_sets() const override { return whole_->gives_sets(); }
  const ImageFacts* image_facts() const override { return whole_->image_facts(); }
  std::vector<std::string> class_names() const override { return whole_->class_names(); }
  std::vector<int64_t> class_counts() const override {
    return count_ == whole_->size() ? whole_->class_counts() : std::vector<int64_t>();
  }
  int64_t usual_workers() const override { return whole_->usual_workers(); }
  std::vector<std::string> left_out() const override { return whole_->left_out(); }
  Batch draw(const std::vector<int64_t>& indices, const std::vector<uint64_t>& seeds) const override {
    check_indices(indices);
    return whole_->draw(indices, seeds);
  }
  Batch get(const std::vector<int64_t>& indices) const override {
    check_indices(indices);
    return whole_->get(indices);
  }

 private:
  std::shared_ptr<const DataSource> whole_;
  int64_t count_;
};

}  // namespace

void DataSource::check_indices(const std::vector<int64_t>& indices) const {
  for (int64_t index : indices) {
    if (index < 0 || index >= size()) throw expected(name_, "sample number", str("0 to ", size() - 1), str(index));
  }
}

std::shared_ptr<DataSource> image_source(std::string name, at::Tensor images, at::Tensor labels, int64_t num_classes,
                                         ImageFacts facts) {
  return std::make_shared<ImageSource>(std::move(name), std::move(images), std::move(labels), num_classes,
                                       std::move(facts));
}

std::shared_ptr<DataSource> tensor_source(std::string name, std::vector<at::Tensor> inputs, at::Tensor targets,
                                          int64_t num_classes, int64_t natural_batch) {
  return std::make_shared<TensorSource>(std::move(name), std::move(inputs), std::move(targets), num_classes,
                                        natural_batch);
}

std::shared_ptr<DataSource> set_source(std::string name, std::vector<std::vector<at::Tensor>> sets,
                                       at::Tensor targets) {
  return std::make_shared<SetSource>(std::move(name), std::move(sets), std::move(targets));
}

std::shared_ptr<DataSource> first_samples(std::shared_ptr<const DataSource> data, int64_t count) {
  return std::make_shared<FirstSamples>(std::move(data), count);
}

}  // namespace octet

#include "octet/train/loader.h"

#include <torch/data/dataloader.h>
#include <torch/data/datasets/base.h>
#include <torch/data/samplers/base.h>

#include <numeric>

#include "octet/support/error.h"

namespace octet {
namespace {

/// torch::data's view of a DataSource: transformed batches of an epoch.
class Source : public torch::data::datasets::BatchDataset<Source, Batch, std::vector<size_t>> {
 public:
  Source(std::shared_ptr<const DataSource> data, Transform transform, uint64_t seed, bool is_training)
      : data_(std::move(data)), transform_(std::move(transform)), seed_(seed), is_training_(is_training) {}

  Batch get_batch(std::vector<size_t> request) override {
    SampleSeeds seeds;
    for (size_t index : request) seeds.push_back(mix_seed(seed_, index));
    const std::vector<int64_t> indices(request.begin(), request.end());
    Batch batch = is_training_ ? data_->draw(indices, seeds) : data_->get(indices);
    if (transform_) {
      seeds.resize(static_cast<size_t>(std::max<int64_t>(batch.size(), 0)));
      batch.inputs[0] = transform_(std::move(batch.inputs[0]), seeds);
    }
    return batch;
  }
  std::optional<size_t> size() const override { return static_cast<size_t>(data_->size()); }

 private:
  std::shared_ptr<const DataSource> data_;
  Transform transform_;
  uint64_t seed_;
  bool is_training_;
};

/// A fixed order, so that it depends on the seed alone and not on libtorch's generator.
class FixedOrder : public torch::data::samplers::Sampler<std::vector<size_t>> {
 public:
  explicit FixedOrder(std::vector<size_t> order) : order_(std::move(order)) {}
  void reset(std::optional<size_t> = std::nullopt) override { next_ = 0; }
  std::optional<std::vector<size_t>> next(size_t batch_size) override {
    if (next_ >= order_.size()) return std::nullopt;
    size_t end = std::min(order_.size(), next_ + batch_size);
    std::vector<size_t> batch(order_.begin() + static_cast<std::ptrdiff_t>(next_),
                              order_.begin() + static_cast<std::ptrdiff_t>(end));
    next_ = end;
    return batch;
  }
  void save(torch::serialize::OutputArchive&) const override {}
  void load(torch::serialize::InputArchive&) override {}

 private:
  std::vector<size_t> order_;
  size_t next_ = 0;
};

std::vector<size_t> order_of(int64_t size, const LoaderOptions& options, uint64_t seed, int64_t first) {
  std::vector<size_t> order(static_cast<size_t>(size));
  std::iota(order.begin(), order.end(), size_t{0});
  for (size_t i = order.size(); options.shuffle && i > 1; --i) std::swap(order[i - 1], order[mix_seed(seed, i) % i]);
  if (options.shuffle && options.samples > 0)
    order.resize(std::min(order.size(), static_cast<size_t>(options.samples)));
  const auto batch = static_cast<size_t>(options.batch_size);
  const auto whole = batch * static_cast<size_t>(options.parts);
  if (options.drop_last) order.resize(order.size() / whole * whole);
  if (options.parts > 1) {
    std::vector<size_t> own;
    for (size_t start = batch * static_cast<size_t>(options.part); start < order.size(); start += whole) {
      own.insert(own.end(), order.begin() + static_cast<std::ptrdiff_t>(start),
                 order.begin() + static_cast<std::ptrdiff_t>(start + batch));
    }
    order = std::move(own);
  }
  const size_t behind = std::min(order.size(), static_cast<size_t>(first) * batch);
  order.erase(order.begin(), order.begin() + static_cast<std::ptrdiff_t>(behind));
  return order;
}

}  // namespace

struct Loader::Epoch::Impl {
  using TorchLoader = torch::data::StatelessDataLoader<Source, FixedOrder>;
  std::unique_ptr<TorchLoader> loader;
  std::optional<torch::data::Iterator<Batch>> position;
};

Loader::Loader(std::shared_ptr<const DataSource> data, LoaderOptions options)
    : data_(std::move(data)), options_(std::move(options)) {
  if (options_.batch_size < 1) throw expected("loader", "batch size", "at least 1", str(options_.batch_size));
  if (options_.parts < 1 || options_.part < 0 || options_.part >= options_.parts) {
    throw expected("loader", "part", str("below ", options_.parts), str(options_.part));
  }
  if (options_.parts > 1 && !options_.drop_last)
    throw Error("loader", "parts of a batch that is not full are not made");
}

int64_t Loader::samples() const {
  return options_.shuffle && options_.samples > 0 ? std::min(options_.samples, data_->size()) : data_->size();
}

int64_t Loader::batches() const {
  const int64_t whole = options_.batch_size * options_.parts;
  return samples() / whole + (!options_.drop_last && samples() % whole != 0 ? 1 : 0);
}

Loader::Epoch Loader::epoch(int64_t number, int64_t first) const {
  const uint64_t seed = mix_seed(options_.seed, static_cast<uint64_t>(number));
  const auto workers = static_cast<size_t>(std::max<int64_t>(0, options_.workers));
  Epoch epoch;
  epoch.impl_ = std::make_shared<Epoch::Impl>();
  epoch.impl_->loader =
      torch::data::make_data_loader(Source(data_, options_.transform, mix_seed(seed, 1), options_.shuffle),
                                    FixedOrder(order_of(data_->size(), options_, seed, first)),
                                    torch::data::DataLoaderOptions(static_cast<size_t>(options_.batch_size))
                                        .workers(workers)
                                        .max_jobs(2 * workers)
                                        .enforce_ordering(true));
  return epoch;
}

bool Loader::Epoch::next(Batch& batch) {
  try {
    auto& position = impl_->position;
    if (!position) {
      position = impl_->loader->begin();
    } else {
      ++*position;
    }
    if (*position == impl_->loader->end()) return false;
    batch = std::move(**position);
    return true;
  } catch (const torch::data::WorkerException& error) {
    std::rethrow_exception(error.original_exception);
  }
}

}  // namespace octet

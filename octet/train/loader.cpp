#include "octet/train/loader.h"

#include <torch/data/dataloader.h>
#include <torch/data/datasets/base.h>
#include <torch/data/samplers/base.h>

#include <numeric>

#include "octet/support/error.h"

namespace octet {
namespace {

/// The samples of a batch, its number in the epoch, and the sample that stands in front of it in the batch of all
/// parts.
struct Request {
  std::vector<size_t> indices;
  uint64_t number = 0;
  size_t before = 0;
  size_t size() const { return indices.size(); }
};

template <typename Change>
void for_each_tensor(Batch& batch, const Change& change) {
  for (at::Tensor& input : batch.inputs) change(input);
  for (at::Tensor* each : {&batch.targets, &batch.files}) {
    if (each->defined()) change(*each);
  }
}

Error none_can_be_read(const DataSource& data) {
  return Error(data.name(), "none of its files can be read").hint("--strict names the first, with the reason");
}

/// torch::data's view of a DataSource: transformed batches of an epoch.
class Source : public torch::data::datasets::BatchDataset<Source, Batch, Request> {
 public:
  Source(std::shared_ptr<const DataSource> data, const LoaderOptions& options, uint64_t seed)
      : data_(std::move(data)), options_(options), seed_(seed) {}

  Batch get_batch(Request request) override {
    Batch batch = made(request);
    if (!options_.device.is_cpu()) for_each_tensor(batch, [](at::Tensor& each) { each = each.pin_memory(); });
    return batch;
  }
  std::optional<size_t> size() const override { return static_cast<size_t>(data_->size()); }

 private:
  Batch made(const Request& request) const {
    Batch batch = read(request.indices);
    if (!options_.shuffle) return batch;
    if (is_empty(batch)) batch = next_behind(request.indices.back());
    if (!options_.mix.any()) return batch;
    mix(batch, before(request, batch), options_.mix, mix_seed(mix_seed(seed_, 0), request.number));
    return batch;
  }

  bool is_empty(const Batch& batch) const { return !data_->gives_sets() && batch.size() == 0; }

  // In training every step has a batch, in every process: of the next sample that can be read.
  Batch next_behind(size_t index) const {
    const auto count = static_cast<size_t>(data_->size());
    for (size_t i = 1; i < count; ++i) {
      Batch batch = read({(index + i) % count});
      if (!is_empty(batch)) return batch;
    }
    throw none_can_be_read(*data_);
  }

  // The partner of the first sample: of one process the last.
  Batch before(const Request& request, const Batch& batch) const {
    if (request.before == request.indices.back()) return last_sample(batch);
    try {
      Batch partner = read({request.before});
      if (!is_empty(partner)) return partner;
    } catch (const Error&) {  // the process whose own it is says so
    }
    return last_sample(batch);
  }

  Batch read(const std::vector<size_t>& numbers) const {
    const uint64_t of_samples = mix_seed(seed_, 1);
    SampleSeeds seeds;
    for (size_t index : numbers) seeds.push_back(mix_seed(of_samples, index));
    const std::vector<int64_t> indices(numbers.begin(), numbers.end());
    Batch batch = options_.shuffle ? data_->draw(indices, seeds) : data_->get(indices);
    if (options_.transform && !is_empty(batch)) {
      seeds.resize(static_cast<size_t>(std::max<int64_t>(batch.size(), 0)));
      batch.inputs[0] = options_.transform(std::move(batch.inputs[0]), seeds);
    }
    return batch;
  }

  std::shared_ptr<const DataSource> data_;
  LoaderOptions options_;
  uint64_t seed_;  // of the epoch
};

/// A fixed order, so that it depends on the seed alone and not on libtorch's generator.
class FixedOrder : public torch::data::samplers::Sampler<Request> {
 public:
  explicit FixedOrder(std::vector<Request> requests) : requests_(std::move(requests)) {}
  void reset(std::optional<size_t> = std::nullopt) override { next_ = 0; }
  std::optional<Request> next(size_t) override {
    if (next_ >= requests_.size()) return std::nullopt;
    return requests_[next_++];
  }
  void save(torch::serialize::OutputArchive&) const override {}
  void load(torch::serialize::InputArchive&) override {}

 private:
  std::vector<Request> requests_;
  size_t next_ = 0;
};

// The batches of a pass from number `first` on.
std::vector<Request> requests_of(int64_t size, const LoaderOptions& options, uint64_t seed, int64_t first) {
  std::vector<size_t> order(static_cast<size_t>(size));
  std::iota(order.begin(), order.end(), size_t{0});
  for (size_t i = order.size(); options.shuffle && i > 1; --i) std::swap(order[i - 1], order[mix_seed(seed, i) % i]);
  if (options.shuffle && options.samples > 0)
    order.resize(std::min(order.size(), static_cast<size_t>(options.samples)));
  const auto batch = static_cast<size_t>(options.batch_size);
  const auto whole = batch * static_cast<size_t>(options.parts);
  if (options.drop_last) order.resize(order.size() / whole * whole);
  std::vector<Request> requests;
  for (auto number = static_cast<size_t>(first); number * whole < order.size(); ++number) {
    const size_t begin = number * whole, end = std::min(begin + whole, order.size());
    const size_t from = begin + batch * static_cast<size_t>(options.part), to = std::min(from + batch, end);
    const auto at = [&](size_t place) { return order.begin() + static_cast<std::ptrdiff_t>(place); };
    requests.push_back({{at(from), at(to)}, number, order[from > begin ? from - 1 : end - 1]});
  }
  return requests;
}

}  // namespace

struct Loader::Epoch::Impl {
  using TorchLoader = torch::data::StatelessDataLoader<Source, FixedOrder>;
  std::shared_ptr<const DataSource> data;
  at::Device device = at::kCPU;
  std::unique_ptr<TorchLoader> loader;
  std::optional<torch::data::Iterator<Batch>> position;
  bool gave_any = false;
};

Loader::Loader(std::shared_ptr<const DataSource> data, LoaderOptions options)
    : data_(std::move(data)), options_(std::move(options)) {
  if (options_.batch_size < 1) throw expected("loader", "batch size", "at least 1", str(options_.batch_size));
  if (options_.parts < 1 || options_.part < 0 || options_.part >= options_.parts) {
    throw expected("loader", "part", str("below ", options_.parts), str(options_.part));
  }
  if (options_.parts > 1 && !options_.drop_last)
    throw Error("loader", "parts of a batch that is not full are not made");
  if (!options_.mix.any()) return;
  if (options_.mix.cutmix > 0 && data_->image_facts() == nullptr) throw Error(data_->name(), "CutMix is for pictures");
  if (data_->gives_sets()) throw Error(data_->name(), "sets of inputs can't be mixed");
  if (options_.mix.classes == 0) {
    const auto counted = static_cast<int64_t>(data_->class_counts().size());
    options_.mix.classes = data_->num_classes() > 0 ? data_->num_classes() : counted;
  }
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
  epoch.impl_->data = data_;
  epoch.impl_->device = options_.device;
  epoch.impl_->loader = torch::data::make_data_loader(
      Source(data_, options_, seed), FixedOrder(requests_of(data_->size(), options_, seed, first)),
      torch::data::DataLoaderOptions(static_cast<size_t>(options_.batch_size))
          .workers(workers)
          .max_jobs(2 * workers)
          .enforce_ordering(true));
  return epoch;
}

bool Loader::Epoch::next(Batch& batch) {
  try {
    auto& position = impl_->position;
    bool is_any = false;  // a batch, which may be empty
    while (true) {
      if (!position) {
        position = impl_->loader->begin();
      } else {
        ++*position;
      }
      if (*position == impl_->loader->end()) break;
      is_any = true;
      batch = std::move(**position);
      if (!impl_->device.is_cpu()) {
        for_each_tensor(batch, [&](at::Tensor& each) { each = each.to(impl_->device, /*non_blocking=*/true); });
      }
      if (batch.size() > 0 || impl_->data->gives_sets()) return impl_->gave_any = true;
    }
    if (is_any && !impl_->gave_any) throw none_can_be_read(*impl_->data);
    return false;
  } catch (const torch::data::WorkerException& error) {
    std::rethrow_exception(error.original_exception);
  }
}

}  // namespace octet

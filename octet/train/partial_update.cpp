#include "octet/train/partial_update.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/zeros.h>
#include <torch/optim/optimizer.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include "octet/quantize/layer_weights.h"
#include "octet/support/error.h"
#include "octet/train/optimizer.h"

namespace octet {
namespace {

constexpr const char* kUpdate = "partial update";
constexpr const char* kStateName = "trained_channels/";

// Mean of |w| of each channel; what is no number counts for nothing.
std::vector<double> importance(const at::Tensor& weight) {
  const at::Tensor mean = weight.detach().flatten(1).abs().mean(1, false, at::kDouble).nan_to_num(0, 0, 0).cpu();
  const double* values = mean.const_data_ptr<double>();
  return {values, values + mean.numel()};
}

int64_t share_of(double share, int64_t count) {
  return std::clamp<int64_t>(std::llround(share * static_cast<double>(count)), 1, count);
}

struct Candidate {
  double importance;
  size_t layer;
  int64_t channel;
};

// The most important first, in their order where they are equal.
void most_important_first(std::vector<Candidate>& all) {
  std::stable_sort(all.begin(), all.end(),
                   [](const Candidate& a, const Candidate& b) { return a.importance > b.importance; });
}

}  // namespace

UpdateScope update_scope(const std::string& name) {
  if (name == "layer") return UpdateScope::kLayer;
  if (name == "network") return UpdateScope::kNetwork;
  if (name == "whole-layers") return UpdateScope::kWholeLayers;
  throw expected(kUpdate, "scope", "layer, network, whole-layers", "'" + name + "'");
}

struct PartialUpdate::Layer {
  LayerWeight of;
  at::Tensor trained;  // int64, in rising order
  at::Tensor resting;  // the others
  unsigned hook = 0;   // of the weight, where its gradient is computed whole
  bool has_hook = false;

  // Tensors of which a channel's rows rest with it.
  std::vector<at::Tensor> held() const {
    std::vector<at::Tensor> tensors{of.weight};
    tensors.insert(tensors.end(), of.grid.begin(), of.grid.end());
    if (of.gamma.defined() && of.pair->bn_stats_frozen()) tensors.push_back(of.gamma);
    return tensors;
  }
};

PartialUpdate::PartialUpdate(GraphModule& prepared, const PartialUpdateOptions& options) : options_(options) {
  if (!(options.share > 0 && options.share <= 1)) {
    throw expected(kUpdate, "share", "over 0 and at most 1", octet::str(options.share));
  }
  if (options.every < 1) throw expected(kUpdate, "steps between choices", "1 or more", octet::str(options.every));
  for (LayerWeight& found : layer_weights(prepared)) {
    auto layer = std::make_shared<Layer>();
    layer->of = std::move(found);
    if (!layer->of.pair || !layer->of.pair->leaves_out_channels()) {
      layer->hook = layer->of.weight.register_hook([held = std::weak_ptr(layer)](const at::Tensor& gradient) {
        const auto own = held.lock();
        return own && own->resting.numel() > 0 ? gradient.index_fill(0, own->resting, 0) : gradient;
      });
      layer->has_hook = true;
    }
    layers_.push_back(std::move(layer));
    set(*layers_.back(), at::ones({layers_.back()->of.channels()}, at::kBool));
  }
  if (layers_.empty()) {
    throw Error(kUpdate, "no convolution or linear has trained weights of its own to choose channels from");
  }
}

PartialUpdate::~PartialUpdate() {
  for (const auto& layer : layers_) {
    if (layer->has_hook) layer->of.weight.remove_hook(layer->hook);
    if (layer->of.pair) layer->of.pair->set_trained_channels({});
  }
}

void PartialUpdate::set(Layer& layer, const at::Tensor& is_trained) {
  const at::Device device = layer.of.weight.device();
  const auto places = [&](const at::Tensor& mask) { return mask.nonzero().squeeze(1).contiguous().to(device); };
  layer.trained = places(is_trained);
  layer.resting = places(is_trained.logical_not());
  if (layer.of.pair) layer.of.pair->set_trained_channels(layer.resting.numel() > 0 ? layer.trained : at::Tensor());
}

void PartialUpdate::choose() {
  std::vector<std::vector<Candidate>> groups(options_.scope == UpdateScope::kLayer ? layers_.size() : 1);
  std::vector<at::Tensor> chosen;
  for (size_t i = 0; i < layers_.size(); ++i) {
    const std::vector<double> values = importance(layers_[i]->of.weight);
    chosen.push_back(at::zeros({layers_[i]->of.channels()}, at::kBool));
    if (options_.scope == UpdateScope::kWholeLayers) {
      const double sum = std::accumulate(values.begin(), values.end(), 0.0);
      groups[0].push_back({sum / static_cast<double>(values.size()), i, 0});
      continue;
    }
    std::vector<Candidate>& group = groups[options_.scope == UpdateScope::kLayer ? i : 0];
    for (size_t c = 0; c < values.size(); ++c) group.push_back({values[c], i, static_cast<int64_t>(c)});
  }
  for (std::vector<Candidate>& group : groups) {
    most_important_first(group);
    if (options_.scope == UpdateScope::kWholeLayers) {
      int64_t left = share_of(options_.share, all_channels());
      for (size_t n = 0; n < group.size(); ++n) {
        const int64_t channels = layers_[group[n].layer]->of.channels();
        if (n > 0 && channels > left) continue;
        left -= channels;
        chosen[group[n].layer].fill_(true);
      }
      continue;
    }
    const auto count = static_cast<size_t>(share_of(options_.share, static_cast<int64_t>(group.size())));
    for (size_t n = 0; n < count; ++n) chosen[group[n].layer].mutable_data_ptr<bool>()[group[n].channel] = true;
  }
  for (size_t i = 0; i < layers_.size(); ++i) set(*layers_[i], chosen[i]);
}

void PartialUpdate::step(torch::optim::Optimizer& optimizer) {
  const at::NoGradGuard no_grad;
  const auto gathered = [&](const at::Tensor& tensor) {
    std::map<std::string, at::Tensor> found = optimizer_state(optimizer, {tensor});
    std::erase_if(found, [&](const auto& entry) { return entry.second.sizes() != tensor.sizes(); });
    return found;
  };
  struct Kept {
    const Layer* layer;
    at::Tensor tensor;
    at::Tensor rows;
    std::map<std::string, at::Tensor> gathered;  // rows, by the name of what the optimizer has gathered
  };
  std::vector<Kept> all;
  for (const auto& layer : layers_) {
    if (layer->resting.numel() == 0) continue;
    const auto rows = [&](const at::Tensor& tensor) { return tensor.detach().index_select(0, layer->resting); };
    for (const at::Tensor& tensor : layer->held()) {
      all.push_back({layer.get(), tensor, rows(tensor), {}});
      for (const auto& [name, value] : gathered(tensor)) all.back().gathered.emplace(name, rows(value));
    }
  }
  optimizer.step();
  for (const Kept& kept : all) {
    kept.tensor.detach().index_copy_(0, kept.layer->resting, kept.rows);
    for (const auto& [name, value] : gathered(kept.tensor)) {
      const auto before = kept.gathered.find(name);
      at::Tensor target = value;
      if (before != kept.gathered.end()) {
        target.index_copy_(0, kept.layer->resting, before->second);
      } else {
        target.index_fill_(0, kept.layer->resting, 0);  // gathered for the first time
      }
    }
  }
}

std::map<std::string, at::Tensor> PartialUpdate::state() const {
  std::map<std::string, at::Tensor> all;
  for (const auto& layer : layers_) {
    const at::Tensor mask = at::zeros({layer->of.channels()}, at::kByte);
    all.emplace(kStateName + layer->of.name, mask.index_fill_(0, layer->trained.cpu(), 1));
  }
  return all;
}

void PartialUpdate::take_state(std::map<std::string, at::Tensor>& all, const std::string& where) {
  for (const auto& layer : layers_) {
    const std::string name = kStateName + layer->of.name;
    const auto found = all.find(name);
    if (found == all.end())
      throw Error(where, octet::str("'", name, "' is missing: it is of a run that trains all channels"));
    const at::Tensor& mask = found->second;
    if (mask.scalar_type() != at::kByte || mask.sizes() != at::IntArrayRef{layer->of.channels()}) {
      throw expected(where, str("'", name, "'"), octet::str("uint8 [", layer->of.channels(), "]"),
                     octet::str(mask.scalar_type(), ' ', mask.sizes()));
    }
    set(*layer, mask.ne(0));
    all.erase(found);
  }
}

int64_t PartialUpdate::trained_channels() const {
  return std::accumulate(layers_.begin(), layers_.end(), int64_t{0},
                         [](int64_t sum, const auto& layer) { return sum + layer->trained.numel(); });
}

int64_t PartialUpdate::all_channels() const {
  return std::accumulate(layers_.begin(), layers_.end(), int64_t{0},
                         [](int64_t sum, const auto& layer) { return sum + layer->of.channels(); });
}

size_t PartialUpdate::layers() const { return layers_.size(); }

}  // namespace octet

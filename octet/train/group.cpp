#include "octet/train/group.h"

#include <ATen/ATen.h>

#include <charconv>
#include <cmath>
#include <cstdlib>

#define USE_C10D_GLOO
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>

#include "octet/support/error.h"

namespace octet {
namespace {

constexpr int64_t kBucketBytes = 25 << 20;

int64_t number_in(const char* name, int64_t least) {
  const char* text = std::getenv(name);
  if (text == nullptr) throw Error(name, "is not set").hint("torchrun and octet train --nproc set it");
  int64_t number = 0;
  const std::string value = text;
  const auto [end, failure] = std::from_chars(value.data(), value.data() + value.size(), number);
  if (failure != std::errc() || end != value.data() + value.size() || number < least) {
    throw expected(name, "value", str("a number from ", least, " on"), "'" + value + "'");
  }
  return number;
}

// What libtorch throws where a peer is gone, in one line.
template <typename Action>
void together(int64_t rank, const Action& action) {
  try {
    action();
  } catch (const Error&) {
    throw;
  } catch (const std::exception& error) {
    const auto* of_libtorch = dynamic_cast<const c10::Error*>(&error);
    std::string why = of_libtorch != nullptr ? of_libtorch->what_without_backtrace() : error.what();
    why = why.substr(0, why.find('\n'));
    throw Error(str("rank ", rank), "lost another process: " + why)
        .hint("the last checkpoint stands: --resume goes on from it");
  }
}

class GlooGroup : public Group {
 public:
  GlooGroup(const GroupAddress& address, double timeout_seconds) : rank_(address.rank), size_(address.size) {
    const std::chrono::milliseconds timeout(std::llround(1000 * timeout_seconds));
    together(rank_, [&] {
      c10d::TCPStoreOptions options;
      options.port = static_cast<uint16_t>(address.port);
      options.isServer = rank_ == 0;
      options.numWorkers = static_cast<size_t>(size_);
      options.timeout = timeout;
      auto store = c10::make_intrusive<c10d::TCPStore>(address.host, options);
      auto gloo = c10d::ProcessGroupGloo::Options::create(timeout);
      gloo->devices.push_back(address.host == "127.0.0.1" ? c10d::ProcessGroupGloo::createDeviceForHostname("127.0.0.1")
                                                          : c10d::ProcessGroupGloo::createDefaultDevice());
      group_ =
          c10::make_intrusive<c10d::ProcessGroupGloo>(store, static_cast<int>(rank_), static_cast<int>(size_), gloo);
    });
  }

  int64_t rank() const override { return rank_; }
  int64_t size() const override { return size_; }

  void sum(const std::vector<at::Tensor>& tensors) override {
    std::vector<at::Tensor> bucket;
    int64_t bytes = 0;
    const auto flush = [&] {
      if (bucket.empty()) return;
      std::vector<at::Tensor> rows;
      for (const at::Tensor& tensor : bucket) rows.push_back(tensor.detach().reshape({-1}));
      std::vector<at::Tensor> flat = {at::cat(rows)};
      together(rank_, [&] { group_->allreduce(flat)->wait(); });
      int64_t start = 0;
      const at::NoGradGuard no_grad;
      for (const at::Tensor& tensor : bucket) {
        tensor.copy_(flat[0].narrow(0, start, tensor.numel()).view(tensor.sizes()));
        start += tensor.numel();
      }
      bucket.clear();
      bytes = 0;
    };
    for (const at::Tensor& tensor : tensors) {
      const auto own = static_cast<int64_t>(tensor.nbytes());
      const bool fits =
          bucket.empty() || (bytes + own <= kBucketBytes && bucket[0].scalar_type() == tensor.scalar_type());
      if (!fits) flush();
      bucket.push_back(tensor);
      bytes += own;
    }
    flush();
  }

  void greatest(const at::Tensor& tensor) override {
    std::vector<at::Tensor> all = {tensor};
    c10d::AllreduceOptions options;
    options.reduceOp = c10d::ReduceOp::MAX;
    together(rank_, [&] { group_->allreduce(all, options)->wait(); });
  }

  void broadcast(const at::Tensor& tensor) override {
    std::vector<at::Tensor> all = {tensor};
    together(rank_, [&] { group_->broadcast(all)->wait(); });
  }

 private:
  int64_t rank_;
  int64_t size_;
  c10::intrusive_ptr<c10d::ProcessGroupGloo> group_;
};

}  // namespace

std::optional<GroupAddress> group_address() {
  if (std::getenv("WORLD_SIZE") == nullptr) return std::nullopt;
  GroupAddress address;
  address.size = number_in("WORLD_SIZE", 1);
  address.rank = number_in("RANK", 0);
  if (address.rank >= address.size) {
    throw expected("RANK", "value", str("below WORLD_SIZE, ", address.size), str(address.rank));
  }
  if (address.size == 1) return std::nullopt;
  const char* host = std::getenv("MASTER_ADDR");
  if (host == nullptr || *host == '\0') throw Error("MASTER_ADDR", "is not set");
  address.host = host;
  address.port = number_in("MASTER_PORT", 1);
  if (address.port > 65535) throw expected("MASTER_PORT", "value", "up to 65535", str(address.port));
  return address;
}

bool Group::any(bool here) {
  const at::Tensor flag = at::full({1}, here ? 1.0 : 0.0, at::kDouble);
  greatest(flag);
  return flag.item<double>() > 0;
}

std::shared_ptr<Group> join_group(const GroupAddress& address, double timeout_seconds) {
  return std::make_shared<GlooGroup>(address, timeout_seconds);
}

}  // namespace octet

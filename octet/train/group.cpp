#include "octet/train/group.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <utility>

#define USE_C10D_GLOO
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>

#include "octet/graph/libtorch_error.h"
#include "octet/support/error.h"
#include "octet/train/nccl.h"

namespace octet {
namespace {

constexpr int64_t kBucketBytes = 25 << 20;

// By the names of what begins processes: how many there are, which one this is, how many of them are on this machine.
struct Launcher {
  const char* size;
  const char* rank;
  const char* here;  // null: MASTER_ADDR and MASTER_PORT come with the others
  const char* local_rank;
};
constexpr Launcher kLaunchers[] = {
    {"WORLD_SIZE", "RANK", nullptr, "LOCAL_RANK"},
    {"OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_LOCAL_SIZE", "OMPI_COMM_WORLD_LOCAL_RANK"},
    {"MV2_COMM_WORLD_SIZE", "MV2_COMM_WORLD_RANK", "MV2_COMM_WORLD_LOCAL_SIZE", "MV2_COMM_WORLD_LOCAL_RANK"},
    {"PMI_SIZE", "PMI_RANK", "MPI_LOCALNRANKS", "MPI_LOCALRANKID"},
};

int64_t number_in(const char* name, int64_t least) {
  const char* text = std::getenv(name);
  if (text == nullptr) throw Error(name, "is not set").hint("torchrun, mpirun and octet train --nproc set it");
  int64_t number = 0;
  const std::string value = text;
  const auto [end, failure] = std::from_chars(value.data(), value.data() + value.size(), number);
  if (failure != std::errc() || end != value.data() + value.size() || number < least) {
    throw expected(name, "value", str("a number from ", least, " on"), "'" + value + "'");
  }
  return number;
}

bool all_are_here(const Launcher& launcher, int64_t size) {
  if (launcher.here == nullptr || std::getenv(launcher.here) == nullptr) return false;
  return number_in(launcher.here, 1) == size;
}

// The first sentence of what Gloo says, without the place in its source.
std::string sentence_of(const std::string& said) {
  const size_t place = said.starts_with('[') ? said.find("] ") : std::string::npos;
  const size_t begin = place == std::string::npos ? 0 : place + 2;
  return said.substr(begin, std::min(said.find('\n', begin), said.find(". ", begin)) - begin);
}

// What libtorch throws where a peer is gone, in one line.
template <typename Action>
void together(int64_t rank, const Action& action) {
  try {
    action();
  } catch (const Error&) {
    throw;
  } catch (const std::exception& error) {
    throw Error(str("rank ", rank), "lost another process: " + sentence_of(plain_message(error)))
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

  std::unique_ptr<Pending> begin_sum(const std::vector<at::Tensor>& tensors) override {
    auto sum = std::make_unique<PendingSum>(rank_, tensors, message_of(tensors).cpu());
    together(rank_, [&] { sum->begin(*group_); });
    return sum;
  }

  void greatest(const at::Tensor& tensor) override {
    std::vector<at::Tensor> all = {tensor.cpu()};
    c10d::AllreduceOptions options;
    options.reduceOp = c10d::ReduceOp::MAX;
    together(rank_, [&] { group_->allreduce(all, options)->wait(); });
    give_back(all[0], tensor);
  }

  void broadcast(const at::Tensor& tensor) override {
    std::vector<at::Tensor> all = {tensor.cpu()};
    together(rank_, [&] { group_->broadcast(all)->wait(); });
    give_back(all[0], tensor);
  }

 private:
  class PendingSum : public Pending {
   public:
    PendingSum(int64_t rank, std::vector<at::Tensor> tensors, at::Tensor message)
        : rank_(rank), tensors_(std::move(tensors)), message_{std::move(message)} {}

    void begin(c10d::ProcessGroupGloo& group) { work_ = group.allreduce(message_); }

    void wait() override {
      together(rank_, [&] { work_->wait(); });
      give_back(message_[0], tensors_);
    }

   private:
    int64_t rank_;
    std::vector<at::Tensor> tensors_;
    std::vector<at::Tensor> message_;
    c10::intrusive_ptr<c10d::Work> work_;
  };

  int64_t rank_;
  int64_t size_;
  c10::intrusive_ptr<c10d::ProcessGroupGloo> group_;
};

}  // namespace

std::optional<GroupAddress> group_address() {
  const auto launcher = std::find_if(std::begin(kLaunchers), std::end(kLaunchers),
                                     [](const Launcher& each) { return std::getenv(each.size) != nullptr; });
  if (launcher == std::end(kLaunchers)) return std::nullopt;
  GroupAddress address;
  address.size = number_in(launcher->size, 1);
  if (address.size == 1) return std::nullopt;
  address.rank = number_in(launcher->rank, 0);
  if (address.rank >= address.size) {
    throw expected(launcher->rank, "value", str("below ", launcher->size, ", ", address.size), str(address.rank));
  }
  const bool says_which = std::getenv(launcher->local_rank) != nullptr;
  address.local_rank = says_which ? number_in(launcher->local_rank, 0) : address.rank;
  const char* host = std::getenv("MASTER_ADDR");
  const bool is_named = host != nullptr && *host != '\0';
  if (is_named) address.host = host;
  if (!is_named && !all_are_here(*launcher, address.size)) {
    throw Error("MASTER_ADDR", "is not set").hint("name the machine of rank 0, and a free port of it in MASTER_PORT");
  }
  const bool has_default = launcher->here != nullptr && std::getenv("MASTER_PORT") == nullptr;
  address.port = has_default ? kMpiPort : number_in("MASTER_PORT", 1);
  if (address.port > 65535) throw expected("MASTER_PORT", "value", "up to 65535", str(address.port));
  return address;
}

void Group::sum(const std::vector<at::Tensor>& tensors) {
  std::vector<at::Tensor> bucket;
  int64_t bytes = 0;
  const auto flush = [&] {
    if (!bucket.empty()) begin_sum(bucket)->wait();
    bucket.clear();
    bytes = 0;
  };
  for (const at::Tensor& tensor : tensors) {
    const auto own = static_cast<int64_t>(tensor.nbytes());
    const bool fits =
        bucket.empty() || (bytes + own <= kBucketBytes && bucket[0].scalar_type() == tensor.scalar_type() &&
                           bucket[0].device() == tensor.device());
    if (!fits) flush();
    bucket.push_back(tensor);
    bytes += own;
  }
  flush();
}

at::Tensor Group::message_of(const std::vector<at::Tensor>& tensors) {
  std::vector<at::Tensor> rows;
  for (const at::Tensor& tensor : tensors) rows.push_back(tensor.detach().reshape({-1}));
  return at::cat(rows);
}

void Group::give_back(const at::Tensor& message, const std::vector<at::Tensor>& tensors) {
  const at::NoGradGuard no_grad;
  int64_t start = 0;
  for (const at::Tensor& tensor : tensors) {
    tensor.copy_(message.narrow(0, start, tensor.numel()).view(tensor.sizes()));
    start += tensor.numel();
  }
}

void Group::give_back(const at::Tensor& values, const at::Tensor& tensor) {
  const at::NoGradGuard no_grad;
  if (!values.is_same(tensor)) tensor.copy_(values);
}

bool Group::any(bool here) {
  const at::Tensor flag = at::full({1}, here ? 1.0 : 0.0, at::kDouble);
  greatest(flag);
  return flag.item<double>() > 0;
}

std::shared_ptr<Group> join_group(const GroupAddress& address, double timeout_seconds, at::Device device) {
  auto group = std::make_shared<GlooGroup>(address, timeout_seconds);
  return device.is_cpu() ? group : with_nccl(std::move(group), device);
}

}  // namespace octet

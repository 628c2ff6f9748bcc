#include "octet/train/nccl.h"

#include <ATen/ATen.h>
#include <dlfcn.h>

#include <array>
#include <utility>

#include "octet/support/error.h"
#include "octet/support/log.h"

namespace octet {
namespace {

constexpr const char* kNcclWhere = "NCCL";

// Of nccl.h, as it has been since version 2: types, numbers and signatures.
struct UniqueId {
  std::array<char, 128> bytes;
};
using Communicator = void*;
using Stream = void*;
enum class Reduction : int { kSum = 0, kMax = 2 };

// libtorch's current stream, which nothing in octet changes: CUDA's default one, on which a step's kernels run in
// order.
constexpr Stream kDefaultStream = nullptr;

int type_of(const at::Tensor& tensor) {
  switch (tensor.scalar_type()) {
    case at::kChar:
      return 0;
    case at::kByte:
    case at::kBool:
      return 1;
    case at::kInt:
      return 2;
    case at::kLong:
      return 4;
    case at::kHalf:
      return 6;
    case at::kFloat:
      return 7;
    case at::kDouble:
      return 8;
    case at::kBFloat16:
      return 9;
    default:
      throw Error(kNcclWhere, octet::str("has no sums of ", tensor.scalar_type()));
  }
}

// The library's functions by their names.
struct Library {
  int (*get_unique_id)(UniqueId*) = nullptr;
  int (*init)(Communicator*, int ranks, UniqueId, int rank) = nullptr;
  int (*all_reduce)(const void* from, void* to, size_t count, int type, Reduction, Communicator, Stream) = nullptr;
  int (*broadcast)(const void* from, void* to, size_t count, int type, int root, Communicator, Stream) = nullptr;
  int (*abort)(Communicator) = nullptr;
  const char* (*error_text)(int) = nullptr;
  std::string missing;  // why it can't be used; empty where it can

  Library() {
    void* loaded = dlopen("libnccl.so.2", RTLD_NOW | RTLD_GLOBAL);
    if (loaded == nullptr) {
      missing = dlerror();
      return;
    }
    const auto find = [&](auto& function, const char* name) {
      function = reinterpret_cast<std::remove_reference_t<decltype(function)>>(dlsym(loaded, name));
      if (function == nullptr) missing = octet::str("libnccl.so.2 has no ", name);
    };
    find(get_unique_id, "ncclGetUniqueId");
    find(init, "ncclCommInitRank");
    find(all_reduce, "ncclAllReduce");
    find(broadcast, "ncclBroadcast");
    find(abort, "ncclCommAbort");
    find(error_text, "ncclGetErrorString");
  }
};

const Library& library() {
  static const Library all;
  return all;
}

void check(int status, const char* what) {
  if (status != 0) throw Error(kNcclWhere, octet::str(what, ": ", library().error_text(status)));
}

class NcclGroup : public Group {
 public:
  NcclGroup(std::shared_ptr<Group> others, at::Device device) : others_(std::move(others)), device_(device) {
    UniqueId id{};
    if (rank() == 0) check(library().get_unique_id(&id), "no address for the others");
    const at::Tensor told = at::from_blob(id.bytes.data(), {static_cast<int64_t>(id.bytes.size())}, at::kByte);
    others_->broadcast(told);
    check(library().init(&communicator_, static_cast<int>(size()), id, static_cast<int>(rank())),
          "the GPUs do not come together");
  }
  // No wait for the others, which may be lost.
  ~NcclGroup() override {
    if (communicator_ != nullptr) library().abort(communicator_);
  }
  NcclGroup(const NcclGroup&) = delete;
  NcclGroup& operator=(const NcclGroup&) = delete;

  int64_t rank() const override { return others_->rank(); }
  int64_t size() const override { return others_->size(); }

  std::unique_ptr<Pending> begin_sum(const std::vector<at::Tensor>& tensors) override {
    if (!is_mine(tensors.at(0))) return others_->begin_sum(tensors);
    const at::Tensor message = message_of(tensors);
    reduce(message, Reduction::kSum);
    return std::make_unique<PendingSum>(tensors, message);
  }

  void greatest(const at::Tensor& tensor) override {
    if (!is_mine(tensor)) return others_->greatest(tensor);
    const at::Tensor values = tensor.contiguous();
    reduce(values, Reduction::kMax);
    give_back(values, tensor);
  }

  void broadcast(const at::Tensor& tensor) override {
    if (!is_mine(tensor)) return others_->broadcast(tensor);
    const at::Tensor values = tensor.contiguous();
    check(library().broadcast(values.const_data_ptr(), values.mutable_data_ptr(), static_cast<size_t>(values.numel()),
                              type_of(values), /*root=*/0, communicator_, kDefaultStream),
          "broadcast");
    give_back(values, tensor);
  }

 private:
  // What reads the sums is computed behind them, in the stream's order.
  class PendingSum : public Pending {
   public:
    PendingSum(std::vector<at::Tensor> tensors, at::Tensor message)
        : tensors_(std::move(tensors)), message_(std::move(message)) {}
    void wait() override { give_back(message_, tensors_); }

   private:
    std::vector<at::Tensor> tensors_;
    at::Tensor message_;
  };

  bool is_mine(const at::Tensor& tensor) const { return tensor.device() == device_; }

  void reduce(const at::Tensor& values, Reduction reduction) {
    check(library().all_reduce(values.const_data_ptr(), values.mutable_data_ptr(), static_cast<size_t>(values.numel()),
                               type_of(values), reduction, communicator_, kDefaultStream),
          "sum over the GPUs");
  }

  std::shared_ptr<Group> others_;
  at::Device device_;
  Communicator communicator_ = nullptr;
};

}  // namespace

std::shared_ptr<Group> with_nccl(std::shared_ptr<Group> group, at::Device device) {
  const bool is_here = library().missing.empty();
  if (!group->any(!is_here)) return std::make_shared<NcclGroup>(std::move(group), device);
  log::warn("sums of the GPUs go through the CPU, which is slower: ",
            is_here ? "another process has no NCCL" : library().missing);
  return group;
}

}  // namespace octet

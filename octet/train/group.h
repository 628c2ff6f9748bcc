#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "octet/support/api.h"

namespace octet {

/// Where a process stands among those that train one model.
struct GroupAddress {
  int64_t rank = 0;
  int64_t size = 1;
  int64_t local_rank = 0;          ///< among those on its machine
  std::string host = "127.0.0.1";  ///< of rank 0
  int64_t port = 0;                ///< where it listens
};
inline constexpr int64_t kMpiPort = 29500;  ///< torch's own default

/// As the environment says: torchrun's RANK and WORLD_SIZE, else those of an mpirun (OMPI_COMM_WORLD_RANK and _SIZE of
/// Open MPI, PMI_RANK and PMI_SIZE of MPICH and Intel, MV2_COMM_WORLD_RANK and _SIZE of MVAPICH2); nullopt where there
/// is none, or one process alone. MASTER_ADDR and MASTER_PORT say where rank 0 listens; of an mpirun whose processes
/// are known to be on this machine it is here, and the port kMpiPort where none is set. LOCAL_RANK, or an mpirun's own
/// variable for it, says which process of its machine it is; without one, all are on one machine. Throws octet::Error
/// naming a variable that is missing, or no such number.
OCTET_API std::optional<GroupAddress> group_address();

/// Processes that train one model together, by libtorch's c10d over Gloo, on GPUs by NCCL. Every call is one that all
/// of them make, in the same order; it ends when all have. Results are the same on all, to the bit. Tensors may be of a
/// device, on all processes alike. Throws octet::Error where another one is lost.
class OCTET_API Group {
 public:
  virtual ~Group() = default;
  virtual int64_t rank() const = 0;
  virtual int64_t size() const = 0;
  /// Sums of all ranks in place, in buckets: float32 and float64 tensors, any number.
  void sum(const std::vector<at::Tensor>& tensors);
  /// A sum that is on its way.
  class Pending {
   public:
    virtual ~Pending() = default;
    /// Until the sums stand in the tensors.
    virtual void wait() = 0;
  };
  /// Begins the sum of tensors of one type, as one message, while this process goes on.
  virtual std::unique_ptr<Pending> begin_sum(const std::vector<at::Tensor>& tensors) = 0;
  /// The greatest of each element of all ranks, in place.
  virtual void greatest(const at::Tensor& tensor) = 0;
  /// Rank 0's values, on all.
  virtual void broadcast(const at::Tensor& tensor) = 0;
  /// True where it is true on any.
  bool any(bool here);

 protected:
  /// The values of all tensors, one behind the other.
  static at::Tensor message_of(const std::vector<at::Tensor>& tensors);
  /// Back from such a message.
  static void give_back(const at::Tensor& message, const std::vector<at::Tensor>& tensors);
  /// Values that came for a tensor, unless they are its own.
  static void give_back(const at::Tensor& values, const at::Tensor& tensor);
};

inline constexpr double kWaitForOthers = 600;  ///< seconds

/// Waits for the others to come, then joins them. `device`: where this process trains (device.h); of GPUs tensors are
/// summed by NCCL where it is there, else through the CPU. Throws octet::Error where one does not come in time, or
/// libtorch's Gloo is not there.
OCTET_API std::shared_ptr<Group> join_group(const GroupAddress& address, double timeout_seconds = kWaitForOthers,
                                            at::Device device = at::kCPU);

/// While it stands, BatchNorm in train mode takes the statistics of all ranks' batches together: in graphs, modules,
/// and simulated conv-bn pairs (SyncBatchNorm's formulas; the gradient goes through the sums). `group` outlives it.
class OCTET_API SyncBatchNorm {
 public:
  explicit SyncBatchNorm(Group& group);
  ~SyncBatchNorm();
  SyncBatchNorm(const SyncBatchNorm&) = delete;
  SyncBatchNorm& operator=(const SyncBatchNorm&) = delete;

 private:
  struct Guard;
  std::unique_ptr<Guard> guard_;
};

}  // namespace octet

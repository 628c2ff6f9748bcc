// libnccl.so.2 of the tests, for simulated devices (simulated_cuda.cpp): processes of one machine meet in shared
// memory. Rank 0 writes how many messages there were into the file that OCTET_SIMULATED_NCCL names.
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

namespace {

constexpr size_t kSlot = size_t{4} << 20;
constexpr int kMostRanks = 4;

struct Meeting {
  std::atomic<int64_t> arrived;
  alignas(64) std::array<std::array<char, kSlot>, kMostRanks> slots;
};

struct UniqueId {
  std::array<char, 128> bytes;
};

struct Communicator {
  Meeting* meeting = nullptr;
  std::string name;
  int ranks = 0;
  int rank = 0;
  int64_t messages = 0;

  void wait_for_all() const {
    const int64_t round = meeting->arrived.fetch_add(1) / ranks + 1;
    while (meeting->arrived.load() < round * ranks) usleep(50);
  }
};

Meeting* opened(const std::string& name) {
  const int file = shm_open(name.c_str(), O_RDWR | O_CREAT, 0600);
  if (file < 0 || ftruncate(file, sizeof(Meeting)) != 0) return nullptr;
  void* memory = mmap(nullptr, sizeof(Meeting), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  close(file);
  return memory == MAP_FAILED ? nullptr : static_cast<Meeting*>(memory);
}

template <typename T>
void reduce(const Communicator& all, void* into, size_t count, bool is_maximum) {
  T* to = static_cast<T*>(into);
  for (size_t i = 0; i < count; ++i) {
    T value{};
    for (int rank = 0; rank < all.ranks; ++rank) {
      T other;
      std::memcpy(&other, all.meeting->slots[static_cast<size_t>(rank)].data() + i * sizeof(T), sizeof(T));
      value = rank == 0 ? other : is_maximum ? std::max(value, other) : static_cast<T>(value + other);
    }
    to[i] = value;
  }
}

enum Status { kSuccess = 0, kFailed = 1 };
enum Type { kBytes = 1, kFloat = 7, kDouble = 8 };

size_t size_of(int type) { return type == kDouble ? 8 : type == kFloat ? 4 : 1; }

// All ranks' values lie in the slots between `put` and the end of what is done with them.
template <typename Use>
int meet(void* with, const void* from, size_t count, int type, const Use& use) {
  auto& all = *static_cast<Communicator*>(with);
  if (count * size_of(type) > kSlot) return kFailed;
  std::memcpy(all.meeting->slots[static_cast<size_t>(all.rank)].data(), from, count * size_of(type));
  all.wait_for_all();
  use(all);
  all.wait_for_all();
  ++all.messages;
  return kSuccess;
}

}  // namespace

extern "C" {
#pragma GCC visibility push(default)

const char* ncclGetErrorString(int) { return "the simulated NCCL does not know this"; }

int ncclGetUniqueId(UniqueId* id) {
  const std::string name = "/octet-nccl-" + std::to_string(getpid());
  std::copy(name.begin(), name.end(), id->bytes.begin());
  return opened(name) != nullptr ? kSuccess : kFailed;
}

int ncclCommInitRank(void** made, int ranks, UniqueId id, int rank) {
  if (ranks > kMostRanks) return kFailed;
  auto* all = new Communicator{opened(id.bytes.data()), id.bytes.data(), ranks, rank};
  *made = all;
  if (all->meeting == nullptr) return kFailed;
  all->wait_for_all();
  if (rank == 0) shm_unlink(all->name.c_str());
  return kSuccess;
}

int ncclAllReduce(const void* from, void* to, size_t count, int type, int reduction, void* with, void*) {
  if (type != kFloat && type != kDouble) return kFailed;
  const bool is_maximum = reduction == 2;
  return meet(with, from, count, type, [&](const Communicator& all) {
    type == kFloat ? reduce<float>(all, to, count, is_maximum) : reduce<double>(all, to, count, is_maximum);
  });
}

int ncclBroadcast(const void* from, void* to, size_t count, int type, int root, void* with, void*) {
  return meet(with, from, count, type, [&](const Communicator& all) {
    std::memcpy(to, all.meeting->slots[static_cast<size_t>(root)].data(), count * size_of(type));
  });
}

int ncclCommAbort(void* with) {
  auto* all = static_cast<Communicator*>(with);
  const char* told = std::getenv("OCTET_SIMULATED_NCCL");
  FILE* file = told != nullptr && all->rank == 0 ? std::fopen(told, "w") : nullptr;
  if (file != nullptr) {
    std::fprintf(file, "%lld\n", static_cast<long long>(all->messages));
    std::fclose(file);
  }
  munmap(all->meeting, sizeof(Meeting));
  delete all;
  return kSuccess;
}

#pragma GCC visibility pop
}

#include "octet/cli/launch.h"

#include <arpa/inet.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <thread>
#include <utility>
#include <vector>

#include "octet/cli/stopped.h"
#include "octet/support/error.h"

namespace octet::cli {
namespace {

constexpr auto kGrace = std::chrono::seconds(20);  // for the others to find out that one is lost

volatile std::sig_atomic_t passed_on = 0;

extern "C" void pass_on(int signal) { passed_on = signal; }

// A port of this machine that nobody listens at.
int free_port() {
  const int handle = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  const bool found = handle >= 0 && bind(handle, reinterpret_cast<sockaddr*>(&address), size) == 0 &&
                     getsockname(handle, reinterpret_cast<sockaddr*>(&address), &size) == 0;
  const std::string why = std::strerror(errno);
  if (handle >= 0) close(handle);
  if (!found) throw Error("--nproc", "no free port: " + why);
  return ntohs(address.sin_port);
}

std::vector<std::string> own_arguments() {
  std::vector<std::string> arguments;
  FILE* file = std::fopen("/proc/self/cmdline", "rb");
  if (file == nullptr) throw Error("--nproc", "the program's own arguments can't be read");
  std::string argument;
  for (int c = std::fgetc(file); c != EOF; c = std::fgetc(file)) {
    if (c != 0) {
      argument += static_cast<char>(c);
    } else {
      arguments.push_back(std::exchange(argument, {}));
    }
  }
  std::fclose(file);
  return arguments;
}

std::vector<std::string> environment_of(int64_t rank, int64_t count, int port) {
  std::vector<std::string> own = {str("RANK=", rank), str("LOCAL_RANK=", rank), str("WORLD_SIZE=", count),
                                  "MASTER_ADDR=127.0.0.1", str("MASTER_PORT=", port)};
  if (std::getenv("OMP_NUM_THREADS") == nullptr) {
    const int64_t cores = std::max<int64_t>(1, std::thread::hardware_concurrency());
    own.push_back(str("OMP_NUM_THREADS=", std::max<int64_t>(1, cores / count)));
  }
  std::vector<std::string> all = own;
  for (char** each = environ; *each != nullptr; ++each) {
    const std::string entry = *each;
    const std::string name = entry.substr(0, entry.find('=') + 1);
    const bool replaced =
        std::any_of(own.begin(), own.end(), [&](const auto& other) { return other.rfind(name, 0) == 0; });
    if (!replaced) all.push_back(entry);
  }
  return all;
}

std::vector<char*> pointers_to(std::vector<std::string>& texts) {
  std::vector<char*> pointers;
  for (std::string& text : texts) pointers.push_back(text.data());
  pointers.push_back(nullptr);
  return pointers;
}

struct Member {
  pid_t id = 0;
  bool runs = true;
  int status = 0;
};

pid_t begin(std::vector<std::string> arguments, std::vector<std::string> environment) {
  const std::vector<char*> argv = pointers_to(arguments), envp = pointers_to(environment);
  const pid_t id = fork();
  if (id < 0) throw Error("--nproc", str("no process could be begun: ", std::strerror(errno)));
  if (id > 0) return id;
  setpgid(0, 0);  // Ctrl-C comes once, through this program
  prctl(PR_SET_PDEATHSIG, SIGTERM);
  execve("/proc/self/exe", argv.data(), envp.data());
  _exit(127);
}

bool any_runs(const std::vector<Member>& members) {
  return std::any_of(members.begin(), members.end(), [](const Member& each) { return each.runs; });
}

void signal_all(const std::vector<Member>& members, int signal) {
  for (const Member& each : members) {
    if (each.runs) kill(each.id, signal);
  }
}

// What became of a process, in words.
std::string end_of(const Member& member) {
  if (WIFSIGNALED(member.status)) return str("was ended by signal ", WTERMSIG(member.status));
  return str("ended with status ", WEXITSTATUS(member.status));
}

}  // namespace

void run_together(int64_t count, const std::string& checkpoints) {
  const std::vector<std::string> arguments = own_arguments();
  const int port = free_port();
  passed_on = 0;
  std::signal(SIGINT, pass_on);
  std::signal(SIGTERM, pass_on);
  std::vector<Member> members;
  for (int64_t rank = 0; rank < count; ++rank) {
    members.push_back({begin(arguments, environment_of(rank, count, port))});
  }
  int64_t lost = -1;  // the first that failed
  int asked = 0;
  std::chrono::steady_clock::time_point since;
  while (any_runs(members)) {
    if (passed_on != 0) {
      asked = passed_on;
      passed_on = 0;
      signal_all(members, asked);
    }
    bool any_ended = false;
    for (size_t rank = 0; rank < members.size(); ++rank) {
      Member& member = members[rank];
      if (!member.runs || waitpid(member.id, &member.status, WNOHANG) != member.id) continue;
      member.runs = false;
      any_ended = true;
      if (lost < 0 && !(WIFEXITED(member.status) && WEXITSTATUS(member.status) == 0)) {
        lost = static_cast<int64_t>(rank);
        since = std::chrono::steady_clock::now();
      }
    }
    if (lost >= 0 && std::chrono::steady_clock::now() - since > kGrace) signal_all(members, SIGKILL);
    if (!any_ended) std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
  std::signal(SIGINT, SIG_DFL);
  std::signal(SIGTERM, SIG_DFL);
  if (lost < 0) return;
  const std::string way_out = checkpoints.empty() ? "" : "; --resume --checkpoints " + checkpoints + " goes on";
  if (asked != 0) throw Stopped(asked, "all processes have stopped" + way_out);
  throw Error(str("rank ", lost), end_of(members[static_cast<size_t>(lost)]) + ", and the others with it" + way_out);
}

}  // namespace octet::cli

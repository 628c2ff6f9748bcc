#include <unistd.h>

#include <cstdlib>

#include "octet/cli/command_line.h"

namespace {

// OpenMP threads spin while they wait for each other, which beside any other work on the machine makes training several
// times slower. libgomp reads how long before main starts, so that the program starts itself once more with a short
// spin, unless the environment has a say of its own.
void limit_spinning(char** argv) {
  if (std::getenv("GOMP_SPINCOUNT") != nullptr || std::getenv("OMP_WAIT_POLICY") != nullptr) return;
  setenv("GOMP_SPINCOUNT", "1000", /*overwrite=*/1);
  execv("/proc/self/exe", argv);  // returns only where that fails; then the threads spin
}

}  // namespace

int main(int argc, char** argv) {
  limit_spinning(argv);
  return octet::cli::run_command_line(argc, argv);
}

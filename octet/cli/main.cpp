#include <unistd.h>

#include <cstdlib>
#include <iostream>

#include "octet/cli/common.h"
#include "octet/cli/verbs.h"
#include "octet/support/error.h"
#include "octet/version.h"

namespace {

constexpr int kFailed = 1;
constexpr int kWrongUsage = 2;

std::string one_line(std::string text) {
  std::replace(text.begin(), text.end(), '\n', ' ');
  while (!text.empty() && text.back() == ' ') text.pop_back();
  return text;
}

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
  CLI::App program(
      "octet: quantization for edge NPUs. Reads a PyTorch export (.pt2), quantizes or trains it, measures it.",
      "octet");
  program.set_version_flag("--version",
                           octet::str("octet ", octet::version(), " (libtorch ", octet::torch_version(), ")"));
  program.require_subcommand(1);
  program.fallthrough();
  octet::cli::add_global_options(program);
  program.parse_complete_callback([] { octet::cli::apply_global_options(); });
  octet::cli::add_quantize(program);
  octet::cli::add_train(program);
  octet::cli::add_eval(program);
  octet::cli::add_run(program);
  octet::cli::add_inspect(program);
  octet::cli::add_compare(program);
  octet::cli::add_check(program);
  octet::cli::add_export(program);
  octet::cli::add_verify(program);
  octet::cli::add_operators(program);
  octet::cli::add_demo(program);
  try {
    program.parse(argc, argv);
    return 0;
  } catch (const CLI::Success& asked) {  // --help, --version
    return program.exit(asked);
  } catch (const CLI::ParseError& wrong) {
    std::cerr << "octet: " << one_line(wrong.what()) << "; run octet --help, or octet VERB --help\n";
    return kWrongUsage;
  } catch (const octet::Error& error) {
    std::cerr << "octet: " << one_line(error.what()) << '\n';
  } catch (const c10::Error& error) {
    std::cerr << "octet: " << one_line(error.what_without_backtrace()) << '\n';
  } catch (const std::exception& error) {
    std::cerr << "octet: " << one_line(error.what()) << '\n';
  }
  return kFailed;
}

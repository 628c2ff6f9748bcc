#include <ATen/Parallel.h>

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

}  // namespace

int main(int argc, char** argv) {
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

#include <iostream>

#include "octet/cli/verbs.h"
#include "octet/targets/neutron/operator_table.h"

namespace octet::cli {

void add_operators(CLI::App& program) {
  auto target = std::make_shared<std::string>("imxrt700");
  CLI::App* verb =
      program.add_subcommand("operators", "The operators that a target knows, and their limits, as Markdown");
  verb->add_option("--target", *target, "NPU")->capture_default_str();
  verb->callback([target] { std::cout << neutron::operator_table(NeutronTargetSpec(*target)); });
}

}  // namespace octet::cli

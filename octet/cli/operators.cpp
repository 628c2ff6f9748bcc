#include <iostream>

#include "octet/cli/verbs.h"
#include "octet/targets/engine/operator_table.h"
#include "octet/targets/targets.h"

namespace octet::cli {

void operators(const OperatorsArguments& arguments) {
  std::cout << targets::operator_table(*all_targets().find(arguments.target, "--target"));
}

}  // namespace octet::cli

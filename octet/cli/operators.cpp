#include <iostream>

#include "octet/cli/verbs.h"
#include "octet/targets/neutron/operator_table.h"

namespace octet::cli {

void operators(const OperatorsArguments& arguments) {
  std::cout << neutron::operator_table(NeutronTargetSpec(arguments.target));
}

}  // namespace octet::cli

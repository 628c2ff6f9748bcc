#include "octet/targets/targets.h"

#include "octet/targets/coreml/target.h"
#include "octet/targets/intx/target.h"
#include "octet/targets/neutron/target.h"
#include "octet/targets/qnn/target.h"
#include "octet/targets/xnnpack/target.h"

namespace octet {

const targets::Registry& all_targets() {
  static const targets::Registry registry = [] {
    targets::Registry known;
    for (const std::string& name : NeutronTargetSpec::known()) known.add(neutron::target(NeutronTargetSpec(name)));
    known.add(xnnpack::target());
    known.add(qnn::target());
    known.add(coreml::target());
    known.add(intx::target());
    return known;
  }();
  return registry;
}

}  // namespace octet

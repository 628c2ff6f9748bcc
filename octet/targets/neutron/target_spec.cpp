#include "octet/targets/neutron/target_spec.h"

#include "octet/support/error.h"

namespace octet {
namespace {

constexpr int64_t kKibibyte = 1024;

}  // namespace

NeutronTargetSpec NeutronTargetSpec::row(std::string name, std::string core, int64_t hardware_version, int64_t units,
                                         int64_t pipes, int64_t macs, int64_t on_chip_bytes, NeutronLimits limits) {
  NeutronTargetSpec spec;
  spec.name_ = std::move(name);
  spec.core_ = std::move(core);
  spec.hardware_version_ = hardware_version;
  spec.units_ = units;
  spec.pipes_ = pipes;
  spec.macs_ = macs;
  spec.on_chip_bytes_ = on_chip_bytes;
  spec.limits_ = std::move(limits);
  return spec;
}

// A row a target.
const std::vector<NeutronTargetSpec>& NeutronTargetSpec::table() {
  static const std::vector<NeutronTargetSpec> targets = {
      //  name        core     version  units  pipes  MACs  RAM            limits
      row("imxrt700", "N3-64", 2, 1, 8, 8, 7680 * kKibibyte, NeutronLimits{}),
  };
  return targets;
}

std::vector<std::string> NeutronTargetSpec::known() {
  std::vector<std::string> names;
  for (const NeutronTargetSpec& target : table()) names.push_back(target.name());
  return names;
}

NeutronTargetSpec::NeutronTargetSpec(const std::string& target) {
  for (const NeutronTargetSpec& known_target : table()) {
    if (known_target.name() == target) {
      *this = known_target;
      return;
    }
  }
  std::string names;
  for (const std::string& name : known()) names += (names.empty() ? "" : ", ") + name;
  throw expected("target", "name", "one of " + names, "'" + target + "'").as(ErrorCategory::kTarget);
}

}  // namespace octet

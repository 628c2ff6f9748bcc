#pragma once

#include <memory>
#include <string>
#include <vector>

#include "octet/support/api.h"
#include "octet/targets/engine/target.h"

namespace octet::targets {

/// Targets by name. octet/targets/targets.h has those that octet ships.
class OCTET_API Registry {
 public:
  /// Throws octet::Error for a name that stands twice, and where check(target) does.
  void add(Target target);

  const std::vector<std::shared_ptr<const Target>>& all() const { return targets_; }
  /// The first: where nobody names one. Throws octet::Error where there is none.
  const std::shared_ptr<const Target>& standard() const;
  /// Throws octet::Error that lists the known ones; `where`: what named it ("--target", "config.json: target").
  const std::shared_ptr<const Target>& find(const std::string& name, const std::string& where = "target") const;

 private:
  std::vector<std::shared_ptr<const Target>> targets_;
};

}  // namespace octet::targets

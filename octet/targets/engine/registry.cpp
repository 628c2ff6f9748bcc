#include "octet/targets/engine/registry.h"

#include "octet/support/error.h"

namespace octet::targets {

void Registry::add(Target target) {
  check(target);
  for (const auto& known : targets_) {
    if (known->name == target.name) throw Error("targets", octet::str("'", target.name, "' stands twice"));
  }
  targets_.push_back(std::make_shared<const Target>(std::move(target)));
}

const std::shared_ptr<const Target>& Registry::standard() const {
  if (targets_.empty()) throw Error("targets", "there is none");
  return targets_.front();
}

const std::shared_ptr<const Target>& Registry::find(const std::string& name, const std::string& where) const {
  std::string names;
  for (const auto& target : targets_) {
    if (target->name == name) return target;
    names += (names.empty() ? "" : ", ") + target->name;
  }
  throw wrong_choice(where, names, name).as(ErrorCategory::kTarget);
}

}  // namespace octet::targets

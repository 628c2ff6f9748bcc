#include "octet/graph/late_operators.h"

#include <map>
#include <mutex>
#include <string>

namespace octet {
namespace {

struct Late {
  void (*define)();
  bool done = false;
};

struct Registry {
  std::recursive_mutex mutex;
  std::map<std::string, Late> by_namespace;
};

Registry& registry() {
  static Registry* all = new Registry();  // read until the process ends
  return *all;
}

bool define(Late& late) {
  if (late.done) return false;
  late.done = true;
  late.define();
  return true;
}

}  // namespace

LateOperators::LateOperators(const char* name_space, void (*define)()) {
  registry().by_namespace.emplace(name_space, Late{define});
}

bool define_late_operators(const char* name_space) {
  const std::lock_guard lock(registry().mutex);
  const auto found = registry().by_namespace.find(name_space);
  return found != registry().by_namespace.end() && define(found->second);
}

void define_all_late_operators() {
  const std::lock_guard lock(registry().mutex);
  for (auto& [name, late] : registry().by_namespace) define(late);
}

}  // namespace octet

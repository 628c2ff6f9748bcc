#pragma once

#include "octet/support/api.h"
#include "octet/support/error.h"

namespace octet::log {

enum class Level { kQuiet = 0, kWarning = 1, kInfo = 2, kDebug = 3 };

/// Messages above this level are dropped. Default kInfo, or the environment's OCTET_LOG=quiet|warning|info|debug.
OCTET_API void set_level(Level level);
OCTET_API Level level();

/// One line on stderr; safe from several threads.
OCTET_API void write(Level level, const std::string& message);

template <typename... Parts>
void warn(const Parts&... parts) {
  if (level() >= Level::kWarning) write(Level::kWarning, str(parts...));
}
template <typename... Parts>
void info(const Parts&... parts) {
  if (level() >= Level::kInfo) write(Level::kInfo, str(parts...));
}
template <typename... Parts>
void debug(const Parts&... parts) {
  if (level() >= Level::kDebug) write(Level::kDebug, str(parts...));
}

}  // namespace octet::log

#include "octet/support/log.h"

#include <atomic>
#include <cstdlib>
#include <iostream>
#include <mutex>

namespace octet::log {
namespace {

Level from_environment() {
  const char* text = std::getenv("OCTET_LOG");
  const std::string value = text != nullptr ? text : "";
  if (value == "quiet") return Level::kQuiet;
  if (value == "warning") return Level::kWarning;
  if (value == "debug") return Level::kDebug;
  return Level::kInfo;
}

std::atomic<Level>& current() {
  static std::atomic<Level> value{from_environment()};
  return value;
}

}  // namespace

void set_level(Level value) { current() = value; }
Level level() { return current(); }

void write(Level severity, const std::string& message) {
  static std::mutex mutex;
  const std::lock_guard<std::mutex> lock(mutex);
  std::cerr << (severity == Level::kWarning ? "warning: " : "") << message << '\n';
}

}  // namespace octet::log

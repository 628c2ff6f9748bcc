#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <set>
#include <string>
#include <vector>

#include "octet/support/error.h"

namespace octet::test {

using Parts = std::vector<std::string>;

/// The cases that ran, by name: none may stand twice.
inline std::set<std::string>& refused_cases() {
  static std::set<std::string> names;
  return names;
}

/// The action throws an octet::Error of one line that holds all parts; nothing else comes out of it.
inline void expect_refused(const std::string& name, const std::function<void()>& action, const Parts& parts) {
  EXPECT_TRUE(refused_cases().insert(name).second) << name << " stands twice";
  try {
    action();
    ADD_FAILURE() << name << ": accepted";
  } catch (const Error& error) {
    const std::string message = error.what();
    for (const std::string& part : parts) {
      EXPECT_NE(message.find(part), std::string::npos) << name << ": lacks '" << part << "': " << message;
    }
    EXPECT_EQ(message.find('\n'), std::string::npos) << name << ": " << message;
  } catch (const std::exception& error) {
    ADD_FAILURE() << name << ": no octet::Error, but " << error.what();
  }
}

}  // namespace octet::test

#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <string>

#include "octet/support/error.h"

namespace octet::test {

/// The message of the octet::Error that `action` throws; a failure where it throws none.
inline std::string error_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const Error& error) {
    return error.what();
  }
  ADD_FAILURE() << "no octet::Error was thrown";
  return "";
}

inline void expect_error(const std::function<void()>& action, const std::vector<std::string>& parts) {
  const std::string message = error_of(action);
  for (const std::string& part : parts)
    EXPECT_NE(message.find(part), std::string::npos) << message << "\nlacks: " << part;
  EXPECT_EQ(message.find('\n'), std::string::npos) << message;
}

}  // namespace octet::test

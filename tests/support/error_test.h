#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <string>

#include "octet/support/error.h"

namespace octet::test {

/// Passes where `action` throws an octet::Error whose message holds `part`.
inline ::testing::AssertionResult fails_with(const std::function<void()>& action, const std::string& part) {
  try {
    action();
  } catch (const Error& error) {
    if (std::string(error.what()).find(part) != std::string::npos) return ::testing::AssertionSuccess();
    return ::testing::AssertionFailure() << "the error does not say \"" << part << "\": " << error.what();
  } catch (const std::exception& error) {
    return ::testing::AssertionFailure() << "no octet::Error, but: " << error.what();
  }
  return ::testing::AssertionFailure() << "nothing was thrown";
}

/// Passes where `action` either works or throws an octet::Error, whatever it is fed.
inline ::testing::AssertionResult works_or_reports(const std::function<void()>& action) {
  try {
    action();
  } catch (const Error&) {
    return ::testing::AssertionSuccess();
  } catch (const std::exception& error) {
    return ::testing::AssertionFailure() << "no octet::Error, but: " << error.what();
  }
  return ::testing::AssertionSuccess();
}

}  // namespace octet::test

#pragma once

#include <string>

#include "octet/support/error.h"

namespace octet::cli {

/// A run that was asked to stop (SIGINT, SIGTERM), and did so behind a whole step, saved.
class Stopped : public Error {
 public:
  Stopped(int signal, const std::string& message) : Error("", message), signal_(signal) {}
  int signal() const { return signal_; }

 private:
  int signal_;
};

}  // namespace octet::cli

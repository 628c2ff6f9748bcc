#pragma once

#include <gtest/gtest.h>
#include <sys/wait.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <string>

#include "tests/support/test_data.h"

namespace octet::test {

/// What a run of the program left.
struct Outcome {
  int status = -1;
  std::string out;
  std::string err;
};

/// The whole of a file.
inline std::string slurp(const std::string& path) {
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

/// The program as a user runs it, in a folder of its own.
class Program : public testing::Test {
 protected:
  Outcome run(const std::string& arguments) {
    const char* program = std::getenv("OCTET_PROGRAM");
    const std::string err = folder_.file("stderr");
    const std::string command =
        std::string(program != nullptr ? program : "build/octet") + " " + arguments + " 2> " + err;
    Outcome result;
    FILE* pipe = popen(command.c_str(), "r");
    std::array<char, 4096> buffer;
    size_t read = 0;
    while ((read = fread(buffer.data(), 1, buffer.size(), pipe)) > 0) result.out.append(buffer.data(), read);
    const int status = pclose(pipe);
    result.status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    result.err = slurp(err);
    return result;
  }
  static std::string golden(const std::string& name) { return data("golden/cases/" + name); }
  std::string file(const std::string& name) const { return folder_.file(name); }

  TemporaryFolder folder_;
};

inline size_t lines(const std::string& text) { return static_cast<size_t>(std::count(text.begin(), text.end(), '\n')); }

}  // namespace octet::test

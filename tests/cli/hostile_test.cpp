// Files made to hurt, given to the program: one line, status 1, and little memory.
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "program.h"

namespace octet {
namespace {

constexpr int64_t kMegabyte = 1 << 20;

class Hostile : public test::Program {
 protected:
  // The program's status, and the most memory that it held.
  std::pair<int, int64_t> measured(const std::string& arguments) {
    const char* program = std::getenv("OCTET_PROGRAM");
    const std::string command = std::string("exec ") + (program != nullptr ? program : "build/octet") + " " +
                                arguments + " > " + file("out") + " 2> " + file("err");
    const pid_t child = fork();
    if (child == 0) {
      execl("/bin/sh", "sh", "-c", command.c_str(), static_cast<char*>(nullptr));
      _exit(127);
    }
    int status = 0;
    struct rusage usage {};
    wait4(child, &status, 0, &usage);
    return {WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status), usage.ru_maxrss * 1024};
  }

  ::testing::AssertionResult is_refused(const std::string& arguments, const std::string& message) {
    const auto [status, memory] = measured(arguments);
    const std::string err = test::slurp(file("err"));
    if (status != 1) return ::testing::AssertionFailure() << "status " << status << ": " << err;
    if (test::lines(err) != 1) return ::testing::AssertionFailure() << "not one line: " << err;
    if (err.find(message) == std::string::npos) return ::testing::AssertionFailure() << err;
#if !defined(__SANITIZE_ADDRESS__)
    if (memory > 300 * kMegabyte) return ::testing::AssertionFailure() << "took " << memory << " bytes";
#endif
    return ::testing::AssertionSuccess();
  }
};

TEST_F(Hostile, DocumentsOfManyValuesAreRefused) {
  const std::string bomb = test::data("hostile/bomb.octet");
  for (const char* verb : {"inspect ", "check ", "run "}) {
    const std::string more =
        verb == std::string("run ") ? " --input " + golden("linear/test_0.npy") + " --output " + file("o") : "";
    EXPECT_TRUE(is_refused(verb + bomb + more, "its JSON would take")) << verb;
  }
}

TEST_F(Hostile, SettingsOfManyValuesAreRefused) {
  std::string values = "[";
  for (int i = 0; i < 200000; ++i) values += "[],";
  std::ofstream(file("small.json")) << values << "0]";
  std::ofstream(file("large.json")) << values << std::string(2 * kMegabyte, ' ') << "0]";
  std::ofstream(file("deep.json")) << std::string(kMegabyte / 2, '[');
  const std::string verb = "quantize " + golden("linear/model.pt2") +
                           " --calibrate npy:" + golden("linear/calib_0_0.npy") + " -o " + file("o.octet") +
                           " --config ";
  EXPECT_TRUE(is_refused(verb + file("small.json"), "small.json] expected an object, got an array"));
  EXPECT_TRUE(is_refused(verb + file("large.json"), "large.json] is too large: "));
  EXPECT_TRUE(is_refused(verb + file("deep.json"), "deep.json] is nested deeper than 8 levels"));
  EXPECT_TRUE(is_refused(verb + "/dev/zero", "/dev/zero] is not a regular file"));
  EXPECT_FALSE(std::filesystem::exists(file("o.octet")));
}

}  // namespace
}  // namespace octet

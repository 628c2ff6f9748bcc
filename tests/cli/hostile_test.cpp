// Files made to hurt, given to the program: one line, status 1, little memory, and nothing else on the disk changed.
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "octet/formats/container.h"
#include "octet/formats/npy.h"
#include "octet/support/memory_limit.h"
#include "octet/support/sanitizer.h"
#include "tests/cli/program.h"

namespace octet {
namespace {

constexpr int64_t kMegabyte = 1 << 20;

class Hostile : public test::Program {
 protected:
  // A file that hostile ones name by its name alone; the program runs in its folder.
  void SetUp() override { std::ofstream(file("victim.txt")) << kVictim; }

  // The program's status, and the most memory that it held.
  std::pair<int, int64_t> measured(const std::string& arguments) {
    const char* program = std::getenv("OCTET_PROGRAM");
    const auto path = std::filesystem::absolute(program != nullptr ? program : "build/octet");
    const std::string command = "cd " + folder_.path() + " && exec " + path.string() + " " + arguments + " > " +
                                file("out") + " 2> " + file("err");
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
    if (test::slurp(file("victim.txt")) != kVictim) return ::testing::AssertionFailure() << "another file was changed";
    if (memory > 300 * kMegabyte && !kAddressSanitizer) {
      return ::testing::AssertionFailure() << "took " << memory << " bytes";
    }
    return ::testing::AssertionSuccess();
  }

  static std::string hostile(const std::string& name) {
    return std::filesystem::absolute(test::data("hostile/" + name)).string();
  }

  static constexpr const char* kVictim = "0123456789abcdef";
};

TEST_F(Hostile, TorchScriptThatMapsAFileIsRefused) {
  for (const char* verb : {"inspect ", "check "}) {
    EXPECT_TRUE(is_refused(verb + hostile("from_file.pt") + " --input-size 1,4", "'aten.from_file', which opens"))
        << verb;
  }
}

TEST_F(Hostile, OperatorsThatTrustTheirIndicesAreRefused) {
  write_npy(file("x.npy"), at::zeros({1, 4}));
  EXPECT_TRUE(is_refused("run " + hostile("oob.octet") + " --input x.npy --output y.npy",
                         "_convert_indices_from_coo_to_csr.default' takes memory at its word"));
  EXPECT_FALSE(std::filesystem::exists(file("y.npy")));
}

TEST_F(Hostile, WhatReachesOutIsNeverLetIn) {
  const std::string verb = "inspect " + hostile("oob.octet") + " --allow-operator ";
  for (const char* name : {"aten.from_file", "aten._convert_indices_from_coo_to_csr.default"}) {
    EXPECT_TRUE(is_refused(verb + name, "no file may hold it")) << name;
  }
  EXPECT_TRUE(is_refused(verb + "aten.no_such_operator", "no such operator"));
  EXPECT_TRUE(is_refused(verb + "aten.fractional_max_pool2d", "no file may hold it"));  // lets no other in
}

// Memory that is not there is an error of the program, and not its end.
TEST_F(Hostile, TensorsBeyondTheMachineAreAnError) {
  if (kAddressSanitizer) GTEST_SKIP() << "its shadow counts as memory";
  const uint64_t available = available_memory();
  ASSERT_GT(available, 0U);
  GraphModule module;
  Graph& graph = module.graph();
  Node* x = graph.placeholder("x");
  x->set_meta(TensorMeta{at::kFloat, {1}});
  const std::vector<int64_t> sizes = {static_cast<int64_t>((available + (uint64_t{2} << 30)) / 4)};
  Node* large = graph.call("aten.empty.memory_format", {sizes});
  graph.output({graph.call("aten.add.Tensor", {x, graph.call("aten.select.int", {large, 0, 0})})});
  save_octet(module, file("large.octet"));
  write_npy(file("x.npy"), at::zeros({1}));
  EXPECT_TRUE(is_refused("run large.octet --input x.npy --output y.npy", "bytes of memory, which there are not"));
}

TEST_F(Hostile, WarningsOfLibtorchDoNotStandBesideTheError) {
  GraphModule module;
  Graph& graph = module.graph();
  Node* x = graph.placeholder("x");
  x->set_meta(TensorMeta{at::kFloat, {16}});
  graph.output({graph.call("aten.stft.default", {x, 4, Arg(), Arg(), Arg(), false})});
  save_octet(module, file("stft.octet"));
  write_npy(file("x.npy"), at::zeros({16}));
  EXPECT_TRUE(is_refused("run stft.octet --input x.npy --output y.npy", "return_complex"));
}

TEST_F(Hostile, DocumentsOfManyValuesAreRefused) {
  const std::string bomb = hostile("bomb.octet");
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

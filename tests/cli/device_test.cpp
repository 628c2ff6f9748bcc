// --device as a user gives it: here where there is no GPU, and on simulated ones (tests/device).
#include <ATen/Functions.h>

#include <nlohmann/json.hpp>

#include "octet/formats/npy.h"
#include "octet/support/text.h"
#include "tests/cli/program.h"

namespace octet {
namespace {

class OnDevices : public test::Program {
 protected:
  void prepare() {
    at::manual_seed(3);
    const auto facts = nlohmann::json::parse(run("inspect --json " + model_).out);
    auto shape = facts.at("inputs").at(0).at("shape").get<std::vector<int64_t>>();
    shape.at(0) = 64;
    write_npy(file("x_0_0.npy"), at::randn(shape));
    write_npy(file("labels.npy"), at::randint(4, {64}, at::kLong));
  }

  // A line of its environment before the program's own.
  test::Outcome run_with(const std::string& environment, const std::string& arguments) {
    const std::string before = std::getenv("OCTET_PROGRAM") != nullptr ? std::getenv("OCTET_PROGRAM") : "build/octet";
    setenv("OCTET_PROGRAM", (environment + " " + before).c_str(), 1);
    test::Outcome ran = run(arguments);
    setenv("OCTET_PROGRAM", before.c_str(), 1);
    return ran;
  }

  static std::string simulated(bool with_nccl = true) {
    const char* given = std::getenv("OCTET_SIMULATED_DEVICES_IN");
    const std::string folder = given != nullptr ? given : "build/tests/device";
    return octet::str("LD_LIBRARY_PATH=", with_nccl ? "" : folder + "/without_nccl:", folder, "/simulated");
  }

  std::string train(const std::string& output, const std::string& more) const {
    return octet::str("--threads 1 train ", model_, " --data 'npy:", file("x_*_*.npy"), "' --batch-size 8 --lr 0.02",
                      " --epochs 3 -o ", file(output), " --json ", more);
  }

  std::string model_ = golden("linear_bn_relu/model.pt2");
};

TEST_F(OnDevices, WhatIsMissingIsSaid) {
  prepare();
  // Libraries of another build, or a machine without a GPU: whichever it is, one error, and nothing was begun.
  const test::Outcome without = run_with("OCTET_SIMULATED_DEVICES=0", train("m.octet", "--float --device cuda"));
  EXPECT_EQ(without.status, 1);
  EXPECT_EQ(test::lines(without.err), 1u) << without.err;
  EXPECT_NE(without.err.find("[--device cuda] "), std::string::npos) << without.err;
  EXPECT_NE(without.err.find("or leave --device out"), std::string::npos) << without.err;
  const test::Outcome none =
      run_with(simulated() + " OCTET_SIMULATED_DEVICES=0", train("m.octet", "--float --device cuda"));
  EXPECT_EQ(none.status, 1);
  EXPECT_EQ(none.err,
            "octet: [--device cuda] expected a GPU that CUDA can use, found none; look at nvidia-smi (driver) and "
            "CUDA_VISIBLE_DEVICES, or leave --device out\n");
  const test::Outcome two = run_with(simulated(), train("m.octet", "--float --device cuda --nproc 4"));
  EXPECT_EQ(two.status, 1);
  EXPECT_NE(two.err.find("process of this machine: expected below 2"), std::string::npos) << two.err;
  for (const char* wrong : {"bogus", "cuda:x", "cuda:1 --nproc 2"}) {
    EXPECT_EQ(run_with(simulated(), train("m.octet", octet::str("--float --device ", wrong))).status, 2) << wrong;
  }
  EXPECT_EQ(run_with(simulated(), octet::str("eval ", model_, " --data x --integer --device cuda")).status, 2);
  EXPECT_FALSE(std::filesystem::exists(file("m.octet")));
}

TEST_F(OnDevices, TrainAsTheCpuDoes) {
  prepare();
  for (const std::string flags : {"--float --ema 0.9", "--qat --distill", "--qat --learn-scales"}) {
    const test::Outcome here = run_with("OCTET_REFERENCE=1", train("here.octet", flags + " --fused no"));
    const test::Outcome there = run_with(simulated(), train("there.octet", flags + " --device cuda:1"));
    ASSERT_EQ(here.status, 0) << here.err;
    ASSERT_EQ(there.status, 0) << there.err;
    const auto wanted = nlohmann::json::parse(here.out), got = nlohmann::json::parse(there.out);
    for (size_t i = 0; i < 3; ++i) {
      EXPECT_NEAR(got["epochs"][i]["loss"].get<double>(), wanted["epochs"][i]["loss"].get<double>(), 1e-6) << flags;
    }
    const std::string eval = octet::str("eval --json ", file("there.octet"), " --data 'npy:", file("x_*_*.npy"), "'");
    const test::Outcome measured = run(eval), measured_there = run_with(simulated(), eval + " --device cuda");
    ASSERT_EQ(measured_there.status, 0) << measured_there.err;
    EXPECT_NEAR(nlohmann::json::parse(measured_there.out).at("loss").get<double>(),
                nlohmann::json::parse(measured.out).at("loss").get<double>(), 1e-6)
        << flags;
  }
}

// Each process on a device of its own, its sums by NCCL; without NCCL through the CPU.
TEST_F(OnDevices, TwoProcessesGiveWhatOneGives) {
  prepare();
  const std::string flags = "--qat --sync-bn --freeze-bn-after 2";
  const test::Outcome one = run_with("OCTET_REFERENCE=1", train("one.octet", flags));
  ASSERT_EQ(one.status, 0) << one.err;
  const auto alone = nlohmann::json::parse(one.out);
  const std::string told = file("messages");
  for (const bool by_nccl : {true, false}) {
    const std::string environment = octet::str("OCTET_SIMULATED_NCCL=", told, " ", simulated(by_nccl));
    const test::Outcome two = run_with(environment, train("two.octet", flags + " --device cuda --nproc 2"));
    ASSERT_EQ(two.status, 0) << two.err;
    const auto together = nlohmann::json::parse(two.out);
    for (size_t i = 0; i < 3; ++i) {
      EXPECT_NEAR(together["epochs"][i]["loss"].get<double>(), alone["epochs"][i]["loss"].get<double>(), 1e-4);
    }
    EXPECT_EQ(std::filesystem::exists(told), by_nccl);
    const int messages = std::atoi(test::slurp(told).c_str());
    EXPECT_EQ(messages > 24, by_nccl) << messages;  // one a step, and BatchNorm's
    std::filesystem::remove(told);
    EXPECT_EQ(two.err.find("sums of the GPUs go through the CPU") == std::string::npos, by_nccl) << two.err;
  }
}

TEST_F(OnDevices, ARunGoesOnElsewhere) {
  prepare();
  const std::string checkpoints = octet::str(" --qat --checkpoints ", file("run"), " --save-every 0");
  const test::Outcome there = run_with(simulated(), train("a.octet", checkpoints + " --device cuda"));
  ASSERT_EQ(there.status, 0) << there.err;
  const test::Outcome here = run(train("b.octet", checkpoints + " --resume"));
  EXPECT_EQ(here.status, 0) << here.err;
  EXPECT_EQ(test::slurp(file("a.octet")), test::slurp(file("b.octet")));
}

}  // namespace
}  // namespace octet

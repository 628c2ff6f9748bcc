// Training by the program: runs that are stopped and go on.
#include <ATen/Functions.h>

#include <csignal>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "octet/formats/npy.h"
#include "octet/support/text.h"
#include "tests/cli/program.h"

namespace octet {
namespace {

class TrainVerb : public test::Program {
 protected:
  void SetUp() override {
    at::manual_seed(3);
    write_npy(file("x_0_0.npy"), at::randn({64, 16}));
    write_npy(file("labels.npy"), at::randint(4, {64}, at::kLong));
  }

  // A run of `epochs` of eight steps.
  std::string run_of(int64_t epochs, const std::string& output, const std::string& more) const {
    return str("--threads 1 train ", golden("linear_relu/model.pt2"), " --data 'npy:", file("x_*_*.npy"),
               "' --qat --no-eval --batch-size 8 --lr 0.01 --epochs ", epochs, " -o ", file(output), " ", more);
  }
};

TEST_F(TrainVerb, AStoppedRunGoesOnToTheSameBits) {
  ASSERT_EQ(run(run_of(100, "whole.octet", "")).status, 0);
  // As a user presses Ctrl-C once the first steps are done.
  const std::string wait = str("while ! ls ", file("kept"), " 2> /dev/null | grep -qv 00000000; do sleep 0.02; done");
  const char* program = std::getenv("OCTET_PROGRAM");
  const std::string begun = str(program != nullptr ? program : "build/octet", " ",
                                run_of(100, "cut.octet", "--save-every 0 --checkpoints " + file("kept")), " > ",
                                file("out"), " 2> ", file("err"));
  const int status = std::system(str(begun, " & run=$!; ", wait, "; kill -TERM $run; wait $run").c_str());
  EXPECT_EQ(WEXITSTATUS(status), 128 + SIGTERM) << test::slurp(file("err"));
  EXPECT_NE(test::slurp(file("err")).find("stopped behind step "), std::string::npos);
  EXPECT_FALSE(std::filesystem::exists(file("cut.octet")));

  const test::Outcome resumed = run(run_of(100, "cut.octet", "--resume --checkpoints " + file("kept")));
  ASSERT_EQ(resumed.status, 0) << resumed.err;
  EXPECT_NE(resumed.err.find("going on with " + file("kept")), std::string::npos) << resumed.err;
  EXPECT_EQ(test::slurp(file("cut.octet")), test::slurp(file("whole.octet")));
}

TEST_F(TrainVerb, AFolderOfAnotherRunIsRefused) {
  const std::string folder = " --checkpoints " + file("kept");
  ASSERT_EQ(run(run_of(1, "a.octet", folder)).status, 0);
  const test::Outcome again = run(run_of(1, "a.octet", folder));
  EXPECT_EQ(again.status, 2);
  EXPECT_NE(again.err.find("holds a run of 8 steps; --resume goes on with it"), std::string::npos) << again.err;
  const test::Outcome other = run(run_of(2, "a.octet", "--resume" + folder));
  EXPECT_EQ(other.status, 1);
  EXPECT_NE(other.err.find("epochs: expected 1, as the run was begun, got 2"), std::string::npos) << other.err;
  EXPECT_EQ(run(run_of(1, "a.octet", "--resume")).status, 2) << "needs a folder";
}

// What was written beside a model is the whole run: it is done again without another word, and flags win.
TEST_F(TrainVerb, AConfigFileHoldsAWholeRun) {
  const std::string recipe =
      "--ema 0.9 --clip-grad-norm 2 --accumulate 2 --learn-scales --distill --seed 7 --no-augment";
  ASSERT_EQ(run(run_of(2, "a.octet", recipe)).status, 0);
  const std::string bytes = test::slurp(file("a.octet")), config = test::slurp(file("a.octet.json"));
  const auto written = nlohmann::json::parse(config).at("training");
  EXPECT_EQ(written.at("ema"), "0.9");
  EXPECT_EQ(written.at("seed"), "7");
  EXPECT_EQ(written.at("momentum"), "0.9") << "what nobody has said, too";
  std::filesystem::rename(file("a.octet.json"), file("run.json"));
  std::filesystem::remove(file("a.octet"));
  const test::Outcome again = run("--threads 1 train --config " + file("run.json"));
  ASSERT_EQ(again.status, 0) << again.err;
  EXPECT_EQ(test::slurp(file("a.octet")), bytes);
  EXPECT_EQ(test::slurp(file("a.octet.json")), config);
  ASSERT_EQ(run("--threads 1 train --epochs 1 --seed 8 --config " + file("run.json")).status, 0);
  const auto other = nlohmann::json::parse(test::slurp(file("a.octet.json"))).at("training");
  EXPECT_EQ(other.at("epochs"), "1");
  EXPECT_EQ(other.at("seed"), "8");
  EXPECT_NE(test::slurp(file("a.octet")), bytes);
}

TEST_F(TrainVerb, AConfigFileMayBeWrittenByHand) {
  const auto write = [&](const std::string& training) {
    std::ofstream(file("run.json")) << R"({"version": 1, "training": )" << training << "}";
    return run("--threads 1 train --config " + file("run.json"));
  };
  const std::string model = "\"model\": \"" + golden("linear_relu/model.pt2") +
                            "\", \"data\": \"npy:" + file("x_*_*.npy") + "\", \"output\": \"" + file("hand.octet") +
                            "\"";
  const test::Outcome made = write("{" + model + R"(, "epochs": 2, "lr": 0.05, "float": true, "batch_size": 16})");
  ASSERT_EQ(made.status, 0) << made.err;
  EXPECT_EQ(nlohmann::json::parse(test::slurp(file("hand.octet.json"))).at("training").at("lr"), "0.05");
  const test::Outcome unknown = write("{" + model + R"(, "epochs": 2, "float": true, "lrate": 1})");
  EXPECT_EQ(unknown.status, 1);
  EXPECT_NE(unknown.err.find("training.lrate: octet train has no such flag"), std::string::npos) << unknown.err;
  const test::Outcome wrong = write("{" + model + R"(, "epochs": -2, "float": true})");
  EXPECT_EQ(wrong.status, 2);
  EXPECT_EQ(test::lines(wrong.err), 1u) << wrong.err;
  const test::Outcome missing = write("{" + model + R"(, "float": true})");
  EXPECT_EQ(missing.status, 2);
  EXPECT_NE(missing.err.find("--epochs is required"), std::string::npos) << missing.err;
}

TEST_F(TrainVerb, TasksAndDistillationByFlag) {
  const auto scores = [&](const std::string& flags) {
    const test::Outcome made =
        run(str("--threads 1 train ", golden("linear_relu/model.pt2"), " --data 'npy:", file("x_*_*.npy"),
                "' --batch-size 8 --epochs 2 --json -o ", file("t.octet"), " ", flags));
    EXPECT_EQ(made.status, 0) << made.err;
    return nlohmann::json::parse(made.out.empty() ? "{}" : made.out).value("evaluation", nlohmann::json::object());
  };
  EXPECT_TRUE(scores("--float").contains("top1"));
  std::filesystem::remove(file("labels.npy"));
  EXPECT_TRUE(scores("--qat --distill").contains("agreement")) << "without labels";
  const test::Outcome inspected = run("inspect --json " + golden("linear_relu/model.pt2"));
  auto wanted = nlohmann::json::parse(inspected.out).at("outputs").at(0).at("shape").get<std::vector<int64_t>>();
  wanted.at(0) = 64;
  write_npy(file("labels.npy"), at::randn(wanted));
  const auto regression = scores("--float --task regression");
  EXPECT_TRUE(regression.contains("mse"));
  EXPECT_TRUE(regression.contains("mae"));
  const test::Outcome measured =
      run(str("eval ", file("t.octet"), " --task regression --json --data 'npy:", file("x_*_*.npy"), "'"));
  ASSERT_EQ(measured.status, 0) << measured.err;
  EXPECT_NEAR(nlohmann::json::parse(measured.out).at("mse").get<double>(), regression.at("mse").get<double>(), 1e-6);
  EXPECT_EQ(run(run_of(1, "t.octet", "--task regression --label-smoothing 0.1")).status, 2);
  EXPECT_EQ(run(run_of(1, "t.octet", "--task ranking")).status, 2);
}

}  // namespace
}  // namespace octet

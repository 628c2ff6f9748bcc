// Several processes that train one model, as a user starts them.
#include <ATen/Functions.h>

#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <random>

#include "octet/formats/npy.h"
#include "octet/support/text.h"
#include "tests/cli/program.h"

namespace octet {
namespace {

class Together : public test::Program {
 protected:
  // Data for a golden model, 64 samples of four classes.
  void prepare(const std::string& name) {
    model_ = golden(name + "/model.pt2");
    const auto facts = nlohmann::json::parse(run("inspect --json " + model_).out);
    auto shape = facts.at("inputs").at(0).at("shape").get<std::vector<int64_t>>();
    shape.at(0) = 64;
    at::manual_seed(3);
    write_npy(file("x_0_0.npy"), at::randn(shape));
    write_npy(file("labels.npy"), at::randint(4, {64}, at::kLong));
    write_npy(file("one.npy"), at::randn(shape));
  }

  std::string run_of(int64_t epochs, const std::string& output, const std::string& more) const {
    return str("--threads 1 train ", model_, " --data 'npy:", file("x_*_*.npy"), "' --batch-size 8 --lr 0.02 --epochs ",
               epochs, " -o ", file(output), " ", more);
  }

  at::Tensor results_of(const std::string& output) {
    const test::Outcome ran = run(str("run ", file(output), " --input ", file("one.npy"), " --output ", file("y.npy")));
    EXPECT_EQ(ran.status, 0) << ran.err;
    return read_npy(file("y.npy"));
  }

  std::string model_;
};

TEST_F(Together, TwoGiveWhatOneGives) {
  struct Case {
    std::string model;
    std::string flags;
  };
  for (const auto& [model, flags] :
       {Case{"linear_relu", "--float --accumulate 2 --ema 0.9"}, Case{"linear_relu", "--qat"},
        Case{"linear_relu", "--float --class-weights 1,20,0.5,4"},
        Case{"linear_relu",
             "--float --class-weights 1,20,0.5,4 --distill --teacher " + golden("linear_relu/model.pt2")},
        Case{"linear_bn_relu", "--float --sync-bn"}, Case{"linear_bn_relu", "--float --sync-bn --reestimate-bn 5"},
        Case{"linear_bn_relu", "--qat --sync-bn --freeze-bn-after 2"},
        Case{"linear_bn_relu", "--qat --sync-bn --update-share 0.5 --update-every 2"}}) {
    prepare(model);
    const test::Outcome one = run(run_of(3, "one.octet", str(flags, " --json")));
    ASSERT_EQ(one.status, 0) << one.err;
    const test::Outcome two = run(run_of(3, "two.octet", str(flags, " --json --nproc 2")));
    ASSERT_EQ(two.status, 0) << two.err;
    const auto alone = nlohmann::json::parse(one.out), together = nlohmann::json::parse(two.out);
    ASSERT_EQ(together.at("epochs").size(), 3u);
    for (size_t i = 0; i < 3; ++i) {
      EXPECT_NEAR(together["epochs"][i]["loss"].get<double>(), alone["epochs"][i]["loss"].get<double>(), 1e-4)
          << model << ' ' << flags << ", epoch " << i;
    }
    const at::Tensor wanted = results_of("one.octet"), got = results_of("two.octet");
    const double apart = (wanted - got).abs().mean().item<double>() / wanted.abs().mean().item<double>();
    EXPECT_LT(apart, 2e-3) << model << ' ' << flags;
  }
}

// Pictures that are changed by chance, in batches of which each process has a part: step by step what one process
// finds, where a sum of floats in another order is all that differs. Other samples, changes or statistics differ by a
// hundredth.
TEST_F(Together, ManyStepLikeOne) {
  std::mt19937 random(5);
  for (const char* name : {"data_batch_1", "data_batch_2", "data_batch_3", "data_batch_4", "data_batch_5"}) {
    std::string bytes;
    for (int record = 0; record < 8; ++record) {
      const int label = static_cast<int>(random() % 10);
      bytes += static_cast<char>(label);
      for (int i = 0; i < 3 * 32 * 32; ++i) bytes += static_cast<char>(25 * label + static_cast<int>(random() % 30));
    }
    std::ofstream(file(std::string(name) + ".bin"), std::ios::binary) << bytes;
  }
  const auto losses_of = [&](int processes) {
    const test::Outcome ran =
        run(str("--threads 1 train resnet8 --data cifar10:", folder_.path(), " --float --epochs 5 --batch-size 16 ",
                "--lr 0.001 --no-eval --json --sync-bn --nproc ", processes, " -o ", file("net.octet")));
    EXPECT_EQ(ran.status, 0) << ran.err;
    return nlohmann::json::parse(ran.out).at("epochs");
  };
  const auto alone = losses_of(1);
  for (const int processes : {2, 4}) {
    const auto together = losses_of(processes);
    ASSERT_EQ(together.size(), 5u);
    for (size_t step = 0; step < 5; ++step) {
      const auto wanted = alone[step].at("loss").get<double>();
      EXPECT_NEAR(together[step].at("loss").get<double>(), wanted, 1e-4 * wanted) << processes << ", step " << step;
    }
  }
}

TEST_F(Together, StatisticsOfPartsAreTheSameOnAll) {
  prepare("linear_bn_relu");
  EXPECT_EQ(run(run_of(2, "two.octet", "--qat --nproc 2")).status, 0);
  const test::Outcome odd = run(run_of(1, "two.octet", "--float --nproc 3"));
  EXPECT_EQ(odd.status, 2);
  EXPECT_EQ(test::lines(odd.err), 1u) << "before any process has begun: " << odd.err;
  EXPECT_NE(odd.err.find("--batch-size: expected a multiple of --nproc 3, got 8"), std::string::npos) << odd.err;
}

// Four processes of an mpirun on one machine, by its variables alone; the fewest parameters go out in one bucket.
TEST_F(Together, AnMpirunsProcessesAreAGroup) {
  prepare("linear_bn_relu");
  const char* program = std::getenv("OCTET_PROGRAM");
  const std::string octet = program != nullptr ? program : "build/octet";
  const int port = 20000 + getpid() % 20000;
  const std::string flags = "--qat --sync-bn --accumulate 2";
  std::string script;
  for (int rank = 3; rank >= 0; --rank) {
    script +=
        str("OMPI_COMM_WORLD_SIZE=4 OMPI_COMM_WORLD_LOCAL_SIZE=4 OMPI_COMM_WORLD_RANK=", rank, " MASTER_PORT=", port,
            " ", octet, " ", run_of(2, "four.octet", flags), " > ", file("out"), " 2>&1", rank > 0 ? " &\n" : "\n");
  }
  std::ofstream(file("mpi.sh")) << script << "status=$?\nwait\nexit $status\n";
  ASSERT_EQ(WEXITSTATUS(std::system(("bash " + file("mpi.sh")).c_str())), 0) << test::slurp(file("out"));
  ASSERT_EQ(run(run_of(2, "one.octet", flags)).status, 0);
  const at::Tensor wanted = results_of("one.octet"), got = results_of("four.octet");
  const double apart = (wanted - got).abs().mean().item<double>() / wanted.abs().mean().item<double>();
  EXPECT_LT(apart, 2e-3);
}

TEST_F(Together, SaysWhatTheEnvironmentLacks) {
  prepare("linear_relu");
  const auto said = [&](const std::string& environment) {
    for (const char* name : {"PMI_SIZE", "PMI_RANK", "MPI_LOCALNRANKS", "MASTER_ADDR"}) unsetenv(name);
    std::stringstream text(environment);
    for (std::string each; text >> each;) setenv(each.substr(0, 8).c_str(), each.substr(9).c_str(), 1);
    const test::Outcome ran = run(run_of(1, "a.octet", "--float"));
    EXPECT_NE(ran.status, 0);
    return ran.err;
  };
  EXPECT_NE(said("PMI_SIZE=2").find("[PMI_RANK] is not set"), std::string::npos);
  EXPECT_NE(said("PMI_SIZE=2 PMI_RANK=2").find("PMI_RANK] value: expected below PMI_SIZE, 2, got 2"),
            std::string::npos);
  EXPECT_NE(said("PMI_SIZE=2 PMI_RANK=0").find("[MASTER_ADDR] is not set; name the machine of rank 0"),
            std::string::npos);
  for (const char* name : {"PMI_SIZE", "PMI_RANK"}) unsetenv(name);
}

// A process that is gone ends the others; the run goes on from what it has saved.
TEST_F(Together, ALostProcessEndsTheOthers) {
  prepare("linear_relu");
  const char* program = std::getenv("OCTET_PROGRAM");
  const std::string octet = program != nullptr ? program : "build/octet";
  const std::string kept = "--qat --nproc 2 --no-eval --save-every 0 --checkpoints " + file("kept");
  const std::string wait =
      str("for i in $(seq 600); do ls ", file("kept"), " 2> /dev/null | grep -qv 00000000 && break; sleep 0.05; done");
  const std::string begun =
      str(octet, " ", run_of(400, "cut.octet", kept), " > ", file("out"), " 2> ", file("err"), " & run=$!; ", wait);
  std::ofstream(file("lost.sh")) << begun << "\nkill -9 $(pgrep -P $run | tail -n 1)\nwait $run\nexit $?\n";
  EXPECT_EQ(WEXITSTATUS(std::system(("bash " + file("lost.sh")).c_str())), 1) << test::slurp(file("err"));
  EXPECT_NE(test::slurp(file("err")).find("was ended by signal 9, and the others with it; --resume"), std::string::npos)
      << test::slurp(file("err"));
  EXPECT_EQ(test::slurp(file("err")).find("third_party"), std::string::npos) << test::slurp(file("err"));
  EXPECT_FALSE(std::filesystem::exists(file("cut.octet")));
  const std::string goes_on =
      str("for i in $(seq 1200); do grep -q 'going on with' ", file("err"), " && break; sleep 0.05; done");
  std::ofstream(file("stop.sh")) << str(octet, " ", run_of(400, "cut.octet", kept + " --resume"), " > ", file("out"),
                                        " 2> ", file("err"), " & run=$!; ", goes_on,
                                        "; kill -TERM $run; wait $run; exit $?\n");
  EXPECT_EQ(WEXITSTATUS(std::system(("bash " + file("stop.sh")).c_str())), 128 + SIGTERM) << test::slurp(file("err"));
  EXPECT_NE(test::slurp(file("err")).find("all processes have stopped; --resume"), std::string::npos);
}

}  // namespace
}  // namespace octet

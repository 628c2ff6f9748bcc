// Training by the program: runs that are stopped and go on.
#include <ATen/Functions.h>

#include <csignal>
#include <filesystem>

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

}  // namespace
}  // namespace octet

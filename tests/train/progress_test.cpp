#include "octet/train/progress.h"

#include <gtest/gtest.h>

#include <sstream>

namespace octet {
namespace {

struct Fixture {
  std::ostringstream out;
  double now = 0;
  Progress::Clock clock() {
    return [this] { return now; };
  }
};

int64_t lines(const std::string& text) { return std::count(text.begin(), text.end(), '\n'); }

TEST(Progress, PlainLinesComeNowAndThenAndAtTheEnd) {
  Fixture f;
  Progress progress("float 1/2", Progress::Mode::kAuto, f.out, f.clock());  // a stream is no terminal
  progress.set_plain_seconds(10);
  for (int64_t step = 1; step <= 50; ++step, f.now += 1) progress.update({step, 100, 0.5, 0.25, 128, 0});
  EXPECT_EQ(f.out.str().find('\r'), std::string::npos);
  EXPECT_EQ(f.out.str().find('\x1b'), std::string::npos);
  EXPECT_EQ(lines(f.out.str()), 4);
  // Ten seconds for ten steps behind the first: 89 more take 89 seconds.
  EXPECT_EQ(f.out.str().substr(0, f.out.str().find('\n')),
            "float 1/2  step 11/100  loss 0.5000  top-1 0.2500  128 images/s  left 1:29");
  progress.update({100, 100, 0.125, 0.75, 128, 0});
  progress.finish();
  std::string text = f.out.str();
  EXPECT_NE(text.find("step 100/100  loss 0.1250  top-1 0.7500  128 images/s  took 0:50\n"), std::string::npos) << text;
}

TEST(Progress, LiveLineIsRewrittenAtMostTenTimesASecond) {
  Fixture f;
  {
    Progress progress("train", Progress::Mode::kLive, f.out, f.clock());
    for (int64_t step = 1; step <= 1000; ++step, f.now += 0.001) progress.update({step, 1000, 1, 0, 1, 0});
    std::string text = f.out.str();
    EXPECT_EQ(lines(text), 0);
    int64_t writes = std::count(text.begin(), text.end(), '\r');
    EXPECT_GE(writes, 9);
    EXPECT_LE(writes, 11);
    progress.message("epoch 1 done");
    EXPECT_NE(f.out.str().find("\r\x1b[Kepoch 1 done\n"), std::string::npos);
    progress.update({1000, 1000, 1, 0, 1, 0});
  }
  EXPECT_EQ(f.out.str().back(), '\n');  // nothing is left standing
}

TEST(Progress, QuietSaysNothing) {
  Fixture f;
  Progress progress("train", Progress::Mode::kQuiet, f.out, f.clock());
  progress.update({1, 1, 1, 1, 1, 0});
  progress.message("text");
  progress.finish();
  EXPECT_EQ(f.out.str(), "");
}

TEST(Progress, WritesDurations) {
  EXPECT_EQ(duration_text(0), "0:00");
  EXPECT_EQ(duration_text(84.4), "1:24");
  EXPECT_EQ(duration_text(3600 * 2 + 309), "2:05:09");
}

}  // namespace
}  // namespace octet

#include "octet/train/progress.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <iostream>

#include "octet/support/error.h"
#include "octet/support/log.h"
#include "octet/train/clock.h"

namespace octet {
namespace {

constexpr double kLiveSeconds = 0.1;

Progress::Mode mode_of_stderr(Progress::Mode mode) {
  if (mode != Progress::Mode::kAuto) return mode;
  if (log::level() == log::Level::kQuiet) return Progress::Mode::kQuiet;
  const char* term = std::getenv("TERM");
  bool dumb = term == nullptr || *term == '\0' || std::strcmp(term, "dumb") == 0;
  return isatty(STDERR_FILENO) == 1 && !dumb ? Progress::Mode::kLive : Progress::Mode::kPlain;
}

size_t columns_of_stderr() {
  winsize size{};
  return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 ? size.ws_col : 0;
}

}  // namespace

std::string duration_text(double seconds) {
  const auto whole = static_cast<int64_t>(std::lround(std::max(0.0, seconds)));
  char text[32];
  if (whole >= 3600) {
    std::snprintf(text, sizeof text, "%d:%02d:%02d", static_cast<int>(whole / 3600), static_cast<int>(whole / 60 % 60),
                  static_cast<int>(whole % 60));
  } else {
    std::snprintf(text, sizeof text, "%d:%02d", static_cast<int>(whole / 60), static_cast<int>(whole % 60));
  }
  return text;
}

Progress::Progress(std::string title, Mode mode)
    : title_(std::move(title)),
      mode_(mode_of_stderr(mode)),
      out_(&std::cerr),
      clock_(now),
      columns_(columns_of_stderr()) {}

Progress::Progress(std::string title, Mode mode, std::ostream& out, Clock clock)
    : title_(std::move(title)),
      mode_(mode == Mode::kAuto ? Mode::kPlain : mode),
      out_(&out),
      clock_(std::move(clock)) {}

Progress::~Progress() {
  if (standing_) *out_ << '\n' << std::flush;
}

void Progress::update(const ProgressState& state) {
  if (mode_ == Mode::kQuiet) return;
  const double now = clock_();
  if (start_ < 0) {
    start_ = now;
    printed_ = mode_ == Mode::kLive ? -1 : now;
  }
  state_ = state;
  const double pause = mode_ == Mode::kLive ? kLiveSeconds : plain_seconds_;
  if (printed_ < 0 || now - printed_ >= pause) print(now);
}

void Progress::print(double now) {
  std::string text = line(now);
  if (mode_ == Mode::kLive) {
    if (columns_ > 1 && text.size() > columns_ - 1) text.resize(columns_ - 1);
    *out_ << '\r' << text << "\x1b[K" << std::flush;
    standing_ = true;
  } else {
    *out_ << text << '\n' << std::flush;
  }
  printed_ = now;
  printed_step_ = state_.step;
}

void Progress::finish() {
  if (mode_ == Mode::kQuiet || start_ < 0) return;
  if (mode_ == Mode::kLive || printed_step_ != state_.step) print(clock_());
  if (standing_) *out_ << '\n' << std::flush;
  standing_ = false;
  start_ = printed_ = -1;
  printed_step_ = -1;
}

void Progress::message(const std::string& text) {
  if (mode_ == Mode::kQuiet) return;
  if (standing_) *out_ << "\r\x1b[K";
  *out_ << text << '\n' << std::flush;
  standing_ = false;
  if (mode_ == Mode::kLive) printed_ = -1;
}

std::string Progress::line(double now) const {
  const auto number = [](const char* format, double value) {
    char text[64];
    std::snprintf(text, sizeof text, format, value);
    return std::string(text);
  };
  std::string result = str(title_, "  step ", state_.step, "/", state_.total, number("  loss %.4f", state_.loss));
  if (!state_.score_title.empty()) result += "  " + state_.score_title + number(" %.4f", state_.score);
  result += number("  %.0f images/s", state_.images_per_second);
  const int64_t done = state_.step - state_.skipped;
  if (state_.step >= state_.total) {
    result += "  took " + duration_text(now - start_);
  } else if (done > 1) {
    // The clock starts with the first step's end.
    const double per_step = (now - start_) / static_cast<double>(done - 1);
    result += "  left " + duration_text(per_step * static_cast<double>(state_.total - state_.step));
  }
  return result;
}

}  // namespace octet

#pragma once

#include <cstdint>
#include <functional>
#include <iosfwd>
#include <string>

#include "octet/support/api.h"

namespace octet {

/// What a progress line says.
struct ProgressState {
  int64_t step = 0;
  int64_t total = 0;
  double loss = 0;
  double score = 0;
  double images_per_second = 0;
  /// Steps of `total` that took no part in the time so far (a resumed run).
  int64_t skipped = 0;
  /// What `score` is; empty: left out.
  std::string score_title = "top-1";
};

/// How long is left, on one line: rewritten in place on a terminal, else a plain line now and then and at the end, so
/// that a log stays readable:
///
///     float 2/4  step 620/1872  loss 0.3412  top-1 0.8754  1893 images/s  left 1:24
class OCTET_API Progress {
 public:
  enum class Mode { kAuto, kLive, kPlain, kQuiet };
  using Clock = std::function<double()>;  ///< seconds, rising

  /// On stderr; kAuto is live on a terminal (and TERM not "dumb"), plain elsewhere, and quiet where OCTET_LOG is quiet.
  explicit Progress(std::string title, Mode mode = Mode::kAuto);
  /// For tests: any stream, any clock. kAuto is plain here.
  Progress(std::string title, Mode mode, std::ostream& out, Clock clock);
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  /// New words in front, for example the epoch.
  void set_title(std::string title) { title_ = std::move(title); }
  /// Cheap: prints at most ten times a second live, every `plain_seconds` plain.
  void update(const ProgressState& state);
  /// Prints the last state (plain) or leaves the line standing (live). Further updates begin a new line.
  void finish();
  /// A line of its own that stays, above the live line.
  void message(const std::string& text);

  void set_plain_seconds(double seconds) { plain_seconds_ = seconds; }

 private:
  std::string line(double now) const;
  void print(double now);

  std::string title_;
  Mode mode_;
  std::ostream* out_;
  Clock clock_;
  size_t columns_ = 0;  // 0: unlimited
  double plain_seconds_ = 10;
  double start_ = -1;
  double printed_ = -1;
  int64_t printed_step_ = -1;
  bool standing_ = false;  // a live line without its end
  ProgressState state_;
};

/// "1:24", "2:05:09".
OCTET_API std::string duration_text(double seconds);

}  // namespace octet

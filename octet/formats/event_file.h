#pragma once

#include <cstdint>
#include <cstdio>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "octet/support/api.h"

namespace octet {

/// CRC-32C (Castagnoli's polynomial, reflected, as of iSCSI): of "123456789" it is 0xE3069283.
OCTET_API uint32_t crc32c(std::string_view bytes);

/// How many values lie up to each limit and above the one before it.
struct EventHistogram {
  double least = 0, greatest = 0;
  double sum = 0, sum_of_squares = 0;
  std::vector<double> limits;  ///< rising
  std::vector<double> counts;  ///< as many
};

/// What is told of a step, by its tag: "train/loss".
using EventValues = std::vector<std::pair<std::string, std::variant<double, EventHistogram>>>;

/// A file of events as TensorBoard reads them: records of TFRecord's framing (length, its masked CRC-32C, bytes, their
/// masked CRC-32C; tensorflow/core/lib/io/record_writer.h), each a protobuf Event (tensorflow/core/util/event.proto).
/// What has been written is the system's at once: a killed process leaves it, and at most one record that is not whole,
/// which readers leave out.
class OCTET_API EventFile {
 public:
  /// A new file in the folder, which is made where it is missing; by its name it comes behind those that are there.
  /// Throws octet::Error with the system's reason where it can't be written.
  explicit EventFile(const std::string& folder);

  /// What was told before of `step` and later ones does not count: TensorBoard drops it.
  void begin_session(int64_t step);
  /// Throws octet::Error where the disk is full.
  void write(int64_t step, const EventValues& values);

  const std::string& path() const { return path_; }

 private:
  void append(const std::string& event);

  struct Close {
    void operator()(std::FILE* file) const { std::fclose(file); }
  };
  std::string path_;
  std::unique_ptr<std::FILE, Close> file_;
};

}  // namespace octet

#include "octet/cli/common.h"

#include <ATen/Parallel.h>
#include <ATen/core/Generator.h>

#include <sstream>

#include "octet/formats/model_file.h"
#include "octet/graph/stats.h"
#include "octet/support/error.h"
#include "octet/support/log.h"

namespace octet::cli {
namespace {

struct Globals {
  int threads = 0;
  uint64_t seed = 0;
  CLI::Option* seed_option = nullptr;
  bool quiet = false;
};

Globals& globals() {
  static Globals values;
  return values;
}

}  // namespace

std::vector<int64_t> parse_sizes(const std::string& text) {
  std::vector<int64_t> sizes;
  std::stringstream stream(text);
  for (std::string part; std::getline(stream, part, ',');) {
    try {
      size_t read = 0;
      sizes.push_back(std::stoll(part, &read));
      if (read != part.size() || sizes.back() < 1) throw std::invalid_argument(part);
    } catch (const std::exception&) {
      throw expected("--input-size", "sizes", "positive numbers such as 1,3,224,224", "'" + text + "'");
    }
  }
  return sizes;
}

void add_global_options(CLI::App& program) {
  Globals& values = globals();
  program.add_option("--threads", values.threads, "Threads (default: all cores)")->check(CLI::PositiveNumber);
  values.seed_option = program.add_option("--seed", values.seed, "Seed of everything random")->capture_default_str();
  program.add_flag("--quiet", values.quiet, "Print results and warnings only");
}

void apply_global_options() {
  const Globals& values = globals();
  if (values.threads > 0) at::set_num_threads(values.threads);
  if (values.quiet) log::set_level(log::Level::kWarning);
  at::manual_seed(values.seed);
}

uint64_t seed() { return globals().seed; }

uint64_t seed_or(uint64_t other) {
  Globals& values = globals();
  if (values.seed_option != nullptr && values.seed_option->count() > 0) return values.seed;
  values.seed = other;
  at::manual_seed(other);
  return other;
}

void add_input_size(CLI::App& verb, std::vector<std::string>& input_sizes) {
  verb.add_option("--input-size", input_sizes,
                  "Sizes of an input, 1,3,224,224; one each, for TorchScript files, which do not hold them");
}

std::shared_ptr<GraphModule> open_model(const std::string& path, const std::vector<std::string>& input_sizes) {
  ModelFileOptions options;
  for (const std::string& text : input_sizes) options.input_sizes.push_back(parse_sizes(text));
  return load_model(path, options);
}

int64_t model_bytes(const GraphModule& module) {
  const ModelStats stats = model_stats(module);
  return stats.parameter_bytes + stats.buffer_bytes;
}

std::string fixed(double value, int digits) {
  std::ostringstream out;
  out.setf(std::ios::fixed);
  out.precision(digits);
  out << value;
  return out.str();
}

std::string bytes_text(int64_t bytes) {
  const char* units[] = {"B", "KB", "MB", "GB"};
  double value = static_cast<double>(bytes);
  size_t unit = 0;
  while (value >= 1000.0 && unit < 3) {
    value /= 1000.0;
    ++unit;
  }
  return fixed(value, unit == 0 ? 0 : 1) + " " + units[unit];
}

}  // namespace octet::cli

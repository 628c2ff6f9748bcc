#include <glob.h>

#include <charconv>
#include <filesystem>

#include "octet/formats/npy.h"
#include "octet/support/error.h"
#include "octet/support/log.h"
#include "octet/train/data_readers.h"

namespace octet::readers {
namespace {

/// `PREFIX_I_J.npy`
struct NumberedFile {
  std::string prefix;
  int64_t sample = 0;
  int64_t input = 0;
  std::string path;
};

std::vector<std::string> matches(const std::string& name, const std::string& pattern) {
  glob_t found{};
  int code = ::glob(pattern.c_str(), 0, nullptr, &found);
  std::vector<std::string> paths;
  for (size_t i = 0; code == 0 && i < found.gl_pathc; ++i) {
    std::string path = found.gl_pathv[i];
    if (std::filesystem::path(path).filename() != "labels.npy") paths.push_back(path);
  }
  globfree(&found);
  if (paths.empty()) throw Error(name, "no file matches the pattern");
  return paths;
}

/// The number behind the last underscore, which is cut off with it.
std::optional<int64_t> take_number(std::string& stem) {
  size_t at = stem.rfind('_');
  if (at == std::string::npos || at + 1 == stem.size()) return std::nullopt;
  int64_t number = 0;
  const char* end = stem.data() + stem.size();
  auto [stop, error] = std::from_chars(stem.data() + at + 1, end, number);
  if (error != std::errc() || stop != end || number < 0) return std::nullopt;
  stem.resize(at);
  return number;
}

std::optional<NumberedFile> numbered(const std::string& path) {
  NumberedFile file;
  file.path = path;
  file.prefix = std::filesystem::path(path).replace_extension().string();
  auto input = take_number(file.prefix);
  auto sample = input ? take_number(file.prefix) : std::nullopt;
  if (!sample) return std::nullopt;
  file.sample = *sample;
  file.input = *input;
  return file;
}

/// Files per input, in the order of the samples.
std::vector<std::vector<std::string>> arrange(const std::string& name, const std::vector<std::string>& paths) {
  std::vector<NumberedFile> files;
  for (const std::string& path : paths) {
    auto file = numbered(path);
    if (!file) return {paths};
    files.push_back(*file);
  }
  auto key = [](const NumberedFile& f) { return std::tie(f.prefix, f.sample, f.input); };
  std::sort(files.begin(), files.end(), [&](const auto& a, const auto& b) { return key(a) < key(b); });
  size_t inputs = 0;
  while (inputs < files.size() && files[inputs].prefix == files[0].prefix && files[inputs].sample == files[0].sample) {
    ++inputs;
  }
  std::vector<std::vector<std::string>> columns(inputs);
  for (size_t i = 0; i < files.size(); ++i) {
    const NumberedFile& first = files[i - i % inputs];
    const NumberedFile& file = files[i];
    if (file.input != static_cast<int64_t>(i % inputs) || file.sample != first.sample || file.prefix != first.prefix) {
      throw Error(name, str("'", file.path, "' is out of place: every sample needs inputs 0 to ", inputs - 1));
    }
    columns[i % inputs].push_back(file.path);
  }
  if (files.size() % inputs != 0) throw Error(name, str("the last sample lacks inputs: every one needs ", inputs));
  return columns;
}

void check_numbers(const std::string& path, const at::Tensor& array) {
  if (!array.is_floating_point()) return;
  const at::Tensor nan = at::isnan(array);
  if (nan.any().item<bool>()) {
    const at::Tensor first = at::nonzero(nan)[0];
    std::vector<int64_t> place(first.const_data_ptr<int64_t>(), first.const_data_ptr<int64_t>() + first.numel());
    throw Error(path,
                octet::str(nan.sum().item<int64_t>(), " of ", array.numel(), " numbers are NaN, the first in sample ",
                           place.front(), " at [", join(", ", place), "]"))
        .hint("mend the data, or leave the file out");
  }
  const int64_t infinite = at::isinf(array).sum().item<int64_t>();
  if (infinite > 0) {
    log::warn(path, ": ", infinite, " of ", array.numel(), " numbers are infinite; they are left out of every range");
  }
}

at::Tensor read_input(const std::string& path) {
  at::Tensor array = read_npy(path);
  if (array.dim() == 0) throw Error(path, "a single number holds no samples");
  check_numbers(path, array);
  return array.scalar_type() == at::kDouble ? array.to(at::kFloat) : array;
}

at::Tensor read_labels(const std::string& beside, int64_t count) {
  std::filesystem::path path = std::filesystem::path(beside).replace_filename("labels.npy");
  if (!std::filesystem::exists(path)) return {};
  at::Tensor labels = read_npy(path.string());
  if (!at::isIntegralType(labels.scalar_type(), /*includeBool=*/false)) {
    throw expected(path.string(), "labels", "integers", octet::str(labels.scalar_type()));
  }
  labels = labels.to(at::kLong).flatten();
  if (labels.size(0) != count) throw expected(path.string(), "labels", str(count), str(labels.size(0)));
  return labels;
}

}  // namespace

std::shared_ptr<DataSource> npy(const std::string& name, const std::string& pattern) {
  std::vector<std::vector<std::string>> columns = arrange(name, matches(name, pattern));
  std::vector<at::Tensor> inputs;
  std::vector<int64_t> rows;  // a file
  for (const auto& column : columns) {
    std::vector<at::Tensor> arrays;
    for (size_t i = 0; i < column.size(); ++i) {
      at::Tensor array = read_input(column[i]);
      if (i > 0 && (array.sizes().slice(1) != arrays[0].sizes().slice(1) || array.dtype() != arrays[0].dtype())) {
        throw expected(column[i], str("an array like '", column[0], "'"),
                       octet::str(arrays[0].scalar_type(), arrays[0].sizes()),
                       octet::str(array.scalar_type(), array.sizes()));
      }
      if (inputs.empty()) {
        rows.push_back(array.size(0));
      } else if (array.size(0) != rows[i]) {
        throw expected(column[i], "samples, as in input 0", str(rows[i]), str(array.size(0)));
      }
      arrays.push_back(array);
    }
    inputs.push_back(arrays.size() == 1 ? arrays[0] : at::cat(arrays));
  }
  bool uniform = std::all_of(rows.begin(), rows.end(), [&](int64_t r) { return r == rows[0]; });
  at::Tensor labels = read_labels(columns[0][0], inputs[0].size(0));
  return tensor_source(name, inputs, labels, /*num_classes=*/0, uniform ? rows[0] : 0);
}

}  // namespace octet::readers

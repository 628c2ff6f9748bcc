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

// Numbers that are none would make every range meaningless; infinite ones are left out of ranges.
void check_numbers(const std::string& path, const at::Tensor& array) {
  if (!array.is_floating_point()) return;
  const at::Tensor nan = at::isnan(array);
  if (nan.any().item<bool>()) {
    const at::Tensor first = at::nonzero(nan)[0];
    std::vector<int64_t> place(first.const_data_ptr<int64_t>(), first.const_data_ptr<int64_t>() + first.numel());
    throw Error(path, octet::str(nan.sum().item<int64_t>(), " of ", array.numel(), " numbers are NaN, the first ",
                                 place.empty() ? "" : octet::str("in sample ", place.front(), " "), "at [",
                                 join(", ", place), "]"))
        .hint("mend the data, or leave the file out");
  }
  const int64_t infinite = at::isinf(array).sum().item<int64_t>();
  if (infinite > 0) {
    log::warn(path, ": ", infinite, " of ", array.numel(), " numbers are infinite; they are left out of every range");
  }
}

// Integers, one a sample: int64 labels [count]. Other arrays of `count` samples: float32 targets.
at::Tensor read_targets(const std::string& beside, int64_t count) {
  std::filesystem::path path = std::filesystem::path(beside).replace_filename("labels.npy");
  if (!std::filesystem::exists(path)) return {};
  at::Tensor labels = read_npy(path.string());
  const bool is_floating = at::isFloatingType(labels.scalar_type());
  if (!is_floating && !at::isIntegralType(labels.scalar_type(), /*includeBool=*/true)) {
    throw expected(path.string(), "labels", "integers or floating numbers", octet::str(labels.scalar_type()));
  }
  if (is_floating || (labels.dim() > 1 && labels.size(0) == count && labels.numel() != count)) {
    check_numbers(path.string(), labels);
    labels = labels.to(at::kFloat);
    if (labels.dim() == 0 || labels.size(0) != count) {
      throw expected(path.string(), "samples", str(count), octet::str(labels.sizes()));
    }
    return labels;
  }
  labels = labels.to(at::kLong).flatten();
  if (labels.size(0) != count) throw expected(path.string(), "labels", str(count), str(labels.size(0)));
  return labels;
}

// Files of one input hold the same but for the number of samples.
void check_alike(const std::vector<std::string>& paths, const std::vector<at::Tensor>& arrays) {
  const at::Tensor& first = arrays[0];
  const auto sample = [](const at::Tensor& array) { return array.sizes().slice(array.dim() == 0 ? 0 : 1); };
  for (size_t i = 1; i < arrays.size(); ++i) {
    if (arrays[i].dim() == first.dim() && sample(arrays[i]) == sample(first) && arrays[i].dtype() == first.dtype()) {
      continue;
    }
    throw expected(paths[i], str("an array like '", paths[0], "'"), octet::str(first.scalar_type(), first.sizes()),
                   octet::str(arrays[i].scalar_type(), arrays[i].sizes()));
  }
}

// True where dimension 0 counts samples in every input.
bool is_batched(const std::vector<std::vector<at::Tensor>>& arrays) {
  for (const auto& parts : arrays) {
    for (size_t i = 0; i < parts.size(); ++i) {
      if (parts[i].dim() == 0 || arrays[0][i].dim() == 0 || parts[i].size(0) != arrays[0][i].size(0)) return false;
    }
  }
  return true;
}

// One set of inputs a sample. Throws octet::Error naming the file that has other sizes than the first.
std::vector<std::vector<at::Tensor>> by_sample(const std::vector<std::vector<std::string>>& columns,
                                               const std::vector<std::vector<at::Tensor>>& arrays) {
  std::vector<std::vector<at::Tensor>> sets(arrays[0].size());
  for (size_t j = 0; j < arrays.size(); ++j) {
    for (size_t i = 0; i < arrays[j].size(); ++i) {
      if (arrays[j][i].sizes() != arrays[j][0].sizes()) {
        throw expected(columns[j][i], str("sizes, as in '", columns[j][0], "'"), octet::str(arrays[j][0].sizes()),
                       octet::str(arrays[j][i].sizes()));
      }
      sets[i].push_back(arrays[j][i]);
    }
  }
  return sets;
}

}  // namespace

std::shared_ptr<DataSource> npy(const std::string& name, const std::string& pattern) {
  std::vector<std::vector<std::string>> columns = arrange(name, matches(name, pattern));
  std::vector<std::vector<at::Tensor>> arrays;  // of each input
  for (const auto& column : columns) {
    arrays.emplace_back();
    for (const std::string& path : column) {
      at::Tensor array = read_npy_input(path);
      check_numbers(path, array);
      if (array.dim() == 0 && columns.size() == 1) throw Error(path, "a single number holds no samples");
      arrays.back().push_back(std::move(array));
    }
    check_alike(column, arrays.back());
  }
  if (!is_batched(arrays))
    return set_source(name, by_sample(columns, arrays),
                      read_targets(columns[0][0], static_cast<int64_t>(columns[0].size())));
  std::vector<at::Tensor> inputs;
  inputs.reserve(arrays.size());
  for (const auto& parts : arrays) inputs.push_back(parts.size() == 1 ? parts[0] : at::cat(parts));
  const std::vector<at::Tensor>& first = arrays[0];
  const bool uniform =
      std::all_of(first.begin(), first.end(), [&](const at::Tensor& part) { return part.size(0) == first[0].size(0); });
  at::Tensor labels = read_targets(columns[0][0], inputs[0].size(0));
  return tensor_source(name, inputs, labels, /*num_classes=*/0, uniform ? first[0].size(0) : 0);
}

}  // namespace octet::readers

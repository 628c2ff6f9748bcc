#include <ATen/core/grad_mode.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <random>
#include <string>
#include <vector>

#include "fuzz/fuzz.h"
#include "fuzz/small_memory.h"
#include "octet/formats/allowed_operators.h"
#include "octet/formats/torchscript.h"

// TorchScript: the mutator changes the code, word by word and line by line, and the archive is put together anew; what
// loads is run and recorded.

namespace {

using octet::fuzz::Members;

// A word, a number, or a character of a text.
std::vector<std::string> words_of(std::string_view text) {
  std::vector<std::string> words;
  for (size_t at = 0; at < text.size();) {
    const auto is_word = [&](size_t i) {
      return i < text.size() && (std::isalnum(static_cast<unsigned char>(text[i])) || text[i] == '_' || text[i] == '.');
    };
    size_t end = at + 1;
    if (is_word(at)) {
      while (is_word(end)) ++end;
    }
    words.emplace_back(text.substr(at, end - at));
    at = end;
  }
  return words;
}

class Mutator {
 public:
  explicit Mutator(unsigned seed) : random_(seed) {}

  std::string change(std::string_view code) {
    std::vector<std::string> words = words_of(code);
    for (size_t edits = 1 + below(4); edits > 0 && !words.empty(); --edits) change(words);
    std::string text;
    for (const std::string& word : words) text += word;
    return text;
  }

 private:
  size_t below(size_t count) { return count == 0 ? 0 : random_() % count; }

  void change(std::vector<std::string>& words) {
    const size_t at = below(words.size());
    switch (below(7)) {
      case 0: {  // a line again, or not at all
        const auto [begin, end] = line_at(words, at);
        const std::vector<std::string> line(words.begin() + begin, words.begin() + end);
        if (below(2) == 0) {
          words.erase(words.begin() + begin, words.begin() + end);
        } else {
          words.insert(words.begin() + end, line.begin(), line.end());
        }
        break;
      }
      case 1:
        words[at] = words[below(words.size())];
        break;
      case 2: {
        static const std::vector<std::string> operators = [] {
          std::vector<std::string> names;
          for (const std::string& name : octet::allowed_operator_names()) {
            const size_t first = name.find('.') + 1;
            if (name.rfind("aten.", 0) == 0) names.push_back("torch." + name.substr(first, name.rfind('.') - first));
          }
          std::sort(names.begin(), names.end());
          return names;
        }();
        for (size_t i = at; i < words.size(); ++i) {
          if (words[i].rfind("torch.", 0) != 0 || operators.empty()) continue;
          words[i] = operators[below(operators.size())];
          break;
        }
        break;
      }
      case 3:
        for (size_t i = at; i < words.size(); ++i) {
          if (!std::isdigit(static_cast<unsigned char>(words[i][0]))) continue;
          constexpr const char* kNumbers[] = {"0",   "1",   "2", "3", "7", "-1", "1048576", "9223372036854775807",
                                              "0.5", "1e30"};
          words[i] = kNumbers[below(std::size(kNumbers))];
          break;
        }
        break;
      case 4: {
        constexpr const char* kPieces[] = {"None",         "True",
                                           "[]",           "[1, 2]",
                                           "self",         "x",
                                           ", x",          ", 1",
                                           "(x)",          "\n  while True:\n    x = x\n",
                                           "inf",          "nan",
                                           "\n",           "annotate(List[int], [])",
                                           "CONSTANTS.c0", "if x:\n  pass\nelse:\n  pass\n",
                                           "torch.",       "ops.prim.",
                                           "ops.aten."};
        words.insert(words.begin() + static_cast<ptrdiff_t>(at), kPieces[below(std::size(kPieces))]);
        break;
      }
      case 5:
        words.erase(words.begin() + static_cast<ptrdiff_t>(at));
        break;
      default:
        std::swap(words[at], words[below(words.size())]);
    }
  }
  static std::pair<ptrdiff_t, ptrdiff_t> line_at(const std::vector<std::string>& words, size_t at) {
    size_t begin = at;
    while (begin > 0 && words[begin - 1] != "\n") --begin;
    size_t end = at;
    while (end < words.size() && words[end] != "\n") ++end;
    return {static_cast<ptrdiff_t>(begin), static_cast<ptrdiff_t>(std::min(end + 1, words.size()))};
  }

  std::minstd_rand random_;
};

}  // namespace

extern "C" int LLVMFuzzerInitialize(int*, char***) {
  octet::fuzz::SmallMemory::install();
  return 0;
}

extern "C" size_t LLVMFuzzerMutate(uint8_t* data, size_t size, size_t max_size);

extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t max_size, unsigned seed) {
  if (seed % 16 == 0) return LLVMFuzzerMutate(data, size, max_size);
  Mutator mutator(seed);
  const Members members = octet::fuzz::members_of(octet::fuzz::view(data, size));
  std::vector<size_t> code;
  for (size_t i = 0; i < members.size(); ++i) {
    if (members[i].first.ends_with(".py")) code.push_back(i);
  }
  if (code.empty()) return LLVMFuzzerMutate(data, size, max_size);
  const size_t chosen = code[seed / 16 % code.size()];
  std::string text;
  for (size_t i = 0; i < members.size(); ++i) {
    const auto& [name, bytes] = members[i];
    text += (text.empty() ? "" : "\n@@@\n") + name + "\n";
    text += i == chosen ? mutator.change(bytes) : std::string(bytes);
  }
  if (text.size() > max_size) return LLVMFuzzerMutate(data, size, max_size);
  std::copy(text.begin(), text.end(), data);
  return text.size();
}

// The reader takes a path. The seeds take an image.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const int kFile = memfd_create("input", MFD_CLOEXEC);
  static const std::string kPath = "/proc/self/fd/" + std::to_string(kFile);
  const auto source = octet::fuzz::archive_of(octet::fuzz::view(data, size));
  const std::string bytes = source->read(0, source->size());
  if (ftruncate(kFile, 0) != 0 || pwrite(kFile, bytes.data(), bytes.size(), 0) != static_cast<ssize_t>(bytes.size())) {
    return -1;
  }
  return octet::fuzz::only_errors([&] {
    const at::NoGradGuard no_grad;
    const auto module = octet::load_torchscript_of_sizes(kPath, {{1, 3, 8, 8}});
    octet::fuzz::run(*module);
  });
}

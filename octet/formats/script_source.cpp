#include "octet/formats/script_source.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <optional>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "octet/formats/script_graph.h"
#include "octet/support/error.h"

namespace octet {
namespace {

// Files nest 4 brackets and 20 blocks; libtorch's parser overflows its stack at some 10,000.
constexpr size_t kDeepestText = 100;
constexpr size_t kMostIndent = 4 * kDeepestText;
constexpr size_t kMostLinks = 500;          // of expressions that are open at once
constexpr size_t kDeepestDefinition = 200;  // modules in modules, functions that call functions
constexpr std::string_view kSourceEnding = ".py";
constexpr size_t kMostUnary = 100;  // `- - - x`, `not not x`, `a if b else c if d else ...` on one line
// The compiler adds texts that it knows; a sum of sums doubles with every step.
constexpr int kMostSums = 8;
constexpr size_t kLongestText = 64 << 10;
// Operators of texts and numbers alone, which it would run while it compiles: they grow without end, or act.
constexpr std::array<std::string_view, 12> kRunAtOnce = {"ljust",
                                                         "rjust",
                                                         "center",
                                                         "zfill",
                                                         "expandtabs",
                                                         "replace",
                                                         "_print",
                                                         "manual_seed",
                                                         "seed",
                                                         "percentFormat",
                                                         "_cufft_set_plan_cache_max_size",
                                                         "_cufft_clear_plan_cache"};
// Words behind which brackets are a list.
constexpr std::array<std::string_view, 8> kBeforeValues = {"return", "in", "is", "not", "and", "or", "if", "else"};
// What hands the texts that it is given on.
constexpr std::array<std::string_view, 6> kHandsOn = {"add", "annotate", "unchecked_cast", "str", "getattr", "slice"};

template <typename Names>
bool is_one_of(const Names& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

enum class SourceToken { kName, kNumber, kText, kSign, kLine };

struct SourceWord {
  SourceToken kind = SourceToken::kSign;
  std::string_view text;
};

class SourceScanner {
 public:
  SourceScanner(std::string_view text, const std::string& where) : text_(text), where_(where) {}

  /// False at the end.
  bool next(SourceWord& token) {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\t' || text_[at_] == '\r')) ++at_;
    if (at_ == text_.size()) return false;
    const size_t begin = at_;
    const char c = text_[at_];
    if (c == '\n') {
      ++at_;
      ++line_;
      token = {SourceToken::kLine, text_.substr(begin, 1)};
    } else if (c == '#') {
      while (at_ < text_.size() && text_[at_] != '\n') ++at_;
      return next(token);
    } else if (is_letter(c)) {
      while (at_ < text_.size() && (is_letter(text_[at_]) || is_digit(text_[at_]))) ++at_;
      token = {SourceToken::kName, text_.substr(begin, at_ - begin)};
    } else if (is_digit(c)) {
      number();
      token = {SourceToken::kNumber, text_.substr(begin, at_ - begin)};
    } else if (c == '"' || c == '\'') {
      quoted(c);
      token = {SourceToken::kText, text_.substr(begin + 1, at_ - begin - 2)};
    } else if (std::string_view("()[]{},:=.->").find(c) != std::string_view::npos) {
      ++at_;
      token = {SourceToken::kSign, text_.substr(begin, 1)};
    } else {
      fail(str("holds the character '", c, "', which TorchScript's files are not written with"));
    }
    return true;
  }

  size_t indent() const {
    size_t blanks = 0;
    while (at_ + blanks < text_.size() && text_[at_ + blanks] == ' ') ++blanks;
    return blanks;
  }

  [[noreturn]] void fail(const std::string& what) const { throw Error(where_, str("line ", line_, " ", what)); }

 private:
  static bool is_letter(char c) { return std::isalpha(static_cast<unsigned char>(c)) || c == '_'; }
  static bool is_digit(char c) { return std::isdigit(static_cast<unsigned char>(c)) != 0; }

  // 1, 1., 1.5e-05
  void number() {
    while (at_ < text_.size()) {
      const char c = text_[at_];
      const bool sign = (c == '-' || c == '+') && (text_[at_ - 1] == 'e' || text_[at_ - 1] == 'E');
      if (!is_digit(c) && !is_letter(c) && c != '.' && !sign) return;
      ++at_;
    }
  }

  void quoted(char quote) {
    for (++at_; at_ < text_.size() && text_[at_] != quote; ++at_) {
      if (text_[at_] == '\n') fail("ends inside of a text");
      if (text_[at_] == '\\') ++at_;
    }
    if (at_ >= text_.size()) fail("ends inside of a text");
    ++at_;
  }

  std::string_view text_;
  const std::string& where_;
  size_t at_ = 0;
  size_t line_ = 1;
};

// How many sums deep the constant texts are that a function names. A statement is taken for the worst that it can be.
class TextSums {
 public:
  explicit TextSums(const std::unordered_set<std::string>& constants) : constants_(constants) {}

  void open(std::string_view callee) { opaque_.push_back(!callee.empty() && !is_one_of(kHandsOn, callee)); }
  void close() {
    if (!opaque_.empty()) opaque_.pop_back();
  }
  void text() { see(0); }
  void name(std::string_view name, bool is_attribute, bool is_operator) {
    if (is_operator && name == "add") ++sums_;
    if (is_attribute && constants_.count(std::string(name)) > 0) see(0);
    if (!is_attribute) {
      names_.emplace_back(name);
      if (const auto known = levels_.find(std::string(name)); known != levels_.end()) see(known->second);
    }
  }
  void assign() {
    if (!opaque_.empty()) return;
    targets_ = std::move(names_);
    level_ = -1;
  }
  /// The end of a statement; how many sums deep its texts are.
  int end() {
    const int level = level_ < 0 ? -1 : level_ + sums_;
    for (const std::string& target : targets_) {
      if (level >= 0) levels_[target] = std::max(level, levels_[target]);
    }
    names_.clear();
    targets_.clear();
    level_ = -1;
    sums_ = 0;
    return level;
  }
  void forget() { levels_.clear(); }
  size_t depth() const { return opaque_.size(); }

 private:
  void see(int level) {
    if (std::find(opaque_.begin(), opaque_.end(), true) == opaque_.end()) level_ = std::max(level_, level);
  }

  const std::unordered_set<std::string>& constants_;
  std::unordered_map<std::string, int> levels_;
  std::vector<bool> opaque_;
  std::vector<std::string> names_;
  std::vector<std::string> targets_;
  int level_ = -1;
  int sums_ = 0;
};

class SourceChecker {
 public:
  SourceChecker(std::string_view text, const std::unordered_set<std::string>& constants,
                const AllowedOperators& operators, const std::string& where)
      : scanner_(text, where), operators_(operators), sums_(constants) {}

  void run() {
    while (scanner_.next(token_)) {
      if (token_.kind == SourceToken::kName) {
        name();
      } else if (token_.kind == SourceToken::kText) {
        quoted();
      } else if (token_.kind == SourceToken::kSign) {
        sign();
      } else if (token_.kind == SourceToken::kLine) {
        line();
      }
      index_of_nothing();
      remember();
    }
    line();
    if (awaits_operator()) scanner_.fail(str("ends after '", before_[0], "'"));
  }

 private:
  void line() {
    if (scanner_.indent() > kMostIndent) scanner_.fail("is indented too deep");
    if (sums_.depth() > 0) return;
    links_ = {0};
    open_links_ = 0;
    unary_ = 0;
    gets_attribute_ = false;
    if (sums_.end() > kMostSums) scanner_.fail("adds texts to texts without end");
  }

  void sign() {
    const std::string_view text = token_.text;
    if (text == "(") sums_.open(before_kind_ == SourceToken::kName ? before_[0] : std::string_view());
    if (text == "[" || text == "{") sums_.open({});
    if (text == ")" || text == "]" || text == "}") sums_.close();
    if (text == "=") sums_.assign();
    if (sums_.depth() > kDeepestText) scanner_.fail("is nested too deep");
    if (text == "-") nested_word();
    chain(text);
  }

  // `Optional[]`: libtorch reads an index that is not there.
  void index_of_nothing() {
    if (token_.kind == SourceToken::kLine) return;
    if (indexes_ && token_.text == "]") scanner_.fail("holds an index of nothing");
    indexes_ = ends_value_ && token_.text == "[";
    ends_value_ = token_.kind == SourceToken::kName ? !is_one_of(kBeforeValues, token_.text)
                                                    : token_.text == "]" || token_.text == ")";
  }

  // `x.a.a`, `f()()`, `x[0][0]`: each link is inside the next, and all of those that are open inside one another.
  void chain(std::string_view sign) {
    const bool opens = sign == "(" || sign == "[" || sign == "{";
    if (opens || sign == ".") {
      ++links_.back();
      if (++open_links_ > kMostLinks) scanner_.fail("is nested too deep");
    }
    if (opens) links_.push_back(0);
    if ((sign == ")" || sign == "]" || sign == "}") && links_.size() > 1) {
      open_links_ -= links_.back();
      links_.pop_back();
    }
    if (sign == ",") {
      open_links_ -= links_.back();
      links_.back() = 0;
    }
  }

  void nested_word() {
    if (++unary_ > kMostUnary) scanner_.fail("is nested too deep");
  }

  void quoted() {
    if (token_.text.size() > kLongestText) scanner_.fail("holds a text without end");
    if (gets_attribute_ && is_one_of(kRunAtOnce, token_.text)) refuse_method(token_.text);
    sums_.text();
  }

  bool awaits_operator() const { return (before_[0] == "torch" || before_[0] == "ops") && before_[1] != "."; }

  void name() {
    const std::string text(token_.text);
    const bool is_attribute = before_[0] == ".";
    bool is_operator = false;
    if (is_attribute && before_[1] == "torch" && before_[2] != ".") {
      is_operator = true;
      require("aten", text);
    } else if (is_attribute && before_[2] == "." && before_[3] == "ops" && before_[4] != ".") {
      require(std::string(before_[1]), text);
    } else if (is_attribute && before_[1] == "torch" && text == "classes") {  // __torch__.torch.classes
      scanner_.fail("names a class of C++, which no file may hold");
    } else if (is_attribute && before_[1] != "self" && is_one_of(kRunAtOnce, text)) {
      refuse_method(text);
    } else if (!is_attribute) {
      word(text);
    }
    sums_.name(text, is_attribute, is_operator);
  }

  void word(const std::string& text) {
    if (text == "def") sums_.forget();
    if (text == "getattr") gets_attribute_ = true;
    if (text == "not" || text == "if" || text == "else" || text == "and" || text == "or") nested_word();
    if (text == "elif" || text == "lambda") {
      scanner_.fail(str("holds '", text, "', which TorchScript's files are not written with"));
    }
  }

  [[noreturn]] void refuse_method(std::string_view name) const {
    scanner_.fail(str("calls '", name, "', which no file may hold: the compiler would run it"));
  }

  void require(const std::string& name_space, const std::string& name) const {
    if (script_may_name(name_space, name, operators_)) return;
    const std::string full = str(name_space, '.', name);
    const std::string_view what = reaches_out(full);
    if (!what.empty()) scanner_.fail(str("names the operator '", full, "', which ", what, "; no file may hold it"));
    scanner_.fail(str("names the operator '", full, "', which is not among those that files may hold"));
  }

  // `torch` and `ops` stand for operators; under another name, these could not be seen. Classes have attributes `ops`.
  void remember() {
    if (awaits_operator() && token_.text != "." && token_.text != ":") {
      scanner_.fail(str("takes '", before_[0], "' for a value"));
    }
    const bool is_namespace = before_[1] == "." && before_[2] == "ops" && before_[3] != ".";
    if (is_namespace && token_.text != ".") scanner_.fail(str("takes 'ops.", before_[0], "' for a value"));
    for (size_t i = before_.size() - 1; i > 0; --i) before_[i] = before_[i - 1];
    before_[0] = token_.kind == SourceToken::kText ? std::string_view("\"") : token_.text;
    before_kind_ = token_.kind;
  }

  SourceScanner scanner_;
  const AllowedOperators& operators_;
  TextSums sums_;
  SourceWord token_;
  std::array<std::string_view, 5> before_;
  SourceToken before_kind_ = SourceToken::kLine;
  size_t unary_ = 0;
  std::vector<size_t> links_ = {0};  // since the last comma, of each bracket that is open
  size_t open_links_ = 0;            // of all of them
  bool gets_attribute_ = false;
  bool ends_value_ = false;  // what came last, lines left out
  bool indexes_ = false;     // it opened an index
};

// Which classes and functions name which others: the compiler goes into each as it meets its name.
class Definitions {
 public:
  // `qualifier` is the text's name in the code, "__torch__.torch.nn.modules.conv".
  void add(std::string_view text, const std::string& qualifier, const std::string& where) {
    SourceScanner scanner(text, where);
    bool begins_line = scanner.indent() == 0;
    size_t current = define("");  // what stands outside of definitions is read with whatever comes first
    std::string reference;
    std::string_view before;
    for (SourceWord token; scanner.next(token);) {
      const bool follows = !reference.empty() && (token.text == "." || before == ".");
      if (follows) {
        reference += token.text;
      } else {
        if (!reference.empty()) names_[current].push_back(std::move(reference));
        reference = token.text == "__torch__" && before != "." ? "__torch__" : "";
      }
      if (token.kind == SourceToken::kName && (before == "class" || before == "def") && begins_line) {
        current = define(qualifier + "." + std::string(token.text));
        begins_line = false;
      }
      if (token.kind == SourceToken::kLine) begins_line = scanner.indent() == 0;
      before = token.text;
    }
    if (!reference.empty()) names_[current].push_back(std::move(reference));
  }

  /// Definitions in the longest row of those that name one another.
  size_t depth() const {
    enum State : char { kNew, kOpen, kDone };
    struct Visit {
      size_t at;
      size_t next;
    };
    std::vector<State> states(names_.size(), kNew);
    std::vector<size_t> depths(names_.size(), 1);
    size_t deepest = 0;
    for (size_t start = 0; start < names_.size(); ++start) {
      std::vector<Visit> row;
      if (states[start] == kNew) row.push_back({start, 0});
      while (!row.empty()) {
        const size_t at = row.back().at;
        states[at] = kOpen;
        if (row.back().next < names_[at].size()) {
          const std::optional<size_t> named = find(names_[at][row.back().next++]);
          if (!named || states[*named] == kOpen) continue;
          if (states[*named] == kNew) {
            row.push_back({*named, 0});
          } else {
            depths[at] = std::max(depths[at], depths[*named] + 1);
          }
          continue;
        }
        states[at] = kDone;
        deepest = std::max(deepest, depths[at]);
        row.pop_back();
        if (!row.empty()) depths[row.back().at] = std::max(depths[row.back().at], depths[at] + 1);
      }
    }
    return deepest;
  }

 private:
  size_t define(const std::string& name) {
    const auto [at, fresh] = index_.emplace(name, names_.size());
    if (fresh) names_.emplace_back();
    return at->second;
  }
  // "__torch__.a.Net.forward" names the class.
  std::optional<size_t> find(const std::string& reference) const {
    for (std::string name = reference; !name.empty(); name.resize(name.rfind('.') + 1), name.pop_back()) {
      if (const auto found = index_.find(name); found != index_.end()) return found->second;
      if (name.find('.') == std::string::npos) break;
    }
    return std::nullopt;
  }

  std::unordered_map<std::string, size_t> index_;
  std::vector<std::vector<std::string>> names_;  // by number: what a definition names
};

// The attributes that classes fix as texts: `mode : Final[str] = "zeros"`.
void add_text_constants(std::string_view text, const std::string& where, std::unordered_set<std::string>& constants) {
  SourceScanner scanner(text, where);
  std::array<std::string_view, 4> before;
  for (SourceWord token; scanner.next(token);) {
    if (token.text == "str" && before[0] == "[" && before[1] == "Final" && before[2] == ":") {
      constants.emplace(before[3]);
    }
    for (size_t i = before.size() - 1; i > 0; --i) before[i] = before[i - 1];
    before[0] = token.text;
  }
}

}  // namespace

void check_script_sources(const std::map<std::string, std::string>& sources, const std::string& folder,
                          const AllowedOperators& operators) {
  std::unordered_set<std::string> constants;
  for (const auto& [name, text] : sources) add_text_constants(text, name, constants);
  for (const auto& [name, text] : sources) SourceChecker(text, constants, operators, name).run();
  Definitions definitions;
  for (const auto& [name, text] : sources) {
    std::string qualifier = name.substr(folder.size(), name.size() - folder.size() - kSourceEnding.size());
    std::replace(qualifier.begin(), qualifier.end(), '/', '.');
    definitions.add(text, qualifier, name);
  }
  if (definitions.depth() > kDeepestDefinition) {
    throw Error(folder, str("holds definitions that name one another more than ", kDeepestDefinition, " deep"));
  }
}

}  // namespace octet

#include <algorithm>
#include <map>
#include <string>

#include "octet/targets/engine/passes/passes.h"
#include "octet/targets/engine/passes/rewrite.h"

namespace octet::targets {
namespace {

using Sizes = std::vector<int64_t>;

bool holds(const std::string& letters, char letter) { return letters.find(letter) != std::string::npos; }

// Letters of `of` that `in` holds, or does not.
std::string those(const std::string& of, const std::string& in, bool held) {
  std::string letters;
  for (const char letter : of) {
    if (holds(in, letter) == held) letters += letter;
  }
  return letters;
}

// The first letter that stands twice; 0 where none does.
char repeated(const std::string& letters) {
  for (size_t i = 0; i < letters.size(); ++i) {
    if (letters.find(letters[i], i + 1) != std::string::npos) return letters[i];
  }
  return 0;
}

// A letter for each dimension of each factor and of the result, digits for what dots stand for.
struct Equation {
  std::vector<std::string> factors;
  std::string result;
  std::string summed_last;  // stand in front of the result while it is computed
};

constexpr const char* kDots = "...";
constexpr std::string_view kDigits = "0123456789";

bool is_term(std::string term) {
  if (const size_t dots = term.find(kDots); dots != std::string::npos) term.erase(dots, 3);
  return std::all_of(term.begin(), term.end(), [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); });
}

// With the last `count` of `dots` digits for the dots.
void spell_dots(std::string& term, size_t count, size_t dots) {
  if (const size_t at = term.find(kDots); at != std::string::npos) {
    term.replace(at, 3, kDigits.substr(dots - count, count));
  }
}

// What an equation without arrow gives: what the dots stand for, and each letter that stands once, by the alphabet.
std::string usual_result(const std::vector<std::string>& factors, size_t dots) {
  std::string all;
  for (const std::string& factor : factors) all += factor;
  std::sort(all.begin(), all.end());
  std::string result(kDigits.substr(0, dots));
  for (const char letter : all) {
    if (!holds(std::string(kDigits), letter) && std::count(all.begin(), all.end(), letter) == 1) result += letter;
  }
  return result;
}

// nullopt where it does not fit factors of these ranks.
std::optional<Equation> parse(std::string text, const std::vector<size_t>& ranks) {
  text.erase(std::remove(text.begin(), text.end(), ' '), text.end());
  const size_t arrow = text.find("->");
  std::string terms = text.substr(0, arrow);
  Equation e;
  for (size_t comma = terms.find(','); comma != std::string::npos; comma = terms.find(',')) {
    e.factors.push_back(terms.substr(0, comma));
    terms.erase(0, comma + 1);
  }
  e.factors.push_back(terms);
  if (e.factors.size() != ranks.size() || !std::all_of(e.factors.begin(), e.factors.end(), is_term)) {
    return std::nullopt;
  }
  std::vector<size_t> spelt(ranks.size(), 0);
  for (size_t i = 0; i < ranks.size(); ++i) {
    const size_t letters = e.factors[i].size() - (e.factors[i].find(kDots) == std::string::npos ? 0 : 3);
    if (letters > ranks[i]) return std::nullopt;
    spelt[i] = ranks[i] - letters;
  }
  const size_t dots = *std::max_element(spelt.begin(), spelt.end());
  if (dots > kDigits.size()) return std::nullopt;
  for (size_t i = 0; i < ranks.size(); ++i) {
    spell_dots(e.factors[i], spelt[i], dots);
    if (e.factors[i].size() != ranks[i]) return std::nullopt;
  }
  if (arrow == std::string::npos) {
    e.result = usual_result(e.factors, dots);
  } else {
    e.result = text.substr(arrow + 2);
    if (!is_term(e.result)) return std::nullopt;
    spell_dots(e.result, dots, dots);
  }
  return e;
}

// A value, the letters of its dimensions, and the letter of its samples.
struct Factor {
  Node* x;
  std::string letters;
  char samples;
};

// Letters that the result or a factor from `first` on has.
std::string wanted_behind(const Equation& e, size_t first) {
  std::string letters = e.result;
  for (size_t i = first; i < e.factors.size(); ++i) letters += e.factors[i];
  return letters;
}

std::string wanted_beside(const Equation& e, size_t factor) {
  std::string letters = e.result;
  for (size_t i = 0; i < e.factors.size(); ++i) {
    if (i != factor) letters += e.factors[i];
  }
  return letters;
}

class EinsumWriter {
 public:
  EinsumWriter(Equation equation, const Node& node) : e_(std::move(equation)), node_(node) {
    const std::vector<Arg>& factors = node.arg("tensors").list();
    for (size_t i = 0; i < factors.size(); ++i) {
      const Factor factor{factors[i].node(), e_.factors[i], e_.factors[i].front()};
      for (size_t d = 0; d < factor.letters.size(); ++d) sizes_[factor.letters[d]] = factor.x->sizes()[d];
      factors_.push_back(factor);
    }
  }

  Node* write() {
    for (size_t i = 0; i < factors_.size(); ++i) {
      while (const char letter = repeated(factors_[i].letters)) factors_[i] = diagonal(factors_[i], letter);
      factors_[i] = summed_up(factors_[i], wanted_beside(e_, i));
    }
    Factor product = factors_.front();
    for (size_t i = 1; i < factors_.size(); ++i) product = multiplied(product, factors_[i], wanted_behind(e_, i + 1));
    Node* result = add_permute(product.x, order_of(e_.result, product.letters), node_);
    if (e_.summed_last.empty()) return result;
    return add_call("aten.sum.dim_IntList", {result, order_of(e_.summed_last, e_.result), false}, node_.sizes(), node_);
  }

 private:
  // Its two dimensions become one, of which every (n + 1)-th element is taken.
  Factor diagonal(const Factor& f, char letter) const {
    const std::string others = those(f.letters, std::string(1, letter), false);
    Sizes order = order_of(others, f.letters);
    order.push_back(static_cast<int64_t>(f.letters.find(letter)));
    order.push_back(static_cast<int64_t>(f.letters.rfind(letter)));
    const int64_t n = sizes_.at(letter);
    Sizes sizes = sizes_of(others);
    sizes.push_back(n * n);
    Node* square = add_reshape(add_permute(f.x, order, node_), sizes, 0, node_);
    Node* line = add_slice(square, static_cast<int64_t>(others.size()), 0, n * n, node_, n + 1);
    return {line, others + letter, f.samples};
  }

  // Over the letters that nobody else wants.
  Factor summed_up(const Factor& f, const std::string& wanted) const {
    const std::string alone = those(f.letters, wanted, false);
    if (alone.empty()) return f;
    const std::string kept = those(f.letters, wanted, true);
    Node* sum = add_call("aten.sum.dim_IntList", {f.x, order_of(alone, f.letters), false}, sizes_of(kept), node_);
    return {sum, kept, f.samples};
  }

  // Letters of both that are wanted count matrices, those of one factor rows or columns, those of both that nobody
  // wants any more are summed over.
  Factor multiplied(const Factor& left, const Factor& right, const std::string& wanted) const {
    const std::string both = those(left.letters, right.letters, true);
    const std::string batch = those(both, wanted, true);
    const std::string summed = those(both, wanted, false);
    const std::string rows = those(left.letters, right.letters, false);
    const std::string columns = those(right.letters, left.letters, false);
    const std::string order = batch + rows + columns;
    const Factor& source = is_static(left.x) ? right : left;
    const char samples = holds(order, source.samples) ? source.samples : order.front();
    if (order == batch && summed.empty()) {
      Node* turned = add_permute(right.x, order_of(batch, right.letters), node_);
      return {add_call("aten.mul.Tensor", {left.x, turned}, sizes_of(batch), node_), batch, samples};
    }
    Sizes sizes = sizes_of(batch);
    sizes.push_back(size_of(rows));
    sizes.push_back(size_of(columns));
    Node* first = as_matrices(left, batch, rows, summed);
    Node* second = as_matrices(right, batch, summed, columns);
    Node* product = add_call("aten.matmul.default", {first, second}, sizes, node_);
    return {add_reshape(product, sizes_of(order), order.find(samples), node_), order, samples};
  }

  // [batch..., product of `first`, product of `second`]
  Node* as_matrices(const Factor& f, const std::string& batch, const std::string& first,
                    const std::string& second) const {
    Sizes sizes = sizes_of(batch);
    const size_t matrix = sizes.size();
    sizes.push_back(size_of(first));
    sizes.push_back(size_of(second));
    const size_t open = holds(batch, f.samples) ? batch.find(f.samples) : matrix + (holds(first, f.samples) ? 0 : 1);
    return add_reshape(add_permute(f.x, order_of(batch + first + second, f.letters), node_), sizes, open, node_);
  }

  Sizes sizes_of(const std::string& letters) const {
    Sizes sizes;
    for (const char letter : letters) sizes.push_back(sizes_.at(letter));
    return sizes;
  }

  int64_t size_of(const std::string& letters) const {
    int64_t size = 1;
    for (const char letter : letters) size *= sizes_.at(letter);
    return size;
  }

  // For each letter wanted, the dimension of `have` that it is.
  static Sizes order_of(const std::string& wanted, const std::string& have) {
    Sizes order;
    for (const char letter : wanted) order.push_back(static_cast<int64_t>(have.find(letter)));
    return order;
  }

  Equation e_;
  const Node& node_;
  std::vector<Factor> factors_;
  std::map<char, int64_t> sizes_;
};

bool is_float_value(const Arg& factor) {
  const Node* node = factor.node();
  return node != nullptr && node->meta() && at::isFloatingType(node->meta()->dtype) && node->meta()->numel() > 0;
}

// A letter has one size: no factor is spread over another.
bool has_one_size_a_letter(const Equation& e, const std::vector<Arg>& factors) {
  std::map<char, int64_t> sizes;
  for (size_t i = 0; i < factors.size(); ++i) {
    for (size_t d = 0; d < e.factors[i].size(); ++d) {
      const int64_t size = factors[i].node()->sizes()[d];
      if (sizes.emplace(e.factors[i][d], size).first->second != size) return false;
    }
  }
  return true;
}

// Samples that a factor would sum over alone, and something of what would end as one number, are summed over at the
// end.
void sum_samples_last(Equation& e, const std::vector<Arg>& factors) {
  std::string last;
  for (size_t i = 0; i < factors.size(); ++i) {
    const char samples = e.factors[i].front();
    const bool is_lost = !holds(wanted_beside(e, i), samples) || (i == 0 && e.result.empty());
    if (is_lost && !holds(last, samples) && !is_static(factors[i].node())) last += samples;
  }
  e.summed_last = last;
  e.result = last + e.result;
}

// Samples are neither summed over within their factor nor a diagonal's; every product has a dimension.
bool keeps_samples(const Equation& e, const std::vector<Arg>& factors) {
  std::string product;
  for (size_t i = 0; i < factors.size(); ++i) {
    const std::string& letters = e.factors[i];
    const std::string wanted = wanted_beside(e, i);
    const char samples = letters.front();
    const bool is_kept = holds(wanted, samples) && std::count(letters.begin(), letters.end(), samples) == 1;
    if (!is_kept && !is_static(factors[i].node())) return false;
    if (those(letters, wanted, true).empty()) return false;
    product = those(product + letters, wanted_behind(e, i + 1), true);
    if (product.empty()) return false;
  }
  return true;
}

std::optional<Equation> equation_of(const Node& node) {
  if (!node.is_call("aten.einsum.default") || !node.meta() || !node.arg("equation").is_constant()) return std::nullopt;
  if (!node.arg("tensors").is_list()) return std::nullopt;
  const std::vector<Arg>& factors = node.arg("tensors").list();
  if (factors.empty() || !std::all_of(factors.begin(), factors.end(), is_float_value)) return std::nullopt;
  std::vector<size_t> ranks;
  for (const Arg& factor : factors) ranks.push_back(factor.node()->sizes().size());
  std::optional<Equation> equation = parse(node.arg("equation").to_string(), ranks);
  if (!equation || repeated(equation->result) != 0 || equation->result.size() != node.sizes().size())
    return std::nullopt;
  for (const std::string& factor : equation->factors) {
    if (factor.empty()) return std::nullopt;
  }
  std::string all;
  for (const std::string& factor : equation->factors) all += factor;
  if (!those(equation->result, all, false).empty()) return std::nullopt;
  const bool does_nothing = factors.size() == 1 && equation->factors[0] == equation->result;
  sum_samples_last(*equation, factors);
  if (does_nothing || !has_one_size_a_letter(*equation, factors) || !keeps_samples(*equation, factors)) {
    return std::nullopt;
  }
  return equation;
}

}  // namespace

bool decompose_einsum(GraphModule& module) {
  bool changed = false;
  for (Node* node : calls_where(module.graph(), [](const Node& each) { return equation_of(each).has_value(); })) {
    const auto here = module.graph().inserting_before(node);
    replace_by_parts(node, EinsumWriter(*equation_of(*node), *node).write());
    changed = true;
  }
  return changed;
}

}  // namespace octet::targets

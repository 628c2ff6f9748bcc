#include <algorithm>
#include <string>

#include "octet/targets/engine/passes/passes.h"
#include "octet/targets/engine/passes/rewrite.h"

namespace octet::targets {
namespace {

using Sizes = std::vector<int64_t>;

bool holds(const std::string& letters, char letter) { return letters.find(letter) != std::string::npos; }

bool is_plain_term(const std::string& term) {
  for (size_t i = 0; i < term.size(); ++i) {
    const bool is_letter = (term[i] >= 'a' && term[i] <= 'z') || (term[i] >= 'A' && term[i] <= 'Z');
    if (!is_letter || term.find(term[i], i + 1) != std::string::npos) return false;
  }
  return true;
}

// Letters of `of` that `in` holds, or does not.
std::string those(const std::string& of, const std::string& in, bool held) {
  std::string letters;
  for (const char letter : of) {
    if (holds(in, letter) == held) letters += letter;
  }
  return letters;
}

// An equation of two factors as a product of matrices: letters of both and the result count matrices, those of one
// factor rows or columns, those of both and not of the result are summed over.
struct Equation {
  std::string left, right, result;
  std::string batch, rows, columns, summed;
};

// nullopt for dots, a letter twice in a term, other numbers of factors, and letters that one term alone has.
std::optional<Equation> parse(std::string text) {
  text.erase(std::remove(text.begin(), text.end(), ' '), text.end());
  const size_t comma = text.find(',');
  const size_t arrow = text.find("->");
  if (comma == std::string::npos || arrow == std::string::npos || comma > arrow) return std::nullopt;
  Equation e;
  e.left = text.substr(0, comma);
  e.right = text.substr(comma + 1, arrow - comma - 1);
  e.result = text.substr(arrow + 2);
  if (!is_plain_term(e.left) || !is_plain_term(e.right) || !is_plain_term(e.result)) return std::nullopt;
  const std::string both = those(e.left, e.right, true);
  e.batch = those(both, e.result, true);
  e.summed = those(both, e.result, false);
  e.rows = those(those(e.left, e.right, false), e.result, true);
  e.columns = those(those(e.right, e.left, false), e.result, true);
  const bool every_letter_has_a_place = e.left.size() == e.batch.size() + e.summed.size() + e.rows.size() &&
                                        e.right.size() == e.batch.size() + e.summed.size() + e.columns.size() &&
                                        e.result.size() == e.batch.size() + e.rows.size() + e.columns.size();
  if (!every_letter_has_a_place || e.rows.size() + e.columns.size() + e.summed.size() == 0) return std::nullopt;
  return e;
}

class EinsumWriter {
 public:
  EinsumWriter(Equation equation, Node* node) : e_(std::move(equation)), node_(*node) {
    const std::vector<Arg>& factors = node->arg("tensors").list();
    left_ = factors[0].node();
    right_ = factors[1].node();
    for (size_t i = 0; i < e_.left.size(); ++i) sizes_[e_.left[i]] = left_->sizes()[i];
    for (size_t i = 0; i < e_.right.size(); ++i) sizes_[e_.right[i]] = right_->sizes()[i];
  }

  Node* write() {
    Node* left = as_matrices(left_, e_.left, e_.rows, e_.summed);
    Node* right = as_matrices(right_, e_.right, e_.summed, e_.columns);
    Sizes sizes = sizes_of(e_.batch);
    sizes.push_back(size_of(e_.rows));
    sizes.push_back(size_of(e_.columns));
    Node* product = add_call("aten.matmul.default", {left, right}, sizes, node_);
    const std::string order = e_.batch + e_.rows + e_.columns;
    const std::string& source = is_static(left_) ? e_.right : e_.left;
    Node* unfolded = add_reshape(product, sizes_of(order), place_in(order, source), node_);
    return add_permute(unfolded, order_of(e_.result, order), node_);
  }

 private:
  // [batch..., product of `first`, product of `second`]
  Node* as_matrices(Node* x, const std::string& letters, const std::string& first, const std::string& second) {
    Sizes sizes = sizes_of(e_.batch);
    const size_t matrix = sizes.size();
    sizes.push_back(size_of(first));
    sizes.push_back(size_of(second));
    const char samples = letters.front();
    const size_t open = holds(e_.batch, samples) ? e_.batch.find(samples) : matrix + (holds(first, samples) ? 0 : 1);
    return add_reshape(add_permute(x, order_of(e_.batch + first + second, letters), node_), sizes, open, node_);
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

  // Where in `order` the samples of a term stand, which come first in it.
  static size_t place_in(const std::string& order, const std::string& term) {
    const size_t place = order.find(term.front());
    return place == std::string::npos ? 0 : place;
  }

  // For each letter wanted, the dimension of `have` that it is.
  static Sizes order_of(const std::string& wanted, const std::string& have) {
    Sizes order;
    for (const char letter : wanted) order.push_back(static_cast<int64_t>(have.find(letter)));
    return order;
  }

  Equation e_;
  const Node& node_;
  Node* left_;
  Node* right_;
  std::map<char, int64_t> sizes_;
};

bool is_float_factor(const Arg& factor, size_t rank) {
  const Node* node = factor.node();
  return node != nullptr && node->meta() && at::isFloatingType(node->meta()->dtype) && node->sizes().size() == rank &&
         node->meta()->numel() > 0;
}

std::optional<Equation> equation_of(const Node& node) {
  if (!node.is_call("aten.einsum.default") || !node.meta() || !node.arg("equation").is_constant()) return std::nullopt;
  if (!node.arg("tensors").is_list() || node.arg("tensors").list().size() != 2) return std::nullopt;
  const std::optional<Equation> equation = parse(node.arg("equation").to_string());
  if (!equation || equation->left.empty() || equation->right.empty()) return std::nullopt;
  const std::vector<Arg>& factors = node.arg("tensors").list();
  const bool fits =
      is_float_factor(factors[0], equation->left.size()) && is_float_factor(factors[1], equation->right.size());
  if (!fits) return std::nullopt;
  // A letter of one size alone: the other factor is not spread over it.
  for (size_t i = 0; i < equation->left.size(); ++i) {
    const size_t other = equation->right.find(equation->left[i]);
    if (other != std::string::npos && factors[0].node()->sizes()[i] != factors[1].node()->sizes()[other]) {
      return std::nullopt;
    }
  }
  return equation;
}

}  // namespace

bool decompose_einsum(GraphModule& module) {
  bool changed = false;
  for (Node* node : calls_where(module.graph(), [](const Node& each) { return equation_of(each).has_value(); })) {
    const auto here = module.graph().inserting_before(node);
    replace_by_parts(node, EinsumWriter(*equation_of(*node), node).write());
    changed = true;
  }
  return changed;
}

}  // namespace octet::targets

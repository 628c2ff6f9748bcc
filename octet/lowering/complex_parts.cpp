#include "octet/lowering/complex_parts.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>
#include <optional>
#include <unordered_map>

namespace octet::lowering {
namespace {

// Of a complex value; `imaginary` is null for a real one.
struct Parts {
  Arg real;
  Node* imaginary = nullptr;
};

bool is_one_of(const Node& node, const auto& ops) {
  return std::any_of(ops.begin(), ops.end(), [&](const char* op) { return node.is_call(op); });
}

bool is_complex(const Node& node) { return node.meta() && node.meta()->dtype == at::kComplexFloat; }
bool is_real(const Node& node) { return node.meta() && node.meta()->dtype == at::kFloat; }

// The same elements in other places, by the same arguments whatever they are.
bool moves(const Node& node) {
  constexpr std::array kMoves = {
      "aten.view.default",       "aten.reshape.default", "aten._unsafe_view.default", "aten.unsqueeze.default",
      "aten.squeeze.dim",        "aten.transpose.int",   "aten.permute.default",      "aten.slice.Tensor",
      "aten.select.int",         "aten.expand.default",  "aten.contiguous.default",   "aten.clone.default",
      "aten.flatten.using_ints", "aten.unflatten.int",   "aten.alias.default",        "aten.repeat.default",
      "aten.detach.default",     "aten.squeeze.default", "aten.squeeze.dims"};
  return is_one_of(node, kMoves);
}

// Elements that a transform's matrix may have: a file says sizes, and nothing else holds them.
constexpr int64_t kMostWaves = int64_t{1} << 24;

bool has_few_waves(int64_t n, int64_t frequencies) {
  return n > 0 && frequencies > 0 && frequencies <= kMostWaves / 2 / n;
}

// [2 F, n]: cosines of F frequencies over n places, then what the imaginary parts take.
at::Tensor waves(int64_t n, int64_t frequencies, double factor) {
  const at::Tensor places = at::arange(n, at::kLong), turns = at::arange(frequencies, at::kLong);
  const at::Tensor angles = at::outer(turns, places).remainder(n).to(at::kDouble) * (2 * std::numbers::pi / n);
  return (at::cat({angles.cos(), -angles.sin()}) * factor).to(at::kFloat);
}

class ComplexTaker {
 public:
  ComplexTaker(GraphModule& module, ComplexSources sources) : module_(module), sources_(sources) {}

  bool run() {
    bool changed = false;
    for (Node* node : module_.graph().nodes()) {
      if (node->is_call() && is_real(*node)) changed = take(*node) || changed;
    }
    if (!known_.empty()) module_.graph().eliminate_dead_code();  // halves of what could not be taken apart, too
    return changed;
  }

 private:
  // `node` reads a complex value and gives a real one.
  bool take(Node& node) {
    constexpr std::array kReaders = {"aten.view_as_real.default", "aten.real.default", "aten.imag.default",
                                     "aten.abs.default", "aten.angle.default"};
    Node* z = is_one_of(node, kReaders) ? node.arg(size_t{0}).node() : nullptr;
    if (z == nullptr || !is_complex(*z)) return false;
    const std::optional<Parts> parts = parts_behind(z);
    if (!parts) return false;
    const auto here = module_.graph().inserting_before(&node);
    const std::vector<int64_t>& sizes = z->sizes();
    Node* real = parts->real.node();
    Node* imaginary = parts->imaginary;
    Node* made = nullptr;
    if (node.is_call("aten.view_as_real.default")) {
      std::vector<int64_t> wide = sizes;
      wide.push_back(1);
      const auto last = [&](Node* part) { return call("aten.unsqueeze.default", {part, int64_t{-1}}, wide, node); };
      made = call("aten.cat.default", {std::vector<Arg>{last(real), last(imaginary)}, int64_t{-1}}, node.sizes(), node);
    } else if (node.is_call("aten.abs.default")) {
      return take_length(node, real, imaginary);
    } else if (node.is_call("aten.angle.default")) {
      made = call("aten.atan2.default", {imaginary, real}, sizes, node);
    } else {
      made = node.is_call("aten.real.default") ? real : imaginary;
    }
    replace(node, made);
    return true;
  }

  // Most who take a length square it: they need no root.
  bool take_length(Node& node, Node* real, Node* imaginary) {
    const auto square = [&](Node* part) { return call("aten.mul.Tensor", {part, part}, node.sizes(), node); };
    Node* power = call("aten.add.Tensor", {square(real), square(imaginary)}, node.sizes(), node);
    for (Node* user : node.users()) {
      const bool squares = user->is_call("aten.square.default") ||
                           (user->is_call("aten.pow.Tensor_Scalar") && user->arg("exponent").to_double() == 2.0);
      if (squares) replace(*user, power);
    }
    if (node.user_count() > 0) {
      replace(node, call("aten.sqrt.default", {power}, node.sizes(), node));
    } else {
      module_.graph().erase(&node);
    }
    return true;
  }

  // What a value is computed from comes first: files hold chains deeper than any stack.
  std::optional<Parts> parts_behind(Node* z) {
    std::vector<Node*> open = {z};
    while (!open.empty()) {
      Node* next = open.back();
      const size_t before = open.size();
      if (known_.count(next) == 0) {
        for (Node* input : next->inputs()) {
          if (is_complex(*input) && known_.count(input) == 0) open.push_back(input);
        }
        if (open.size() > before) continue;
        const auto here = module_.graph().inserting_before(next);
        known_[next] = make_parts(*next);
      }
      open.pop_back();
    }
    return known_.at(z);
  }

  std::optional<Parts> parts_of(const Node* z) const { return is_complex(*z) ? known_.at(z) : std::nullopt; }

  std::optional<Parts> make_parts(Node& z) {
    if (!is_complex(z)) return std::nullopt;
    if (z.kind() == NodeKind::kGetAttr) return stored_parts(z);
    if (!z.is_call()) return std::nullopt;
    Node* x = z.args().empty() ? nullptr : z.arg(size_t{0}).node();
    if (x == nullptr || !x->meta()) return std::nullopt;
    if (z.is_call("aten.view_as_complex.default") && is_real(*x)) {
      const auto part = [&](int64_t index) { return call("aten.select.int", {x, int64_t{-1}, index}, z.sizes(), z); };
      Node* real = part(0);
      return Parts{real, part(1)};
    }
    if (z.is_call("aten.complex.default")) return Parts{x, z.arg(size_t{1}).node()};
    if (sources_ == ComplexSources::kSpectra && is_real(*x)) {
      if (z.is_call("aten.fft_rfft.default")) return spectrum(z, *x);
      if (z.is_call("aten.stft.default")) return spectra(z, *x);
    }
    if (z.is_call("aten.mul.Tensor")) return product(z);
    if (z.is_call("aten.add.Tensor") || z.is_call("aten.sub.Tensor")) return sum(z);
    return moves(z) ? moved(z, *x) : std::nullopt;
  }

  std::optional<Parts> stored_parts(Node& z) {
    const at::Tensor value = module_.attr(z.target()).detach();
    Node* real = stored(z, "real", at::real(value));
    return Parts{real, stored(z, "imaginary", at::imag(value))};
  }

  // A factor or summand: complex, or real.
  std::optional<Parts> operand(const Arg& arg) {
    if (Node* node = arg.node()) return is_complex(*node) ? parts_of(node) : std::optional(Parts{arg});
    const bool is_number = arg.is_constant() && arg.constant().isScalar() && !arg.constant().toScalar().isComplex();
    return is_number ? std::optional(Parts{arg}) : std::nullopt;
  }

  std::optional<Parts> product(Node& z) {
    std::optional<Parts> a = operand(z.arg(size_t{0})), b = operand(z.arg(size_t{1}));
    if (!a || !b) return std::nullopt;
    if (a->imaginary == nullptr) std::swap(a, b);
    const auto times = [&](const Arg& left, const Arg& right) {
      return call("aten.mul.Tensor", {left, right}, z.sizes(), z);
    };
    if (b->imaginary == nullptr) {
      Node* real = times(a->real, b->real);
      return Parts{real, times(a->imaginary, b->real)};
    }
    Node* reals = times(a->real, b->real);
    Node* real = call("aten.sub.Tensor", {reals, times(a->imaginary, b->imaginary)}, z.sizes(), z);
    Node* mixed = times(a->real, b->imaginary);
    return Parts{real, call("aten.add.Tensor", {mixed, times(a->imaginary, b->real)}, z.sizes(), z)};
  }

  std::optional<Parts> sum(Node& z) {
    const std::optional<Parts> a = operand(z.arg(size_t{0})), b = operand(z.arg(size_t{1}));
    const bool are_complex = a && b && a->imaginary != nullptr && b->imaginary != nullptr;
    if (!are_complex || z.arg("alpha").to_double() != 1.0) return std::nullopt;
    Node* real = call(z.op().text(), {a->real, b->real}, z.sizes(), z);
    return Parts{real, call(z.op().text(), {a->imaginary, b->imaginary}, z.sizes(), z)};
  }

  std::optional<Parts> moved(Node& z, Node& x) {
    const std::optional<Parts> parts = parts_of(&x);
    if (!parts) return std::nullopt;
    const auto move = [&](const Arg& part) {
      std::vector<Arg> args = z.args();
      args[0] = part;
      if (part.node()->kind() != NodeKind::kGetAttr) return call(z.op().text(), std::move(args), z.sizes(), z);
      args[0] = Arg(c10::IValue(module_.attr(part.node()->target())));
      return stored(z, "moved", computed(z.op().text(), std::move(args)));
    };
    Node* real = move(parts->real);
    return Parts{real, move(parts->imaginary)};
  }

  std::optional<Parts> spectrum(Node& z, Node& x) {
    const int64_t rank = x.meta()->rank();
    if (rank == 0 || z.sizes().empty()) return std::nullopt;
    const int64_t n = x.sizes().back(), frequencies = z.sizes().back();
    const int64_t dim = z.arg("dim").to_int();
    const bool as_it_is = z.arg("n").is_none() || z.arg("n").to_int() == n;
    if (!as_it_is || (dim != -1 && dim != rank - 1) || !has_few_waves(n, frequencies)) return std::nullopt;
    const std::string norm = z.arg("norm").is_none() ? "backward" : z.arg("norm").to_string();
    const double length = static_cast<double>(n);
    const double factor = norm == "ortho" ? 1 / std::sqrt(length) : norm == "forward" ? 1 / length : 1.0;
    std::vector<int64_t> sizes = z.sizes();
    sizes.back() = 2 * frequencies;
    Node* weight = stored(z, "waves", waves(n, frequencies, factor));
    Node* both = call("aten.linear.default", {&x, weight}, sizes, z);
    return halves(both, -1, frequencies, z);
  }

  // A convolution along the samples.
  std::optional<Parts> spectra(Node& z, Node& x) {
    if (x.meta()->rank() != 2 || z.meta()->rank() != 3) return std::nullopt;
    const int64_t n = z.arg("n_fft").to_int(), frequencies = z.sizes()[1];
    if (!has_few_waves(n, frequencies)) return std::nullopt;
    const int64_t hop = z.arg("hop_length").is_none() ? n / 4 : z.arg("hop_length").to_int();
    const int64_t length = z.arg("win_length").is_none() ? n : z.arg("win_length").to_int();
    at::Tensor window = at::ones({length});
    if (const Node* given = z.arg("window").node()) {
      const bool is_stored = given->kind() == NodeKind::kGetAttr;
      if (!is_stored && !(given->is_call() && given->inputs().empty())) return std::nullopt;
      window = is_stored ? module_.attr(given->target()) : computed(given->op().text(), given->args());
      window = window.detach().to(at::kFloat);
    }
    if (window.dim() != 1 || window.numel() != length || length > n) return std::nullopt;
    const int64_t before = (n - length) / 2;
    window = at::constant_pad_nd(window, {before, n - length - before});
    const double factor = z.arg("normalized").to_bool() ? 1 / std::sqrt(static_cast<double>(n)) : 1.0;
    const at::Tensor kernels = (waves(n, frequencies, factor) * window).unsqueeze(1).contiguous();
    const int64_t samples = x.sizes()[0], length_of_all = x.sizes()[1];
    // TFLite's convolutions are those of images: here of one line.
    Node* channel = call("aten.unsqueeze.default", {&x, int64_t{1}}, {samples, 1, length_of_all}, z);
    Node* line = call("aten.unsqueeze.default", {channel, int64_t{1}}, {samples, 1, 1, length_of_all}, z);
    const std::vector<int64_t> none = {0, 0}, one = {1, 1}, stride = {1, hop};
    Node* lines = call("aten.conv2d.default",
                       {line, stored(z, "waves", kernels.unsqueeze(2)), Arg(), stride, none, one, int64_t{1}},
                       {samples, 2 * frequencies, 1, z.sizes()[2]}, z);
    Node* both = call("aten.squeeze.dim", {lines, int64_t{2}}, {samples, 2 * frequencies, z.sizes()[2]}, z);
    return halves(both, 1, frequencies, z);
  }

  Parts halves(Node* both, int64_t dim, int64_t size, Node& z) {
    const auto half = [&](int64_t begin) {
      return call("aten.slice.Tensor", {both, dim, begin, begin + size, int64_t{1}}, z.sizes(), z);
    };
    Node* real = half(0);
    return {real, half(size)};
  }

  // What an operator gives of constants.
  static at::Tensor computed(const std::string& op, std::vector<Arg> args) {
    GraphModule alone;
    alone.graph().output({alone.graph().call(op, std::move(args))});
    return alone.run({}).at(0);
  }

  Node* stored(const Node& z, const std::string& what, const at::Tensor& value) {
    const std::string name = module_.free_name(z.name() + "_" + what);
    module_.set_attr(name, value.detach().clone().contiguous(), AttrKind::kBuffer);
    Node* node = module_.graph().get_attr(name);
    node->set_meta(TensorMeta{at::kFloat, value.sizes().vec()});
    return node;
  }

  Node* call(const std::string& op, std::vector<Arg> args, const std::vector<int64_t>& sizes, const Node& like) {
    Node* node = module_.graph().call(op, std::move(args));
    node->set_meta(TensorMeta{at::kFloat, sizes});
    node->notes() = like.notes();
    return node;
  }

  void replace(Node& node, Node* made) {
    node.replace_all_uses_with(made);
    module_.graph().erase(&node);
  }

  GraphModule& module_;
  ComplexSources sources_;
  std::unordered_map<const Node*, std::optional<Parts>> known_;
};

}  // namespace

bool decompose_complex(GraphModule& module, ComplexSources sources) {
  const at::NoGradGuard no_grad;
  return ComplexTaker(module, sources).run();
}

}  // namespace octet::lowering

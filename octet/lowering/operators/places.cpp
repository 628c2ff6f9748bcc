// What takes values by computed places.

#include <ATen/ExpandUtils.h>
#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>
#include <c10/util/accumulate.h>

#include <algorithm>
#include <array>
#include <numeric>

#include "octet/lowering/operators/choices.h"
#include "octet/lowering/operators/operators.h"
#include "octet/support/error.h"

namespace octet::lowering {

using tflite::OpCode;
using tflite::Options;
using tflite::Type;

const Node* finder_of_places(const Node& places) {
  const bool is_second = places.kind() == NodeKind::kGetItem && places.arg(size_t{1}).to_int() == 1;
  const Node* source = is_second ? places.arg(size_t{0}).node() : &places;
  if (source == nullptr || !source->is_call()) return nullptr;
  constexpr std::array<std::string_view, 3> kPlacesAlone = {"argmax", "argmin", "argsort"};
  constexpr std::array<std::string_view, 4> kPlacesToo = {"topk", "sort", "max", "min"};
  const std::string_view name = source->op().short_name();
  const auto is_one_of = [&](const auto& names) { return std::find(names.begin(), names.end(), name) != names.end(); };
  return (is_second ? is_one_of(kPlacesToo) : is_one_of(kPlacesAlone)) ? source : nullptr;
}

namespace {

using Sizes = std::vector<int64_t>;

int64_t elements_between(const Sizes& sizes, size_t begin, size_t end) {
  const auto at = [&](size_t d) { return sizes.begin() + static_cast<int64_t>(d); };
  return c10::multiply_integers(at(begin), at(end));
}

// As whole numbers of 64 bits; `op` computes them.
ValueId computed(OperatorLowering& op, const std::string& name, OpCode code, ValueId a, ValueId b, const Sizes& shape) {
  return op.step_of(name, code, {a, b}, shape, Type::kInt64);
}

ValueId gathered(OperatorLowering& op, ValueId x, ValueId places, int64_t axis) {
  Sizes shape = op.shape_of(x);
  const Sizes inner = op.shape_of(places);
  shape.erase(shape.begin() + axis);
  shape.insert(shape.begin() + axis, inner.begin(), inner.end());
  Options options;
  options.axis = static_cast<int32_t>(axis);
  return op.step("gathered", OpCode::kGather, {x, places}, shape, options);
}

// One tensor of an index: 64 bits, counted from the front.
ValueId places_of(OperatorLowering& op, const Node& node, int64_t size, size_t number_of_it) {
  const std::string name = octet::str("index_", number_of_it);
  if (const std::optional<Constant> known = op.constant(node)) {
    const at::Tensor values = known->values.to(at::kLong);
    return op.plain_constant(name, at::where(values < 0, values + size, values));
  }
  const ValueId places = op.cast(name + "_wide", op.input(node, false), Type::kInt64);
  if (finder_of_places(node) != nullptr) return places;
  const Sizes shape = op.shape_of(places);
  const ValueId zero = op.plain_constant(name + "_zero", at::zeros({}, at::kLong));
  const ValueId length = op.plain_constant(name + "_length", at::scalar_tensor(size, at::kLong));
  const ValueId behind = op.step_of(name + "_counts_back", OpCode::kLess, {places, zero}, shape, Type::kBool);
  const ValueId moved = computed(op, name + "_moved", OpCode::kAdd, places, length, shape);
  return op.step_of(name + "_place", OpCode::kSelectV2, {behind, moved, places}, shape, Type::kInt64);
}

}  // namespace

void lower_embedding(OperatorLowering& op) {
  give_as_given(op, gathered(op, op.input("weight", false), op.input("indices", false), 0));
}

// Bags of equally many words: the sum, mean or largest of each.
void lower_embedding_bag(OperatorLowering& op) {
  const Sizes& out = op.node().element_metas().at(0).sizes;
  const Sizes words = op.sizes("indices");
  const std::optional<Constant> offsets = op.constant("offsets");
  const int64_t bags = out.at(0), each = bags == 0 ? 0 : elements_between(words, 0, words.size()) / bags;
  const bool is_even = offsets && each > 0 && words.size() == 1 && words[0] == bags * each &&
                       !op.flag("include_last_offset") &&
                       at::equal(offsets->values.to(at::kLong), at::arange(bags, at::kLong) * each);
  if (!is_even) op.refuse("bags of different sizes", "a matrix of words, a row a bag");
  if (op.integer("padding_idx", -1) >= 0) op.refuse("bags that leave a word out", "padding_idx=None");
  ValueId x = gathered(op, op.input("weight", false), op.input("indices", false), 0);
  x = op.reshaped("bags", x, {bags, each, out.at(1)});
  if (!op.is_none("per_sample_weights")) {
    const ValueId weights = op.reshaped("weights", op.input("per_sample_weights", false), {bags, each, 1});
    x = op.step("weighted", OpCode::kMul, {x, weights}, op.shape_of(x));
  }
  constexpr std::array<OpCode, 3> kModes = {OpCode::kSum, OpCode::kMean, OpCode::kReduceMax};
  const OpCode code = kModes.at(static_cast<size_t>(op.integer("mode", 0)));
  const ValueId result = op.step("result", code, {x, op.indices("axis", {1})}, out);
  for (const Node* element : op.node().users()) {
    if (element->arg(size_t{1}).to_int() != 0) op.refuse("what embedding_bag gives besides its result");
    give_element(op, *element, result);
  }
}

// Places in all of the values, one behind the other: those along `dim` are computed, the others known.
void lower_gather(OperatorLowering& op) {
  const Sizes in = op.sizes("self"), out = op.node().sizes();
  if (in.empty() || out.size() != in.size()) op.refuse("a number without dimensions");
  const auto dim = static_cast<size_t>(op.dimension("dim", 0, static_cast<int64_t>(in.size())));
  ValueId places = op.cast("index_wide", op.input("index", false), Type::kInt64);
  const int64_t step = elements_between(in, dim + 1, in.size());
  if (step != 1) {
    const ValueId factor = op.plain_constant("step", at::scalar_tensor(step, at::kLong));
    places = computed(op, "scaled_index", OpCode::kMul, places, factor, out);
  }
  at::Tensor rest = at::zeros(Sizes(in.size(), 1), at::kLong);
  for (size_t d = 0; d < in.size(); ++d) {
    if (d == dim) continue;
    Sizes line(in.size(), 1);
    line[d] = out[d];
    rest = rest + (at::arange(out[d], at::kLong) * elements_between(in, d + 1, in.size())).reshape(line);
  }
  if (rest.numel() > 1) places = computed(op, "places", OpCode::kAdd, places, op.plain_constant("rest", rest), out);
  const ValueId flat = op.reshaped("flat", op.input("self", false), {elements_between(in, 0, in.size())});
  give_as_given(op, gathered(op, flat, places, 0));
}

namespace {

// The dimensions that tensors of places take, in order; none where an argument is no such tensor.
std::vector<size_t> indexed_dimensions(const OperatorLowering& op, const std::vector<Arg>& indices) {
  std::vector<size_t> dims;
  for (size_t d = 0; d < indices.size(); ++d) {
    if (!indices[d].is_node()) continue;
    if (indices[d].node()->meta() && indices[d].node()->meta()->dtype == at::kBool) {
      op.refuse("an index by a mask, whose size no program knows", "multiply by the mask");
    }
    dims.push_back(d);
  }
  if (dims.empty()) op.refuse("an index by no tensor");
  return dims;
}

}  // namespace

// Tensors of places. Their dimensions become one; where they are no neighbours, the first one, as in the result.
void lower_index(OperatorLowering& op) {
  const std::vector<Arg>& indices = op.node().arg("indices").list();
  const std::vector<size_t> dims = indexed_dimensions(op, indices);
  Sizes in = op.sizes("self");
  ValueId x = op.input("self", false);
  ValueId places = kNoValue;
  Sizes shape;
  for (const size_t d : dims) {
    const ValueId each = places_of(op, *indices[d].node(), in[d], d);
    if (places == kNoValue) {
      places = each;
      shape = op.shape_of(each);
      continue;
    }
    const std::string name = octet::str("places_", d);
    const ValueId size = op.plain_constant(name + "_size", at::scalar_tensor(in[d], at::kLong));
    const ValueId scaled = computed(op, name + "_scaled", OpCode::kMul, places, size, shape);
    shape = at::infer_size(shape, op.shape_of(each));
    places = computed(op, name, OpCode::kAdd, scaled, each, shape);
  }
  size_t first = dims.front();
  if (dims.back() - first + 1 != dims.size()) {
    Sizes order(dims.begin(), dims.end()), moved;
    for (size_t d = 0; d < in.size(); ++d) {
      if (std::find(dims.begin(), dims.end(), d) == dims.end()) order.push_back(static_cast<int64_t>(d));
    }
    for (const int64_t d : order) moved.push_back(in[static_cast<size_t>(d)]);
    x = op.transposed("in_front", x, order);
    in = moved;
    first = 0;
  }
  const size_t end = first + dims.size();
  Sizes joined(in.begin(), in.begin() + static_cast<int64_t>(first));
  joined.push_back(elements_between(in, first, end));
  joined.insert(joined.end(), in.begin() + static_cast<int64_t>(end), in.end());
  give_as_given(op, gathered(op, op.reshaped("joined", x, joined), places, static_cast<int64_t>(first)));
}

// A number at computed places along a dimension: where one of them is the element's own.
void lower_scatter_of_number(OperatorLowering& op) {
  const Sizes out = op.node().sizes(), places = op.sizes("index");
  const auto rank = static_cast<int64_t>(out.size());
  if (rank == 0 || places.size() != out.size()) op.refuse("a number without dimensions");
  if (rank > 3) op.refuse("places among values of more than three dimensions");
  const auto dim = static_cast<size_t>(op.dimension("dim", 0, rank));
  Sizes wide = places, line(out.size() + 1, 1), both = places;
  for (size_t d = 0; d < out.size(); ++d) {
    if (d != dim && places[d] != out[d]) op.refuse("places for a part of the other dimensions");
  }
  wide.insert(wide.begin() + static_cast<int64_t>(dim) + 1, 1);
  both.insert(both.begin() + static_cast<int64_t>(dim) + 1, out[dim]);
  line[dim + 1] = out[dim];
  const ValueId index = op.reshaped("wide", op.cast("index", op.input("index", false), Type::kInt64), wide);
  const ValueId own = op.plain_constant("own", at::arange(out[dim], at::kLong).reshape(line));
  const ValueId meets = op.step_of("meets", OpCode::kEqual, {index, own}, both, Type::kBool);
  const ValueId any =
      op.step_of("any", OpCode::kReduceAny, {meets, op.indices("axes", {static_cast<int64_t>(dim)})}, out, Type::kBool);
  const ValueId self = op.cast("self", op.input("self", false), op.type());
  const ValueId value = op.operand("value");
  give_as_given(op, op.step("scattered", OpCode::kSelectV2, {any, value, self}, out));
}

void lower_one_hot(OperatorLowering& op) {
  const Sizes& out = op.node().sizes();
  Sizes wide = op.sizes("self");
  wide.push_back(1);
  const ValueId places = op.reshaped("wide", op.cast("index", op.input("self", false), Type::kInt64), wide);
  const ValueId classes = op.plain_constant("classes", at::arange(out.back(), at::kLong));
  const ValueId is_there = op.step_of("is_there", OpCode::kEqual, {places, classes}, out, Type::kBool);
  give_as_given(op, op.cast("one_hot", is_there, op.type()));
}

}  // namespace octet::lowering

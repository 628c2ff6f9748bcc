// What takes values by computed places.

#include <ATen/ExpandUtils.h>
#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>
#include <c10/util/accumulate.h>

#include <algorithm>
#include <array>
#include <numeric>

#include "octet/graph/found_places.h"
#include "octet/lowering/operators/choices.h"
#include "octet/lowering/operators/operators.h"
#include "octet/support/error.h"

namespace octet::lowering {

using tflite::OpCode;
using tflite::Options;
using tflite::Type;

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

namespace {

// What computed places along a dimension hold, with the dimensions in front of it and those behind it as one each.
struct ScatterSizes {
  int64_t before = 1;
  int64_t length = 1;
  int64_t behind = 1;

  Sizes with(int64_t along) const { return {before, along, behind}; }
};

ScatterSizes around(const Sizes& all, size_t dim) {
  return {elements_between(all, 0, dim), all[dim], elements_between(all, dim + 1, all.size())};
}

// For each place whether it is an element's own: [before, places, length, behind].
ValueId meeting(OperatorLowering& op, ValueId places, Sizes of_places, int64_t length) {
  Sizes both = of_places;
  of_places.insert(of_places.begin() + 2, 1);
  both.insert(both.begin() + 2, length);
  const ValueId own = op.plain_constant("own", at::arange(length, at::kLong).reshape({1, 1, length, 1}));
  return op.step_of("meets", OpCode::kEqual, {op.reshaped("wide", places, of_places), own}, both, Type::kBool);
}

ValueId any_meets(OperatorLowering& op, ValueId meets) {
  Sizes out = op.shape_of(meets);
  out.erase(out.begin() + 1);
  return op.step_of("any", OpCode::kReduceAny, {meets, op.indices("any_axis", {1})}, out, Type::kBool);
}

// Where several places are an element's own, the last of them puts its value there. Without one: -1 in `last`.
struct LastMeeting {
  ValueId last;      // [before, length, behind]
  ValueId is_there;  // [before, places, length, behind]
};

LastMeeting last_meeting(OperatorLowering& op, ValueId meets) {
  const Sizes all = op.shape_of(meets);
  Sizes out = all, row = all;
  out.erase(out.begin() + 1);
  row[1] = 1;
  const ValueId order = op.plain_constant("order", at::arange(all[1], at::kFloat).reshape({1, all[1], 1, 1}));
  const ValueId none = op.plain_constant("none", at::scalar_tensor(-1, at::kFloat));
  const ValueId which = op.step("which", OpCode::kSelectV2, {meets, order, none}, all);
  const ValueId last = op.step("last", OpCode::kReduceMax, {which, op.indices("last_axis", {1})}, out);
  const ValueId wide = op.reshaped("last_wide", last, row);
  return {last, op.step_of("is_there", OpCode::kEqual, {which, wide}, all, Type::kBool)};
}

// `self` with `source` where the places of one row, or those of each element, say; or the sums of both.
void put_at_places(OperatorLowering& op, const ScatterSizes& sizes, ValueId places, const Sizes& of_places,
                   ValueId source, bool adds) {
  if (op.type() != Type::kFloat32) op.refuse("whole numbers at computed places");
  const int64_t count = of_places[1];
  const ValueId meets = meeting(op, places, of_places, sizes.length);
  const ValueId wide = op.reshaped("source_wide", source, {sizes.before, count, 1, sizes.behind});
  const ValueId zero = op.plain_constant("zero", at::zeros({}, at::kFloat));
  const Sizes out = sizes.with(sizes.length);
  const ValueId self = op.reshaped("self_rows", op.input("self", false), out);
  const auto summed = [&](ValueId chosen) {
    const ValueId spread =
        op.step("spread", OpCode::kSelectV2, {chosen, wide, zero}, {sizes.before, count, sizes.length, sizes.behind});
    return op.step("sums", OpCode::kSum, {spread, op.indices("axis", {1})}, out);
  };
  const auto put = [&] {
    const auto [last, is_there] = last_meeting(op, meets);
    const ValueId any = op.step_of("any", OpCode::kGreaterEqual, {last, zero}, op.shape_of(last), Type::kBool);
    return op.step("put", OpCode::kSelectV2, {any, summed(is_there), self}, out);
  };
  const ValueId result = adds ? op.step("added", OpCode::kAdd, {self, summed(meets)}, out) : put();
  give_as_given(op, op.reshaped("all", result, op.node().sizes()));
}

// What scatter writes: places for all of the other dimensions.
ScatterSizes scattered_sizes(OperatorLowering& op) {
  const Sizes out = op.node().sizes(), places = op.sizes("index");
  if (out.empty() || places.size() != out.size()) op.refuse("a number without dimensions");
  const auto dim = static_cast<size_t>(op.dimension("dim", 0, static_cast<int64_t>(out.size())));
  for (size_t d = 0; d < out.size(); ++d) {
    if (d != dim && places[d] != out[d]) op.refuse("places for a part of the other dimensions");
  }
  return around(out, dim);
}

int64_t number_of_places(const OperatorLowering& op, const ScatterSizes& sizes) {
  const Sizes places = op.sizes("index");
  return elements_between(places, 0, places.size()) / std::max<int64_t>(sizes.before * sizes.behind, 1);
}

ValueId scattered_places(OperatorLowering& op) { return op.cast("index", op.input("index", false), Type::kInt64); }

}  // namespace

// A number at computed places along a dimension: where one of them is the element's own.
void lower_scatter_of_number(OperatorLowering& op) {
  const ScatterSizes sizes = scattered_sizes(op);
  const Sizes places = sizes.with(number_of_places(op, sizes)), out = sizes.with(sizes.length);
  const ValueId any = any_meets(op, meeting(op, scattered_places(op), places, sizes.length));
  const ValueId self = op.reshaped("self_rows", op.cast("self", op.input("self", false), op.type()), out);
  const ValueId result = op.step("scattered", OpCode::kSelectV2, {any, op.operand("value"), self}, out);
  give_as_given(op, op.reshaped("all", result, op.node().sizes()));
}

void lower_scatter(OperatorLowering& op) {
  const ScatterSizes sizes = scattered_sizes(op);
  if (op.sizes("src") != op.sizes("index")) op.refuse("places for a part of the values");
  const bool adds = op.node().op().short_name().starts_with("scatter_add");
  put_at_places(op, sizes, scattered_places(op), sizes.with(number_of_places(op, sizes)), op.input("src", false), adds);
}

void lower_index_copy(OperatorLowering& op) {
  const Sizes& out = op.node().sizes();
  if (out.empty()) op.refuse("a number without dimensions");
  const auto dim = static_cast<size_t>(op.dimension("dim", 0, static_cast<int64_t>(out.size())));
  const ValueId places = places_of(op, *op.node().arg("index").node(), out[dim], 0);
  const bool adds = op.node().op().short_name().starts_with("index_add");
  if (adds && op.number("alpha", 1.0) != 1.0) op.refuse("a factor", "multiply what is added");
  put_at_places(op, around(out, dim), places, {1, elements_between(op.sizes("index"), 0, op.sizes("index").size()), 1},
                op.input("source", false), adds);
}

namespace {

// y[mask] = number
void put_by_mask(OperatorLowering& op, const Node& mask, size_t first) {
  const Node* number = op.node().arg("values").node();
  if (number == nullptr || !number->meta() || number->meta()->numel() != 1) {
    op.refuse("values that a mask counts", "torch.where");
  }
  const Sizes& out = op.node().sizes();
  const size_t end = first + mask.sizes().size();
  const Sizes rows = {elements_between(out, 0, first), elements_between(out, first, end),
                      elements_between(out, end, out.size())};
  const ValueId chosen = op.reshaped("mask_rows", op.input(mask, false), {1, rows[1], 1});
  const ValueId self = op.reshaped("self_rows", op.cast("self", op.input("self", false), op.type()), rows);
  const ValueId value = op.reshaped("value_rows", op.cast("value", op.input("values", false), op.type()), {1, 1, 1});
  const ValueId result = op.step("put", OpCode::kSelectV2, {chosen, value, self}, rows);
  give_as_given(op, op.reshaped("all", result, out));
}

}  // namespace

// y[:, places] = values, y[mask] = number.
void lower_index_put(OperatorLowering& op) {
  const std::vector<Arg>& indices = op.node().arg("indices").list();
  const auto given = std::find_if(indices.begin(), indices.end(), [](const Arg& each) { return each.is_node(); });
  if (std::count_if(indices.begin(), indices.end(), [](const Arg& each) { return each.is_node(); }) != 1) {
    op.refuse("several tensors of places");
  }
  const Node& index = *given->node();
  const auto first = static_cast<size_t>(given - indices.begin());
  if (index.meta() && index.meta()->dtype == at::kBool) {
    if (op.flag("accumulate")) op.refuse("a sum where a mask is true", "torch.where");
    return put_by_mask(op, index, first);
  }
  const Sizes& out = op.node().sizes();
  const ScatterSizes sizes = around(out, first);
  const int64_t count = elements_between(index.sizes(), 0, index.sizes().size());
  const Sizes values = op.sizes("values");
  if (elements_between(values, 0, values.size()) != sizes.before * count * sizes.behind) {
    op.refuse("one value for several places", "values of the place's sizes");
  }
  put_at_places(op, sizes, places_of(op, index, out[first], 0), {1, count, 1}, op.input("values", false),
                op.flag("accumulate"));
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

#include <ATen/Functions.h>

#include <algorithm>
#include <cmath>

#include "octet/formats/dtype.h"
#include "octet/formats/onnx/operators.h"

namespace octet::onnx {
namespace {

using Sizes = std::vector<int64_t>;

/// A resize as the node asks for it, a number for each dimension.
struct Resize {
  Sizes from;
  Sizes to;
  std::vector<double> scales;  // as given, or what the sizes come to
  bool by_scales = false;
  std::string mode;
  std::string coordinates;
  std::string nearest;
};

// The numbers of an input for all dimensions, `missing` where `axes` names some.
template <typename T>
std::vector<T> spread(const Step& step, const std::vector<T>& given, const Sizes& axes, std::vector<T> missing,
                      const char* what) {
  if (given.size() != axes.size()) step.refuse(what, str(axes.size(), " numbers"), str(given.size()));
  for (size_t i = 0; i < axes.size(); ++i) missing[static_cast<size_t>(axes[i])] = given[i];
  return missing;
}

Resize read_resize(const Step& step) {
  Resize made;
  made.from = step.sizes(0);
  made.mode = step.text("mode", "nearest");
  made.coordinates = step.text("coordinate_transformation_mode", "half_pixel");
  made.nearest = step.text("nearest_mode", "round_prefer_floor");
  const auto rank = static_cast<int64_t>(made.from.size());
  Sizes axes;
  for (int64_t i = 0; i < rank; ++i) axes.push_back(i);
  for (int64_t& axis : axes = step.integers("axes", axes)) axis = step.axis(axis, rank);
  const bool has_sizes = step.has(3) && step.sizes(3) != Sizes{0};
  const bool has_scales = step.has(2) && step.sizes(2) != Sizes{0};
  if (has_sizes == has_scales) step.refuse("sizes and scales", "one of both", has_sizes ? "both" : "none");
  if (step.text("keep_aspect_ratio_policy", "stretch") != "stretch")
    step.refuse("keep_aspect_ratio_policy", "stretch", step.text("keep_aspect_ratio_policy", ""),
                "give the sizes that it comes to");
  made.scales.assign(made.from.size(), 1.0);
  made.to = made.from;
  if (has_sizes) {
    made.to = spread(step, step.integers(3, "sizes"), axes, made.from, "sizes");
    for (size_t i = 0; i < made.to.size(); ++i) {
      if (made.to[i] < 1 || made.from[i] < 1) step.refuse("sizes", "numbers from 1", sizes_text(made.to));
      made.scales[i] = static_cast<double>(made.to[i]) / static_cast<double>(made.from[i]);
    }
    return made;
  }
  made.by_scales = true;
  const at::Tensor numbers = step.known(2, "scales").to(at::kDouble).contiguous();
  const auto* begin = numbers.const_data_ptr<double>();
  made.scales = spread(step, std::vector<double>(begin, begin + numbers.numel()), axes, made.scales, "scales");
  for (size_t i = 0; i < made.to.size(); ++i) {
    // In float32, as onnxruntime has it: 10 * 0.7 is 7, where float64 knows that the scale is a bit less.
    const double size = std::floor(static_cast<float>(made.from[i]) * static_cast<float>(made.scales[i]));
    if (!(size >= 1 && size < 1e9)) step.refuse("scales", "numbers that lead to sizes from 1", str(made.scales[i]));
    made.to[i] = static_cast<int64_t>(size);
    made.by_scales = made.by_scales && size == std::floor(static_cast<double>(made.from[i]) * made.scales[i]);
  }
  return made;
}

// Where an element of the output comes from, between the elements of the input.
using PlaceOf = double (*)(double at, double scale, double from, double to);

PlaceOf place_rule(const Step& step, const Resize& resize) {
  if (resize.coordinates == "half_pixel")
    return [](double at, double scale, double, double) { return (at + 0.5) / scale - 0.5; };
  if (resize.coordinates == "pytorch_half_pixel")
    return [](double at, double scale, double, double to) { return to > 1 ? (at + 0.5) / scale - 0.5 : 0.0; };
  if (resize.coordinates == "asymmetric") return [](double at, double scale, double, double) { return at / scale; };
  if (resize.coordinates == "align_corners")
    return [](double at, double, double from, double to) { return to > 1 ? at * (from - 1) / (to - 1) : 0.0; };
  if (resize.coordinates == "half_pixel_symmetric")
    return [](double at, double scale, double from, double to) {
      return from / 2 * (1 - to / (scale * from)) + (at + 0.5) / scale - 0.5;
    };
  step.refuse("coordinate_transformation_mode", "half_pixel, asymmetric or align_corners", resize.coordinates,
              "cut the part out by Slice first");
}

using Round = double (*)(double place);

Round rounding_rule(const Step& step, const Resize& resize) {
  if (resize.nearest == "floor") return [](double place) { return std::floor(place); };
  if (resize.nearest == "ceil") return [](double place) { return std::ceil(place); };
  if (resize.nearest == "round_prefer_ceil") return [](double place) { return std::floor(place + 0.5); };
  if (resize.nearest == "round_prefer_floor") return [](double place) { return std::ceil(place - 0.5); };
  step.refuse("nearest_mode", "floor, ceil, round_prefer_floor or round_prefer_ceil", resize.nearest);
}

// Which element of the input each element of the output comes from, in mode nearest.
Sizes nearest_places(Step& step, const Resize& resize, size_t dim) {
  step.charge_constant({resize.to[dim]}, at::kLong);
  const PlaceOf place_of = place_rule(step, resize);
  const Round round = rounding_rule(step, resize);
  const auto from = static_cast<double>(resize.from[dim]), to = static_cast<double>(resize.to[dim]);
  Sizes places(static_cast<size_t>(resize.to[dim]));
  for (size_t at = 0; at < places.size(); ++at) {
    const double place = round(place_of(static_cast<double>(at), resize.scales[dim], from, to));
    places[at] = static_cast<int64_t>(std::clamp(place, 0.0, from - 1));
  }
  return places;
}

// ATen's own rule: the element at floor(at * from / to), or at the scale that is given.
bool aten_takes(const Resize& resize, size_t dim, const Sizes& places) {
  const double inverse = resize.by_scales ? 1.0 / resize.scales[dim]
                                          : static_cast<double>(resize.from[dim]) / static_cast<double>(resize.to[dim]);
  for (size_t at = 0; at < places.size(); ++at) {
    const auto place = static_cast<int64_t>(std::floor(static_cast<float>(at) * static_cast<float>(inverse)));
    if (std::min(place, resize.from[dim] - 1) != places[at]) return false;
  }
  return true;
}

const char* dimensions_name(size_t dimensions) {
  constexpr const char* kNames[] = {"1d", "2d", "3d"};
  return kNames[dimensions - 1];
}

// The sizes, or the scales, of the dimensions behind the channels, as ATen's operators take them.
std::vector<Operand> targets(const Resize& resize) {
  if (!resize.by_scales) return {Sizes(resize.to.begin() + 2, resize.to.end()), Arg()};
  return {Arg(), Arg(c10::IValue(std::vector<double>(resize.scales.begin() + 2, resize.scales.end())))};
}

bool is_image(const Resize& resize) {
  return resize.from.size() >= 3 && resize.from.size() <= 5 && resize.to[0] == resize.from[0] &&
         resize.to[1] == resize.from[1];
}

void resize_nearest(Step& step, const Resize& resize) {
  bool by_aten = is_image(resize);
  std::vector<Sizes> places;
  for (size_t dim = 0; dim < resize.from.size(); ++dim) {
    places.push_back(nearest_places(step, resize, dim));
    if (dim >= 2) by_aten = by_aten && aten_takes(resize, dim, places.back());
  }
  if (by_aten) {
    std::vector<Operand> operands = targets(resize);
    operands.insert(operands.begin(), step.in(0));
    return step.give(
        step.call(str("aten.upsample_nearest", dimensions_name(resize.from.size() - 2), ".vec"), operands));
  }
  // Another rule for what is nearest: the elements by their places, a dimension at a time.
  Value result = step.in(0);
  for (size_t dim = 0; dim < resize.from.size(); ++dim) {
    Sizes all(static_cast<size_t>(resize.from[dim]));
    for (size_t i = 0; i < all.size(); ++i) all[i] = static_cast<int64_t>(i);
    if (places[dim] == all) continue;
    result = step.call("aten.index_select.default",
                       {result, static_cast<int64_t>(dim), step.constant(at::tensor(places[dim], at::kLong))});
  }
  step.give(result);
}

void resize_smooth(Step& step, const Resize& resize) {
  const bool cubic = resize.mode == "cubic";
  if (!is_image(resize) || (cubic && resize.from.size() != 4)) {
    step.refuse("sizes", cubic ? "other heights and widths alone, of four dimensions" : "the same batch and channels",
                sizes_text(resize.to));
  }
  if (step.integer("antialias", 0) != 0)
    step.refuse("antialias", "0", "1, which ATen filters in another way", "average by AveragePool first");
  if (cubic && (std::abs(step.number("cubic_coeff_a", -0.75) + 0.75) > 1e-6 || step.integer("exclude_outside", 0) != 0))
    step.refuse("cubic_coeff_a and exclude_outside", "-0.75 and 0, which is what ATen has", "others");
  const bool aligned = resize.coordinates == "align_corners";
  bool half_pixel = resize.coordinates == "half_pixel" || resize.coordinates == "pytorch_half_pixel";
  for (size_t dim = 2; dim < resize.to.size() && resize.coordinates == "pytorch_half_pixel"; ++dim) {
    half_pixel = half_pixel && (resize.to[dim] > 1 || resize.from[dim] == 1);
  }
  for (size_t dim = 2; dim < resize.to.size() && resize.coordinates == "half_pixel_symmetric"; ++dim) {
    const double exact = resize.scales[dim] * static_cast<double>(resize.from[dim]);
    half_pixel = dim == 2 ? exact == static_cast<double>(resize.to[dim])
                          : half_pixel && exact == static_cast<double>(resize.to[dim]);
  }
  if (resize.to != resize.from && !aligned && !half_pixel) {
    step.refuse("coordinate_transformation_mode", str("half_pixel or align_corners in mode ", resize.mode),
                resize.coordinates, "export the model with align_corners=False or True");
  }
  std::vector<Operand> operands = targets(resize);
  operands.insert(operands.begin(), step.in(0));
  operands.insert(operands.begin() + 2, aligned);
  constexpr const char* kLinear[] = {"linear1d", "bilinear2d", "trilinear3d"};
  const char* kind = cubic ? "bicubic2d" : kLinear[resize.from.size() - 3];
  step.give(step.call(str("aten.upsample_", kind, ".vec"), operands));
}

}  // namespace

void build_resize(Step& step) {
  const Resize resize = read_resize(step);
  if (step.in(0).known()) step.charge_constant(resize.to, step.dtype(0));
  if (resize.mode == "nearest") return resize_nearest(step, resize);
  if (resize.mode == "linear" || resize.mode == "cubic") return resize_smooth(step, resize);
  step.refuse("mode", "nearest, linear or cubic", resize.mode);
}

}  // namespace octet::onnx

#include <cmath>

#include "octet/lowering/resampling.h"
#include "octet/support/error.h"
#include "octet/targets/engine/operator_rule.h"
#include "octet/targets/engine/passes/rewrite.h"
#include "octet/targets/engine/placement/operator_view.h"
#include "octet/targets/neutron/constraints.h"

namespace octet::neutron::constraints {

using targets::clips_at;
using targets::OperatorView;
using targets::positive_dim;
using targets::Refusal;

namespace {

using Sizes = std::vector<int64_t>;

int64_t product(const Sizes& sizes) {
  int64_t result = 1;
  for (const int64_t size : sizes) result *= size;
  return result;
}

std::string shape_text(const Sizes& sizes) { return octet::str("[", join(", ", sizes), "]"); }

std::string grid_text(const std::optional<QuantRecord>& grid) {
  if (!grid) return "float";
  if (grid->scale.size() != 1 || grid->zero_point.size() != 1) return "a grid a channel";
  return octet::str(grid->scale.front(), " zero point ", grid->zero_point.front());
}

Constraint fixed_text(std::string text, std::function<std::optional<Refusal>(const OperatorView&)> check,
                      bool needs_scales = false) {
  return {std::move(text), std::move(check), needs_scales};
}

std::string_view first_argument(const OperatorView& view) { return view.node().has_arg("self") ? "self" : "input"; }

// Kernel and stride of a pool; the stride defaults to the kernel.
struct Window {
  std::pair<int64_t, int64_t> kernel;
  std::pair<int64_t, int64_t> stride;
};

Window window(const OperatorView& view) {
  if (view.node().has_arg("kernel_size")) {
    const auto kernel = view.pair("kernel_size", {1, 1});
    return {kernel, view.pair("stride", kernel)};
  }
  // An adaptive pool that divides evenly is a pool with the stride as kernel.
  const Sizes& in = view.sizes("self");
  const Sizes& out = view.output_sizes();
  const std::pair stride = {in[in.size() - 2] / out[out.size() - 2], in.back() / out.back()};
  return {stride, stride};
}

std::vector<int64_t> reduced_dims(const OperatorView& view) {
  const auto rank = static_cast<int64_t>(view.sizes("self").size());
  std::vector<int64_t> dims;
  if (!view.is_none("dim")) dims = view.node().arg("dim").to_ints();
  for (int64_t& dim : dims) dim = positive_dim(dim, rank);
  if (dims.empty()) {
    for (int64_t dim = 0; dim < rank; ++dim) dims.push_back(dim);
  }
  return dims;
}

// The integer that a real number has on a grid.
double level(double value, const QuantRecord& grid) {
  const double rounded = std::nearbyint(value / grid.scale.front()) + static_cast<double>(grid.zero_point.front());
  return std::min(std::max(rounded, static_cast<double>(grid.quant_min)), static_cast<double>(grid.quant_max));
}

std::optional<Refusal> clip_is_kept(const OperatorView& view, const NeutronLimits& limits) {
  const auto bounds = clipping_bounds(view.node());
  const auto grid = view.input_grid("self");
  if (!bounds || !grid || grid->scale.size() != 1 || grid->zero_point.size() != 1) return std::nullopt;
  const auto low = static_cast<double>(grid->quant_min);
  const auto high = static_cast<double>(grid->quant_max);
  const double zero_point = static_cast<double>(grid->zero_point.front());
  const double scale = grid->scale.front();
  bool kept = false;
  if (clips_at(view.node(), limits.activation_bounds)) {
    const double at_low = level(bounds->low.value_or(0.0), *grid);
    kept = bounds->high ? low < at_low || level(*bounds->high, *grid) < high : low < at_low && at_low < high;
  } else {
    kept = (bounds->low && *bounds->low > (low - zero_point) * scale) ||
           (bounds->high && *bounds->high < (high - zero_point) * scale);
  }
  if (kept) return std::nullopt;
  return Refusal{"alone in its partition", "a range that it clips",
                 octet::str("values in ", (low - zero_point) * scale, " to ", (high - zero_point) * scale),
                 "it changes nothing: leave it out"};
}

std::optional<Refusal> scale_is_supported(const std::vector<int64_t>& known, const char* side, int64_t in, int64_t out,
                                          bool aligned) {
  if (aligned && in == 1) return Refusal{side, "> 1 with align_corners", "1", "align_corners=False"};
  const double factor = aligned ? static_cast<double>(out - 1) / static_cast<double>(in - 1)
                                : static_cast<double>(out) / static_cast<double>(in);
  for (const int64_t supported : known) {
    if (factor == static_cast<double>(supported)) return std::nullopt;
  }
  return Refusal{octet::str("scale of the ", side), octet::str("one of ", join(", ", known)),
                 octet::str(factor, " (", in, " to ", out, ")"),
                 aligned ? "align_corners=False, or an output of scale * (input - 1) + 1" : "another size"};
}

std::optional<Refusal> why_no_resize(const std::vector<int64_t>& known, const Node& resize, const Sizes& in,
                                     const Sizes& out, bool aligned) {
  if (in.size() != 4) return Refusal{"rank", "4", std::to_string(in.size()), ""};
  if (auto refusal = scale_is_supported(known, "height", in[2], out[2], aligned)) return refusal;
  if (auto refusal = scale_is_supported(known, "width", in[3], out[3], aligned)) return refusal;
  if (lowering::resizes_by_sizes(resize)) return std::nullopt;
  return Refusal{"scale_factor", "the ratio of its sizes", "another", "interpolate(size=...)"};
}

}  // namespace

Constraint broadcasts_one_input(std::string_view first, std::string_view second) {
  return fixed_text("one input has the output's size", [=](const OperatorView& view) -> std::optional<Refusal> {
    const int64_t wanted = product(view.output_sizes());
    for (const std::string_view argument : {first, second}) {
      if (!view.producers(argument).empty() && product(view.sizes(argument)) == wanted) return std::nullopt;
    }
    if (view.producers(first).empty() || view.producers(second).empty()) return std::nullopt;
    return Refusal{"shapes", octet::str("one input of ", shape_text(view.output_sizes())),
                   shape_text(view.sizes(first)) + " and " + shape_text(view.sizes(second)),
                   "expand one of them to the output's size beforehand"};
  });
}

Constraint alpha_is_one() {
  return fixed_text("alpha 1", [](const OperatorView& view) -> std::optional<Refusal> {
    const double alpha = view.node().arg("alpha").to_double();
    if (alpha == 1.0) return std::nullopt;
    return Refusal{"alpha", "1", octet::str(alpha), "multiply the second input beforehand"};
  });
}

Constraint slopes() {
  return fixed_text("one slope, or one a channel", [](const OperatorView& view) -> std::optional<Refusal> {
    const Sizes& x = view.sizes("self");
    const int64_t count = product(view.sizes("weight"));
    if (x.size() <= 2 || count == 1 || view.channels_first()) return std::nullopt;
    return Refusal{"slopes", "1 where the layout is not channels first", std::to_string(count), ""};
  });
}

Constraint same_grid(std::vector<std::string_view> arguments) {
  return fixed_text("inputs and output on one grid",
                    [arguments = std::move(arguments)](const OperatorView& view) -> std::optional<Refusal> {
                      const auto output = view.output_grid();
                      for (const std::string_view argument : arguments) {
                        for (const auto& grid : view.input_grids(argument)) {
                          if (!grid || !output) continue;  // what comes in float is refused before
                          if (grid->scale == output->scale && grid->zero_point == output->zero_point &&
                              grid->dtype == output->dtype) {
                            continue;
                          }
                          return Refusal{octet::str("grid of ", argument),
                                         octet::str("the output's, ", grid_text(output)), grid_text(grid),
                                         "quantize with the NeutronQuantizer, which shares it"};
                        }
                      }
                      return std::nullopt;
                    });
}

Constraint clip_bounds(const NeutronLimits& limits) {
  return {octet::str("bounds ", targets::text(limits.activation_bounds),
                     ", or constants with input and output on one grid"),
          [limits](const OperatorView& view) -> std::optional<Refusal> {
            const auto bounds = clipping_bounds(view.node());
            if (!bounds) return Refusal{"bounds", "constants", "computed values", ""};
            if (!bounds->low && !bounds->high) {
              return Refusal{"bounds", "at least one finite", "none", "it changes nothing: leave it out"};
            }
            if (clips_at(view.node(), limits.activation_bounds)) return std::nullopt;
            return same_grid({"self"}).check(view);
          }};
}

Constraint pool_sizes(const NeutronLimits& limits) {
  return {octet::str("kernel <= ", limits.kernel, ", stride <= ", limits.stride),
          [limits](const OperatorView& view) -> std::optional<Refusal> {
            const Window pool = window(view);
            const int64_t kernel = std::max(pool.kernel.first, pool.kernel.second);
            const int64_t stride = std::max(pool.stride.first, pool.stride.second);
            if (kernel > limits.kernel) {
              return Refusal{"kernel", octet::str("<= ", limits.kernel), std::to_string(kernel), ""};
            }
            if (stride > limits.stride) {
              return Refusal{"stride", octet::str("<= ", limits.stride), std::to_string(stride), ""};
            }
            return std::nullopt;
          }};
}

Constraint max_pool(const NeutronLimits& limits) {
  return {octet::str("dilation 1, ceil_mode False, stride <= ", limits.stride),
          [limits](const OperatorView& view) -> std::optional<Refusal> {
            const auto [h, w] = view.pair("dilation", {1, 1});
            if (h != 1 || w != 1) return Refusal{"dilation", "1", std::to_string(std::max(h, w)), ""};
            if (view.node().arg("ceil_mode").to_bool()) {
              return Refusal{"ceil_mode", "False", "True", "pad the input on the right and below"};
            }
            const auto [stride_h, stride_w] = window(view).stride;
            const int64_t stride = std::max(stride_h, stride_w);
            if (stride <= limits.stride) return std::nullopt;
            return Refusal{"stride", octet::str("<= ", limits.stride), std::to_string(stride), ""};
          }};
}

Constraint average_pool() {
  return fixed_text(
      "ceil_mode False, no divisor_override, padding counted", [](const OperatorView& view) -> std::optional<Refusal> {
        if (view.node().arg("ceil_mode").to_bool()) {
          return Refusal{"ceil_mode", "False", "True", "pad the input on the right and below"};
        }
        if (!view.is_none("divisor_override")) return Refusal{"divisor_override", "none", "a number", ""};
        const auto [h, w] = view.pair("padding", {0, 0});
        if (view.node().arg("count_include_pad").to_bool() || (h == 0 && w == 0)) return std::nullopt;
        return Refusal{"count_include_pad", "True where there is padding", "False", "count_include_pad=True"};
      });
}

Constraint divides_evenly() {
  return fixed_text("height and width divide evenly", [](const OperatorView& view) -> std::optional<Refusal> {
    const Sizes& in = view.sizes("self");
    const Sizes& out = view.output_sizes();
    for (size_t back = 1; back <= 2; ++back) {
      const int64_t from = in.at(in.size() - back);
      const int64_t to = out.at(out.size() - back);
      if (from % to == 0) continue;
      return Refusal{back == 1 ? "width" : "height", octet::str("a multiple of the output's ", to),
                     std::to_string(from), octet::str("another input size, or padding to ", (from / to + 1) * to)};
    }
    return std::nullopt;
  });
}

Constraint softmax(const NeutronLimits& limits) {
  return {octet::str("over the channels, channels <= ", limits.softmax_channels, ", other dimensions <= ",
                     limits.softmax_positions, " together, elements <= ", limits.softmax_elements),
          [limits](const OperatorView& view) -> std::optional<Refusal> {
            const Sizes& sizes = view.output_sizes();
            const auto rank = static_cast<int64_t>(sizes.size());
            const int64_t dim = positive_dim(view.node().arg("dim").to_int(), rank);
            const int64_t channels_dim = view.channels_first() ? 1 : rank - 1;
            if (dim != channels_dim) {
              return Refusal{"dim", octet::str(channels_dim, ", the channels"), std::to_string(dim),
                             "move that dimension to the channels with permute"};
            }
            const int64_t channels = sizes.at(static_cast<size_t>(dim));
            const int64_t positions = product(sizes) / std::max<int64_t>(channels, 1);
            if (channels > limits.softmax_channels) {
              return Refusal{"channels", octet::str("<= ", limits.softmax_channels), std::to_string(channels),
                             "fewer classes, or leave the softmax to the application"};
            }
            if (positions > limits.softmax_positions) {
              return Refusal{"batch, height and width together", octet::str("<= ", limits.softmax_positions),
                             std::to_string(positions), "a smaller input"};
            }
            if (product(sizes) > limits.softmax_elements) {
              return Refusal{"elements", octet::str("<= ", limits.softmax_elements), std::to_string(product(sizes)),
                             "a smaller input"};
            }
            return std::nullopt;
          }};
}

Constraint slice() {
  return fixed_text("step 1, not empty", [](const OperatorView& view) -> std::optional<Refusal> {
    const int64_t step = view.node().arg("step").to_int();
    if (step != 1) {
      return Refusal{"step", "1", std::to_string(step), "a max pool with kernel 1 and that stride takes every n-th"};
    }
    if (product(view.output_sizes()) > 0) return std::nullopt;
    return Refusal{"elements", "at least one", "none", ""};
  });
}

Constraint padding() {
  return fixed_text("mode constant or reflect, by no less than 0",
                    [](const OperatorView& view) -> std::optional<Refusal> {
                      const std::string mode = view.node().arg("mode").to_string();
                      if (mode != "constant" && mode != "reflect")
                        return Refusal{"mode", "constant or reflect", mode, "reflect"};
                      for (const int64_t by : view.node().arg("pad").to_ints()) {
                        if (by < 0) return Refusal{"padding", ">= 0", std::to_string(by), "cut by a slice"};
                      }
                      return std::nullopt;
                    });
}

Constraint resize(const NeutronLimits& limits, bool aligned_corners) {
  const std::vector<int64_t> known = limits.upsample_scales;
  return {octet::str("four dimensions, scale of height and width each one of ", join(", ", known),
                     ", the ratio of its sizes"),
          [=](const OperatorView& view) -> std::optional<Refusal> {
            const bool aligned = aligned_corners && view.node().arg("align_corners").to_bool();
            return why_no_resize(known, view.node(), view.sizes("input"), view.output_sizes(), aligned);
          }};
}

bool takes_resize(const NeutronLimits& limits, const Node& resize) {
  const Node* image = resize.arg("input").node();
  if (image == nullptr || !image->meta() || !resize.meta()) return false;
  const bool aligned = resize.has_arg("align_corners") && resize.arg("align_corners").to_bool();
  return !why_no_resize(limits.upsample_scales, resize, image->sizes(), resize.sizes(), aligned);
}

Constraint reshape_rank(const NeutronLimits& limits) {
  return {
      octet::str("at most ", limits.reshape_rank, " dimensions"),
      [most = limits.reshape_rank](const OperatorView& view) -> std::optional<Refusal> {
        const auto rank = static_cast<int64_t>(view.output_sizes().size());
        if (rank <= most) return std::nullopt;
        return Refusal{"dimensions", octet::str("<= ", most), std::to_string(rank), "merge neighbouring dimensions"};
      }};
}

Constraint is_folded() {
  return fixed_text("folded into the convolution or linear before it", [](const OperatorView&) {
    return std::optional(Refusal{"BatchNorm", "behind a convolution or linear that only it reads", "on its own",
                                 "put it behind one, or make a depthwise 1x1 convolution of it"});
  });
}

Constraint clips_something(const NeutronLimits& limits) {
  return fixed_text(
      "clips within the input's range", [limits](const OperatorView& view) { return clip_is_kept(view, limits); },
      true);
}

Constraint reduces_something() {
  return fixed_text("a reduced dimension above 1", [](const OperatorView& view) -> std::optional<Refusal> {
    if (!view.node().arg("keepdim").to_bool()) return std::nullopt;
    const Sizes& sizes = view.sizes("self");
    for (const int64_t dim : reduced_dims(view)) {
      if (sizes.at(static_cast<size_t>(dim)) != 1) return std::nullopt;
    }
    return Refusal{"alone in its partition", "a reduced dimension above 1", "all 1",
                   "it changes nothing: leave it out"};
  });
}

Constraint resizes_something() {
  return fixed_text("another size", [](const OperatorView& view) -> std::optional<Refusal> {
    if (view.sizes("input") != view.output_sizes()) return std::nullopt;
    return Refusal{"alone in its partition", "another size", "the same", "it changes nothing: leave it out"};
  });
}

Constraint moves_data() {
  return fixed_text("no constant", [](const OperatorView& view) -> std::optional<Refusal> {
    if (!view.is_static(first_argument(view))) return std::nullopt;
    return Refusal{"alone in its partition", "a computed value", "a constant", "store the constant permuted"};
  });
}

}  // namespace octet::neutron::constraints

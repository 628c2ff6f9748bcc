// Passes that drop what does nothing, and write views and sums of products in the operators that targets know.

#include <gtest/gtest.h>

#include "octet/targets/engine/passes/pass_manager.h"
#include "octet/targets/engine/passes/passes.h"
#include "tests/engine/graph_builder.h"
#include "tests/engine/pass_case.h"

namespace octet::targets {
namespace {

using test::GraphBuilder;
using test::PassCase;
using Sizes = std::vector<int64_t>;
using Nodes = std::vector<Arg>;

// op(x, rest...), and a relu behind it where the op may vanish.
std::function<std::shared_ptr<GraphModule>(GraphBuilder&)> of_input(const std::string& op, Sizes sizes, Nodes rest) {
  return [=](GraphBuilder& g) {
    Nodes args = {g.input(sizes)};
    args.insert(args.end(), rest.begin(), rest.end());
    return g.finish({g.call("aten.relu.default", {g.call(op, std::move(args))})});
  };
}

std::function<std::shared_ptr<GraphModule>(GraphBuilder&)> of_two(const std::string& op, Sizes first, Sizes second,
                                                                  NamedArgs named = {}) {
  return [=](GraphBuilder& g) { return g.finish({g.call(op, {g.input(first), g.input(second)}, named)}); };
}

PassCase no_op(const std::string& name, const std::string& op, Sizes sizes, Nodes rest) {
  return {name, of_input(op, std::move(sizes), std::move(rest)), drop_no_ops, "relu.default"};
}

PassCase something(const std::string& name, const std::string& op, Sizes sizes, Nodes rest) {
  return {name + "_declines", of_input(op, std::move(sizes), std::move(rest)), drop_no_ops, ""};
}

std::vector<PassCase> no_ops() {
  return {
      no_op("alias", "aten.alias.default", {2, 3}, {}),
      no_op("detach", "aten.detach.default", {2, 3}, {}),
      no_op("clone", "aten.clone.default", {2, 3}, {}),
      no_op("contiguous", "aten.contiguous.default", {2, 3}, {}),
      no_op("lift_fresh_copy", "aten.lift_fresh_copy.default", {2, 3}, {}),
      no_op("to_same", "aten.to.dtype", {2, 3}, {at::kFloat}),
      something("to_other", "aten.to.dtype", {2, 3}, {at::kDouble}),
      no_op("expand", "aten.expand.default", {2, 3}, {Sizes{-1, 3}}),
      something("expand_wider", "aten.expand.default", {2, 1}, {Sizes{-1, 3}}),
      something("expand_more_dims", "aten.expand.default", {2, 3}, {Sizes{1, 2, 3}}),
      no_op("slice_all", "aten.slice.Tensor", {2, 3}, {int64_t{1}, int64_t{0}, int64_t{3}}),
      no_op("slice_of_every_sample", "aten.slice.Tensor", {2, 3}, {int64_t{0}, int64_t{0}, INT64_MAX}),
      something("slice_of_two_samples", "aten.slice.Tensor", {2, 3}, {int64_t{0}, int64_t{0}, int64_t{2}}),
      something("slice_less", "aten.slice.Tensor", {2, 3}, {int64_t{1}, int64_t{1}, int64_t{3}}),
      no_op("permute", "aten.permute.default", {2, 3, 4}, {Sizes{0, -2, 2}}),
      something("permute_moves", "aten.permute.default", {2, 3, 4}, {Sizes{0, 2, 1}}),
      no_op("transpose", "aten.transpose.int", {2, 3}, {int64_t{1}, int64_t{-1}}),
      something("transpose_of_ones", "aten.transpose.int", {1, 1}, {int64_t{0}, int64_t{1}}),
      no_op("repeat_once", "aten.repeat.default", {2, 3}, {Sizes{1, 1}}),
      something("repeat", "aten.repeat.default", {2, 3}, {Sizes{1, 2}}),
      no_op("pad_nothing", "aten.pad.default", {2, 3}, {Sizes{0, 0}}),
      something("pad", "aten.pad.default", {2, 3}, {Sizes{0, 1}}),
      {"contiguous_between_views",
       [](auto& g) {
         Node* cells = g.call("aten.view.default", {g.input({2, 6, 5}), Sizes{2, 2, 3, 5}});
         Node* turned = g.call("aten.transpose.int", {cells, int64_t{1}, int64_t{2}});
         Node* relu = g.call("aten.relu.default", {g.call("aten.contiguous.default", {turned})});
         return g.finish({g.call("aten.view.default", {relu, Sizes{2, 6, 5}})});
       },
       drop_no_ops, "view.default transpose.int relu.default reshape.default"},
      {"clone_after_a_write",
       [](auto& g) {
         Node* x = g.call("aten.relu_.default", {g.call("aten.neg.default", {g.input({2, 3})})});
         return g.finish({g.call("aten.neg.default", {g.call("aten.clone.default", {x})})});
       },
       drop_no_ops, "neg.default relu_.default neg.default"},
      {"clone_that_is_written_declines",
       [](auto& g) {
         Node* x = g.call("aten.neg.default", {g.input({2, 3})});
         Node* copy = g.call("aten.view.default", {g.call("aten.clone.default", {x}), Sizes{3, 2}});
         Node* written = g.call("aten.relu_.default", {copy});
         return g.finish({g.call("aten.exp.default", {x}), written});
       },
       drop_no_ops, ""},
      {"clone_of_what_is_written_declines",
       [](auto& g) {
         Node* x = g.call("aten.neg.default", {g.input({2, 3})});
         Node* copy = g.call("aten.clone.default", {x});
         Node* written = g.call("aten.relu_.default", {x});
         return g.finish({g.call("aten.exp.default", {copy}), written});
       },
       drop_no_ops, ""},
      {"alias_that_is_written",
       [](auto& g) {
         Node* x = g.call("aten.neg.default", {g.input({2, 3})});
         Node* other = g.call("aten.alias.default", {x});
         Node* written = g.call("aten.relu_.default", {other});
         return g.finish({g.call("aten.exp.default", {x}), written});
       },
       drop_no_ops, "neg.default relu_.default exp.default"},
      {"contiguous_that_alone_is_read_and_written",
       [](auto& g) {
         Node* x = g.call("aten.neg.default", {g.input({2, 3})});
         Node* copy = g.call("aten.contiguous.default", {x});
         return g.finish({g.call("aten.relu_.default", {copy})});
       },
       drop_no_ops, "neg.default relu_.default"},
      {"clone_of_what_another_clone_gives_on_declines",
       [](auto& g) {
         Node* x = g.call("aten.neg.default", {g.input({2, 3})});
         Node* kept = g.call("aten.clone.default", {x});
         Node* written = g.call("aten.relu_.default", {g.call("aten.clone.default", {x})});
         return g.finish({g.call("aten.exp.default", {kept}), written});
       },
       drop_no_ops, "neg.default clone.default relu_.default exp.default"},
  };
}

PassCase view(const std::string& name, const std::string& op, Sizes sizes, Nodes rest, const std::string& ops) {
  return {name, of_input(op, std::move(sizes), std::move(rest)), rename_views,
          ops.empty() ? "" : (ops == "-" ? "" : ops + " ") + "relu.default"};
}

std::vector<PassCase> views() {
  return {
      {"reshape_as", of_two("aten.reshape_as.default", {2, 12}, {2, 3, 4}), rename_views, "reshape.default"},
      {"view_as", of_two("aten.view_as.default", {2, 3, 4}, {6, 4}), rename_views, "reshape.default"},
      view("reshape_as_itself_vanishes", "aten.unflatten.int", {2, 3}, {int64_t{1}, Sizes{3}}, "-"),
      view("unflatten", "aten.unflatten.int", {2, 12, 5}, {int64_t{-2}, Sizes{3, -1}}, "reshape.default"),
      view("unflatten_batch", "aten.unflatten.int", {12, 5}, {int64_t{0}, Sizes{-1, 4}}, "reshape.default"),
      view("swapaxes", "aten.swapaxes.default", {2, 3, 4}, {int64_t{-1}, int64_t{1}}, "transpose.int"),
      view("t", "aten.t.default", {2, 3}, {}, "transpose.int"),
      view("t_of_a_vector_declines", "aten.t.default", {3}, {}, ""),
      view("numpy_T", "aten.numpy_T.default", {2, 3, 4}, {}, "permute.default"),
      view("movedim", "aten.movedim.int", {2, 3, 4, 5}, {int64_t{1}, int64_t{-1}}, "permute.default"),
      view("movedim_list", "aten.movedim.intlist", {2, 3, 4, 5}, {Sizes{0, 1}, Sizes{2, 0}}, "permute.default"),
      view("narrow", "aten.narrow.default", {2, 9}, {int64_t{1}, int64_t{-4}, int64_t{3}}, "slice.Tensor"),
      {"expand_as", of_two("aten.expand_as.default", {2, 3, 1, 1}, {2, 3, 4, 5}), rename_views, "expand.default"},
      {"broadcast_to", of_input("aten.broadcast_to.default", {2, 3, 1}, {Sizes{2, 3, 4}}), rename_views,
       "expand.default relu.default"},
      view("ravel", "aten.ravel.default", {2, 3}, {}, "reshape.default"),
      view("mT", "aten.mT.default", {2, 3, 4}, {}, "transpose.int"),
      view("adjoint", "aten.adjoint.default", {2, 3, 4}, {}, "transpose.int"),
      view("tile", "aten.tile.default", {2, 3, 4}, {Sizes{2, 1}}, "repeat.default"),
      view("tile_of_more_dimensions_declines", "aten.tile.default", {2, 3}, {Sizes{1, 2, 1}}, ""),
      view("atleast_3d_vanishes", "aten.atleast_3d.default", {2, 3, 4}, {}, "-"),
      view("atleast_3d_of_a_matrix_declines", "aten.atleast_3d.default", {2, 3}, {}, ""),
      {"constant_expand_as",
       [](auto& g) {
         Node* mask = g.tensor("mask", at::rand({4, 1}));
         return g.finish({g.call("aten.expand_as.default", {mask, g.input({1, 4, 5})})});
       },
       rename_views, "expand.default"},
      {"expand_as_more_samples_declines", of_two("aten.expand_as.default", {1, 3}, {2, 3}), rename_views, ""},
  };
}

std::vector<PassCase> pool_flags() {
  const auto pool = [](const std::string& op, Sizes sizes, Sizes kernel, Sizes stride, Sizes padding, NamedArgs named) {
    return [=](GraphBuilder& g) { return g.finish({g.call(op, {g.input(sizes), kernel, stride, padding}, named)}); };
  };
  const NamedArgs ceil = {{"ceil_mode", true}};
  const NamedArgs excluded = {{"count_include_pad", false}};
  const NamedArgs both = {{"ceil_mode", true}, {"count_include_pad", false}};
  const std::string max2 = "aten.max_pool2d.default", avg2 = "aten.avg_pool2d.default";
  return {
      {"max", pool(max2, {1, 2, 8, 9}, {2, 3}, {2, 3}, {0, 0}, ceil), drop_pool_flags, "max_pool2d.default"},
      {"max_padded", pool(max2, {1, 2, 9, 9}, {3, 3}, {2, 2}, {1, 1}, ceil), drop_pool_flags, "max_pool2d.default"},
      {"max_default_stride", pool(max2, {1, 2, 8, 8}, {2}, {}, {0}, ceil), drop_pool_flags, "max_pool2d.default"},
      {"max_overhangs_declines", pool(max2, {1, 2, 8, 8}, {3, 3}, {2, 2}, {0, 0}, ceil), drop_pool_flags, ""},
      {"max_line", pool("aten.max_pool1d.default", {1, 2, 8}, {2}, {2}, {0}, ceil), drop_pool_flags,
       "max_pool1d.default"},
      {"average_line", pool("aten.avg_pool1d.default", {1, 2, 8}, {2}, {2}, {0}, both), drop_pool_flags,
       "avg_pool1d.default"},
      {"average", pool(avg2, {1, 2, 8, 8}, {2, 2}, {2, 2}, {0, 0}, both), drop_pool_flags, "avg_pool2d.default"},
      {"average_excluding_nothing", pool(avg2, {1, 2, 8, 8}, {2, 2}, {2, 2}, {0, 0}, excluded), drop_pool_flags,
       "avg_pool2d.default"},
      {"average_excluding_padding_declines", pool(avg2, {1, 2, 8, 8}, {2, 2}, {2, 2}, {1, 1}, excluded),
       drop_pool_flags, ""},
      {"scaled_beside_padding", pool(avg2, {2, 3, 8, 9}, {3, 3}, {2, 1}, {1, 1}, excluded), scale_padded_averages,
       "avg_pool2d.default mul.Tensor"},
      {"scaled_beside_padding_of_a_line", pool("aten.avg_pool1d.default", {1, 2, 9}, {3}, {}, {1}, excluded),
       scale_padded_averages, "avg_pool1d.default mul.Tensor"},
      {"counted_padding_is_not_scaled", pool(avg2, {1, 2, 8, 8}, {3, 3}, {2, 2}, {1, 1}, {}), scale_padded_averages,
       ""},
      {"scaled_where_it_overhangs_and_excludes", pool(avg2, {2, 3, 9, 8}, {3, 3}, {2, 2}, {1, 1}, both),
       scale_padded_averages, "pad.default avg_pool2d.default mul.Tensor"},
      {"scaled_where_it_overhangs_and_counts", pool(avg2, {2, 3, 8, 10}, {3, 2}, {2, 3}, {1, 0}, ceil),
       scale_padded_averages, "pad.default avg_pool2d.default mul.Tensor"},
      {"scaled_where_a_line_overhangs", pool("aten.avg_pool1d.default", {2, 3, 8}, {3}, {2}, {0}, ceil),
       scale_padded_averages, "pad.default avg_pool1d.default mul.Tensor"},
      {"divided_by_another_number", pool(avg2, {2, 3, 8, 8}, {2, 2}, {}, {0, 0}, {{"divisor_override", int64_t{3}}}),
       scale_padded_averages, "avg_pool2d.default mul.Tensor"},
      {"overhanging_maximum", pool(max2, {2, 3, 8, 11}, {3, 2}, {2, 2}, {0, 0}, ceil), pad_overhanging_maxima,
       "pad.default max_pool2d.default"},
      {"overhanging_padded_maximum", pool(max2, {2, 3, 8, 10}, {3, 3}, {2, 2}, {1, 1}, ceil), pad_overhanging_maxima,
       "pad.default max_pool2d.default"},
      {"overhanging_maximum_of_a_line", pool("aten.max_pool1d.default", {2, 3, 8}, {3}, {2}, {0}, ceil),
       pad_overhanging_maxima, "pad.default max_pool1d.default"},
      {"whole_maximum_is_not_padded", pool(max2, {2, 3, 9, 9}, {3, 3}, {2, 2}, {0, 0}, ceil), pad_overhanging_maxima,
       ""},
      {"average_overhangs_declines", pool(avg2, {1, 2, 8, 8}, {3, 3}, {2, 2}, {0, 0}, both), drop_pool_flags, ""},
  };
}

std::vector<PassCase> resizes() {
  const auto resize = [](const std::string& op, Sizes sizes, Nodes rest) {
    return [=](GraphBuilder& g) {
      Nodes args = rest;
      args.insert(args.begin(), Arg(g.input(sizes)));
      return g.finish({g.call("aten." + op + ".vec", std::move(args))});
    };
  };
  const auto scales = [](std::vector<double> factors) { return Arg(c10::IValue(std::move(factors))); };
  const std::string line = "unsqueeze.default upsample_nearest2d.vec squeeze.dim";
  const std::string linear = "unsqueeze.default upsample_bilinear2d.vec squeeze.dim";
  return {
      {"nearest_line", resize("upsample_nearest1d", {2, 3, 5}, {Arg(), scales({2.0})}), widen_resizes, line},
      {"nearest_line_to_a_size", resize("upsample_nearest1d", {2, 3, 5}, {Sizes{7}, Arg()}), widen_resizes, line},
      {"nearest_line_by_its_scale", resize("upsample_nearest1d", {2, 3, 4}, {Arg(), scales({1.6})}), widen_resizes,
       line},
      {"linear_line", resize("upsample_linear1d", {2, 3, 5}, {Arg(), false, scales({2.0})}), widen_resizes, linear},
      {"linear_line_by_its_scale", resize("upsample_linear1d", {2, 3, 6}, {Arg(), false, scales({1.7})}), widen_resizes,
       linear},
      {"linear_line_of_aligned_corners", resize("upsample_linear1d", {2, 3, 5}, {Sizes{9}, true, Arg()}), widen_resizes,
       linear},
      {"exact_line", resize("_upsample_nearest_exact1d", {2, 3, 5}, {Arg(), scales({4.0})}), widen_resizes, line},
      {"exact_line_between", resize("_upsample_nearest_exact1d", {2, 3, 5}, {Sizes{7}, Arg()}), widen_resizes,
       "unsqueeze.default _upsample_nearest_exact2d.vec squeeze.dim"},
      {"exact_image", resize("_upsample_nearest_exact2d", {2, 3, 5, 4}, {Arg(), scales({2.0, 3.0})}), widen_resizes,
       "upsample_nearest2d.vec"},
      {"exact_image_by_another_scale_declines",
       resize("_upsample_nearest_exact2d", {2, 3, 4, 4}, {Arg(), scales({2.1, 2.0})}), widen_resizes, ""},
      {"nearest_line_by_another_scale_declines", resize("upsample_nearest1d", {2, 3, 4}, {Arg(), scales({2.1})}),
       widen_resizes, ""},
      {"exact_image_between_declines", resize("_upsample_nearest_exact2d", {2, 3, 5, 4}, {Sizes{7, 8}, Arg()}),
       widen_resizes, ""},
  };
}

constexpr const char* kTwoTurns =
    "reshape.default permute.default reshape.default permute.default reshape.default relu.default";

PassCase shuffle(const std::string& name, const std::string& op, Sizes sizes, int64_t by, const std::string& ops) {
  return {name, of_input("aten." + op + ".default", std::move(sizes), {by}), decompose_pixel_shuffles, ops};
}

PassCase windows(const std::string& name, Sizes sizes, Sizes kernel, Sizes dilation, Sizes padding, Sizes stride,
                 const std::string& ops) {
  return {name, of_input("aten.im2col.default", std::move(sizes), {kernel, dilation, padding, stride}),
          decompose_windows, ops};
}

PassCase frames(const std::string& name, Sizes sizes, int64_t dim, int64_t size, int64_t step, const std::string& ops) {
  return {name, of_input("aten.unfold.default", std::move(sizes), {dim, size, step}), decompose_windows, ops};
}

PassCase pad(const std::string& name, const std::string& mode, Sizes sizes, Sizes amounts, const std::string& ops) {
  return {name, of_input("aten.pad.default", std::move(sizes), {amounts, mode}), decompose_copies, ops};
}

std::vector<int64_t> every_other(int64_t length) {
  std::vector<int64_t> places;
  for (int64_t i = 0; i < length; i += 2) places.push_back(i);
  for (int64_t i = 1; i < length; i += 2) places.push_back(i);
  return places;
}

PassCase index(const std::string& name, Sizes sizes, int64_t dim, Sizes places, const std::string& ops) {
  return {name,
          [=](GraphBuilder& g) {
            std::vector<Arg> indices(static_cast<size_t>(dim));
            indices.emplace_back(g.tensor("places", at::tensor(places), AttrKind::kConstant));
            Node* x = g.call("aten.index.Tensor", {g.input(sizes), Arg(indices)});
            return g.finish({g.call("aten.relu.default", {x})});
          },
          decompose_copies, ops};
}

constexpr const char* kThreeLinears =
    "linear.default permute.default linear.default permute.default permute.default linear.default permute.default "
    "relu.default";
constexpr const char* kTwoLinears = "linear.default permute.default linear.default permute.default relu.default";

PassCase resize(const std::string& name, const std::string& op, Sizes from, Sizes to, bool aligned) {
  return {name, of_input("aten." + op + ".vec", std::move(from), {to, aligned, Arg()}), decompose_resizes, kTwoLinears};
}

std::vector<PassCase> arithmetic() {
  const auto joined = [](const std::string& op, const Sizes& first, const Sizes& second) {
    return [=](GraphBuilder& g) {
      Node* x = g.input(first);
      return g.finish({g.call(op, {Arg(Nodes{x, g.input(second)})})});
    };
  };
  const auto three = [](const std::string& op, std::vector<Sizes> sizes, NamedArgs named) {
    return [=](GraphBuilder& g) {
      Nodes args;
      for (const Sizes& each : sizes) args.emplace_back(g.input(each));
      return g.finish({g.call(op, std::move(args), named)});
    };
  };
  const auto pow = [](double exponent) {
    return [=](GraphBuilder& g) {
      Node* positive = g.call("aten.exp.default", {g.input({2, 3})});
      return g.finish({g.call("aten.pow.Tensor_Scalar", {positive, exponent})});
    };
  };
  return {
      {"rsub_number",
       [](auto& g) {
         return g.finish({g.call("aten.rsub.Scalar", {g.input({2, 3}), 1.5}, {{"alpha", 2.0}})});
       },
       decompose_arithmetic, "mul.Tensor sub.Tensor"},
      {"clamp_min",
       [](auto& g) {
         return g.finish({g.call("aten.clamp_min.default", {g.input({2, 3}), 0.25})});
       },
       decompose_arithmetic, "clamp.default"},
      {"clamp_max",
       [](auto& g) {
         return g.finish({g.call("aten.clamp_max.default", {g.input({2, 3}), 0.25})});
       },
       decompose_arithmetic, "clamp.default"},
      {"rsub", of_two("aten.rsub.Tensor", {2, 3}, {3}), decompose_arithmetic, "sub.Tensor"},
      {"square",
       [](auto& g) {
         return g.finish({g.call("aten.square.default", {g.input({2, 3})})});
       },
       decompose_powers, "mul.Tensor"},
      {"pow_2", pow(2.0), decompose_powers, "exp.default mul.Tensor"},
      {"pow_3", pow(3.0), decompose_powers, "exp.default mul.Tensor mul.Tensor"},
      {"pow_4", pow(4.0), decompose_powers, "exp.default mul.Tensor mul.Tensor"},
      {"pow_rsqrt", pow(-0.5), decompose_powers, "exp.default rsqrt.default"},
      {"pow_fraction_declines", pow(1.7), decompose_powers, ""},
      {"addcmul", three("aten.addcmul.default", {{2, 3}, {2, 3}, {3}}, {}), decompose_powers, "mul.Tensor add.Tensor"},
      {"addcmul_value", three("aten.addcmul.default", {{2, 3}, {3}, {2, 1}}, {{"value", 0.5}}), decompose_powers,
       "mul.Tensor mul.Tensor add.Tensor"},
      {"baddbmm", three("aten.baddbmm.default", {{2, 1, 5}, {2, 3, 4}, {2, 4, 5}}, {{"alpha", 0.5}, {"beta", 2.0}}),
       decompose_arithmetic, "bmm.default mul.Tensor mul.Tensor add.Tensor"},
      {"addmm_computed", three("aten.addmm.default", {{5}, {3, 4}, {4, 5}}, {}), decompose_arithmetic,
       "mm.default add.Tensor"},
      {"addmm_by_weight_declines",
       [](auto& g) {
         return g.finish(
             {g.call("aten.addmm.default", {g.parameter("b", {5}), g.input({3, 4}), g.parameter("w", {4, 5})})});
       },
       decompose_arithmetic, ""},
      {"stack",
       [](auto& g) {
         Node* x = g.input({2, 3});
         return g.finish({g.call("aten.stack.default", {Arg(Nodes{x, g.input({2, 3}), x}), int64_t{-1}})});
       },
       decompose_arithmetic, "unsqueeze.default unsqueeze.default unsqueeze.default cat.default"},
      {"multiply", of_two("aten.multiply.Tensor", {2, 3}, {3}), decompose_arithmetic, "mul.Tensor"},
      {"max_of_two", of_two("aten.max.other", {2, 3}, {2, 3}), decompose_arithmetic, "maximum.default"},
      {"linalg_matmul", of_two("aten.linalg_matmul.default", {2, 3, 4}, {2, 4, 5}), decompose_arithmetic,
       "matmul.default"},
      {"absolute", of_input("aten.absolute.default", {2, 3}, {}), decompose_arithmetic, "abs.default relu.default"},
      {"clip", of_input("aten.clip.default", {2, 3}, {-0.5, 0.5}), decompose_arithmetic, "clamp.default relu.default"},
      {"special_softmax", of_input("aten.special_softmax.default", {2, 3}, {int64_t{1}}), decompose_arithmetic,
       "softmax.int relu.default"},
      {"stack_of_whole_numbers",
       [](GraphBuilder& g) {
         Node* place = g.call("aten.argmax.default", {g.input({2, 3}), 1});
         Node* rest = g.call("aten.rsub.Scalar", {place, 3});
         return g.finish({g.call("aten.stack.default", {Arg(Nodes{place, rest}), int64_t{1}})});
       },
       decompose_arithmetic, "argmax.default sub.Tensor unsqueeze.default unsqueeze.default cat.default"},
      {"hstack", joined("aten.hstack.default", {2, 3}, {2, 4}), decompose_arithmetic, "cat.default"},
      {"hstack_of_vectors", joined("aten.hstack.default", {3}, {4}), decompose_arithmetic, "cat.default"},
      {"vstack", joined("aten.vstack.default", {2, 3}, {4, 3}), decompose_arithmetic, "cat.default"},
      {"vstack_of_vectors_declines", joined("aten.vstack.default", {3}, {3}), decompose_arithmetic, ""},
      {"dstack", joined("aten.dstack.default", {2, 3, 1}, {2, 3, 4}), decompose_arithmetic, "cat.default"},
      {"dstack_of_matrices_declines", joined("aten.dstack.default", {2, 3}, {2, 3}), decompose_arithmetic, ""},
      {"expand_before_mul",
       [](auto& g) {
         Node* x = g.input({2, 3, 4, 4});
         Node* gate = g.call("aten.expand.default", {g.input({2, 3, 1, 1}), Sizes{-1, -1, 4, 4}});
         return g.finish({g.call("aten.mul.Tensor", {x, gate})});
       },
       drop_expands, "mul.Tensor"},
      {"expand_that_makes_the_size_declines",
       [](auto& g) {
         Node* wide = g.call("aten.expand.default", {g.input({2, 1}), Sizes{-1, 4}});
         return g.finish({g.call("aten.mul.Tensor", {wide, g.input({2, 1})})});
       },
       drop_expands, ""},
      {"roll", of_input("aten.roll.default", {2, 5, 6}, {Sizes{2, -1}, Sizes{1, -1}}), decompose_rolls,
       "slice.Tensor slice.Tensor cat.default slice.Tensor slice.Tensor cat.default relu.default"},
      {"roll_all_around", of_input("aten.roll.default", {2, 5}, {Sizes{-10}, Sizes{1}}), decompose_rolls,
       "relu.default"},
      {"roll_of_samples_declines", of_input("aten.roll.default", {2, 5}, {Sizes{1}, Sizes{0}}), decompose_rolls, ""},
      {"select",
       [](auto& g) {
         return g.finish({g.call("aten.select.int", {g.input({2, 5, 3}), int64_t{1}, int64_t{-1}})});
       },
       decompose_selects, "slice.Tensor squeeze.dim"},
      shuffle("pixel_shuffle", "pixel_shuffle", {2, 8, 3, 5}, 2, kTwoTurns),
      shuffle("pixel_shuffle_by_three", "pixel_shuffle", {1, 9, 2, 3}, 3, kTwoTurns),
      shuffle("pixel_shuffle_of_an_image", "pixel_shuffle", {8, 3, 5}, 2, kTwoTurns),
      shuffle("pixel_shuffle_of_groups", "pixel_shuffle", {2, 3, 4, 3, 5}, 2, kTwoTurns),
      shuffle("pixel_shuffle_by_one_declines", "pixel_shuffle", {2, 8, 3, 5}, 1, ""),
      shuffle("pixel_unshuffle", "pixel_unshuffle", {2, 3, 6, 10}, 2, kTwoTurns),
      shuffle("pixel_unshuffle_by_three", "pixel_unshuffle", {1, 2, 6, 9}, 3, kTwoTurns),
      shuffle("pixel_unshuffle_by_one_declines", "pixel_unshuffle", {2, 8, 3, 5}, 1, ""),
      windows("windows", {1, 2, 5, 6}, {2, 2}, {1, 1}, {0, 0}, {1, 1},
              "slice.Tensor slice.Tensor reshape.default slice.Tensor reshape.default slice.Tensor slice.Tensor "
              "reshape.default slice.Tensor reshape.default cat.default reshape.default relu.default"),
      windows("windows_apart_and_padded", {2, 3, 7, 5}, {1, 2}, {1, 2}, {1, 1}, {2, 3},
              "pad.default slice.Tensor slice.Tensor reshape.default slice.Tensor reshape.default cat.default "
              "reshape.default relu.default"),
      windows("windows_side_by_side", {2, 3, 4, 6}, {2, 2}, {1, 1}, {0, 0}, {2, 2},
              "pixel_unshuffle.default reshape.default relu.default"),
      windows("windows_with_a_rest", {2, 3, 5, 4}, {1, 2}, {1, 1}, {0, 0}, {1, 2},
              "slice.Tensor reshape.default slice.Tensor reshape.default cat.default reshape.default relu.default"),
      windows("one_place", {2, 3, 5, 4}, {1, 1}, {1, 1}, {0, 0}, {2, 1},
              "slice.Tensor reshape.default reshape.default relu.default"),
      frames("frames_window_by_window", {2, 3, 10}, 2, 6, 2,
             "slice.Tensor reshape.default slice.Tensor reshape.default slice.Tensor reshape.default cat.default "
             "relu.default"),
      frames("frames_place_by_place", {2, 9, 3}, 1, 2, 3,
             "slice.Tensor reshape.default slice.Tensor reshape.default cat.default relu.default"),
      frames("frames_turned", {2, 5, 3}, -2, 4, 1,
             "slice.Tensor permute.default reshape.default slice.Tensor permute.default reshape.default cat.default "
             "relu.default"),
      frames("frames_side_by_side", {2, 7, 3}, 1, 3, 3, "slice.Tensor reshape.default permute.default relu.default"),
      frames("one_frame", {2, 7, 3}, 1, 7, 2, "reshape.default permute.default relu.default"),
      frames("frames_of_samples_decline", {6, 3}, 0, 2, 2, ""),
      {"frames_that_are_written_decline",
       [](auto& g) {
         Node* x = g.call("aten.neg.default", {g.input({2, 6})});
         Node* frames = g.call("aten.unfold.default", {x, int64_t{1}, int64_t{2}, int64_t{2}});
         g.call("aten.relu_.default", {x});
         return g.finish({g.call("aten.exp.default", {frames})});
       },
       decompose_windows, ""},
      pad("pad_around", "circular", {2, 3, 5, 4}, {1, 2, 0, 1},
          "slice.Tensor slice.Tensor cat.default slice.Tensor cat.default relu.default"),
      pad("pad_by_the_nearest", "replicate", {2, 3, 5}, {2, 1},
          "slice.Tensor slice.Tensor slice.Tensor cat.default relu.default"),
      pad("pad_by_numbers_declines", "constant", {2, 3, 5}, {2, 1}, ""),
      pad("pad_by_reflection_declines", "reflect", {2, 3, 5}, {2, 1}, ""),
      index("index_of_runs", {2, 5, 4}, 1, {3, 4, 0, -1},
            "slice.Tensor slice.Tensor slice.Tensor cat.default relu.default"),
      index("index_of_one_run", {2, 5, 4}, 2, {1, 2}, "index_select.default relu.default"),
      index("index_of_many_runs", {2, 40, 4}, 1, every_other(40), "index_select.default relu.default"),
      index("index_of_samples_declines", {4, 3}, 0, {0, 2}, ""),
      {"index_by_two_apart_declines",
       [](auto& g) {
         Node* places = g.tensor("places", at::tensor({0, 2}, at::kLong), AttrKind::kConstant);
         const std::vector<Arg> indices = {Arg(), places, Arg(), places};
         return g.finish({g.call("aten.index.Tensor", {g.input({2, 3, 4, 3}), Arg(indices)})});
       },
       decompose_copies, ""},
      {"repeat_interleave", of_input("aten.repeat_interleave.self_int", {2, 3, 4}, {int64_t{3}, int64_t{1}}),
       decompose_copies, "reshape.default cat.default reshape.default relu.default"},
      {"repeat_interleave_last", of_input("aten.repeat_interleave.self_int", {2, 3}, {int64_t{2}, int64_t{-1}}),
       decompose_copies, "reshape.default cat.default reshape.default relu.default"},
      resize("bicubic", "upsample_bicubic2d", {2, 3, 5, 6}, {10, 4}, false),
      resize("bicubic_aligned", "upsample_bicubic2d", {1, 2, 4, 5}, {7, 9}, true),
      resize("bicubic_smoothed", "_upsample_bicubic2d_aa", {1, 2, 9, 8}, {4, 3}, false),
      resize("bilinear_smoothed", "_upsample_bilinear2d_aa", {1, 2, 9, 8}, {4, 3}, false),
      {"bilinear_by_another_scale",
       of_input("aten.upsample_bilinear2d.vec", {1, 2, 6, 4},
                {Arg(), false, c10::IValue(c10::List<double>({1.7, 2.0}))}),
       decompose_resizes, kTwoLinears},
      {"bilinear_by_the_ratio_declines",
       of_input("aten.upsample_bilinear2d.vec", {1, 2, 6, 4},
                {Arg(), false, c10::IValue(c10::List<double>({1.5, 2.0}))}),
       decompose_resizes, ""},
      {"bicubic_by_factors",
       of_input("aten.upsample_bicubic2d.vec", {1, 2, 5, 4},
                {Arg(), false, c10::IValue(c10::List<double>({1.6, 2.0}))}),
       decompose_resizes, kTwoLinears},
      {"trilinear",
       of_input("aten.upsample_trilinear3d.vec", {1, 2, 3, 4, 5}, {std::vector<int64_t>{6, 5, 3}, true, Arg()}),
       decompose_resizes, kThreeLinears},
      {"nearest_of_a_volume",
       of_input("aten.upsample_nearest3d.vec", {2, 2, 3, 4, 5},
                {Arg(), c10::IValue(c10::List<double>({2.0, 1.6, 1.0}))}),
       decompose_resizes, kThreeLinears},
      {"select_the_only_one",
       [](auto& g) {
         return g.finish({g.call("aten.select.int", {g.input({2, 1, 3}), int64_t{1}, int64_t{0}})});
       },
       decompose_selects, "squeeze.dim"},
  };
}

class ViewPassTest : public testing::TestWithParam<PassCase> {};

TEST_P(ViewPassTest, KeepsResultsShapesAndRests) { test::expect_pass(GetParam()); }

const auto kName = [](const auto& each) { return each.param.name; };

INSTANTIATE_TEST_SUITE_P(NoOps, ViewPassTest, testing::ValuesIn(no_ops()), kName);
INSTANTIATE_TEST_SUITE_P(Views, ViewPassTest, testing::ValuesIn(views()), kName);
INSTANTIATE_TEST_SUITE_P(PoolFlags, ViewPassTest, testing::ValuesIn(pool_flags()), kName);
INSTANTIATE_TEST_SUITE_P(Resizes, ViewPassTest, testing::ValuesIn(resizes()), kName);
INSTANTIATE_TEST_SUITE_P(Arithmetic, ViewPassTest, testing::ValuesIn(arithmetic()), kName);

}  // namespace
}  // namespace octet::targets

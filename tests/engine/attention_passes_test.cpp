// Passes that make bmm on three dimensions of products of matrices, of attention and of einsum.

#include <gtest/gtest.h>

#include "octet/lowering/complex_parts.h"
#include "octet/targets/engine/passes/pass_manager.h"
#include "octet/targets/engine/passes/passes.h"
#include "tests/engine/graph_builder.h"
#include "tests/engine/pass_case.h"

namespace octet::targets {
namespace {

using test::GraphBuilder;
using test::PassCase;
using Dims = std::vector<int64_t>;

PassCase matmul(const std::string& name, Dims a, Dims b, const std::string& ops) {
  return {name,
          [=](GraphBuilder& g) {
            return g.finish({g.call("aten.matmul.default", {g.input(a), g.input(b)})});
          },
          decompose_products, ops};
}

PassCase by_weight(const std::string& name, Dims a, Dims b, bool left, const std::string& ops) {
  return {name,
          [=](GraphBuilder& g) {
            Node* first = left ? g.parameter("w", a) : g.input(a);
            Node* second = left ? g.input(b) : g.parameter("w", b);
            return g.finish({g.call("aten.matmul.default", {first, second})});
          },
          decompose_products, ops};
}

std::vector<PassCase> products() {
  const std::string folded = "reshape.default reshape.default bmm.default reshape.default";
  return {
      matmul("matrices_of_heads", {2, 3, 4, 5}, {2, 3, 5, 6}, folded),
      matmul("five_dimensions", {2, 3, 2, 4, 5}, {2, 3, 2, 5, 6}, folded),
      matmul("three_dimensions", {2, 4, 5}, {2, 5, 6}, "bmm.default"),
      matmul("two_dimensions", {4, 5}, {5, 6}, "unsqueeze.default unsqueeze.default bmm.default squeeze.dim"),
      matmul("one_matrix_for_all", {2, 3, 4, 5}, {5, 6},
             "reshape.default unsqueeze.default bmm.default reshape.default"),
      matmul("one_matrix_for_all_heads", {2, 3, 4, 5}, {2, 1, 5, 6}, folded),
      matmul("one_matrix_for_all_samples", {2, 3, 4, 5}, {3, 5, 6},
             "permute.default reshape.default bmm.default reshape.default permute.default"),
      matmul("many_on_the_right", {4, 5}, {2, 3, 5, 6},
             "transpose.int transpose.int reshape.default unsqueeze.default bmm.default reshape.default transpose.int"),
      matmul("each_has_others_declines", {2, 1, 4, 5}, {1, 3, 5, 6}, ""),
      matmul("vector_on_the_left", {5}, {2, 5, 6},
             "unsqueeze.default transpose.int transpose.int reshape.default unsqueeze.default bmm.default "
             "reshape.default transpose.int squeeze.dim"),
      matmul("vector_on_the_right", {2, 4, 5}, {5},
             "unsqueeze.default reshape.default unsqueeze.default bmm.default reshape.default squeeze.dim"),
      matmul("two_vectors_declines", {5}, {5}, ""),
      by_weight("weight", {2, 3, 4}, {4, 5}, false, "transpose.int linear.default"),
      by_weight("weight_matrix", {3, 4}, {4, 5}, false, "mm.default"),
      by_weight("weight_on_the_left", {6, 3}, {2, 3, 5}, true, "transpose.int linear.default transpose.int"),
      by_weight("weights_of_heads", {2, 3, 4, 5}, {1, 3, 5, 6}, false,
                "permute.default reshape.default reshape.default bmm.default reshape.default permute.default"),
      {"mm_computed",
       [](auto& g) {
         return g.finish({g.call("aten.mm.default", {g.input({3, 4}), g.input({4, 5})})});
       },
       decompose_products, "unsqueeze.default unsqueeze.default bmm.default squeeze.dim"},
      {"mm_by_weight_declines",
       [](auto& g) {
         return g.finish({g.call("aten.mm.default", {g.input({3, 4}), g.parameter("w", {4, 5})})});
       },
       decompose_products, ""},
  };
}

// A vector's product is taken apart in two steps.
bool to_the_end(GraphModule& module) { return run_passes(module, {{"decompose_products", decompose_products}}) > 0; }

PassCase attention(const std::string& name, NamedArgs named, const std::string& ops, Dims mask = {},
                   bool boolean = false, bool (*pass)(GraphModule&) = decompose_attention) {
  return {name,
          [=](GraphBuilder& g) {
            NamedArgs rest = named;
            if (!mask.empty()) {
              const at::Tensor seen = at::rand(mask) > 0.3;
              const at::Tensor value = boolean ? seen.logical_or(at::eye(mask.back()).to(at::kBool)) : at::randn(mask);
              rest.emplace_back("attn_mask", g.tensor("mask", value));
            }
            return g.finish({g.call("aten.scaled_dot_product_attention.default",
                                    {g.input({2, 3, 4, 5}), g.input({2, 3, 4, 5}), g.input({2, 3, 4, 6})}, rest)});
          },
          pass, ops};
}

// Four heads of queries on fewer keys.
PassCase grouped(const std::string& name, const Dims& key, NamedArgs named, const std::string& ops) {
  named.emplace_back("enable_gqa", true);
  return {name,
          [=](GraphBuilder& g) {
            return g.finish({g.call("aten.scaled_dot_product_attention.default",
                                    {g.input({2, 4, 7, 5}), g.input(key), g.input(key)}, named)});
          },
          decompose_attention, ops};
}

std::vector<PassCase> attentions() {
  const auto in_a_row = [](const std::string& ops) {
    return "reshape.default reshape.default reshape.default " + ops + " reshape.default";
  };
  const std::string in_rows = "expand.default view.default expand.default view.default bmm.default ";
  const auto scores = [&](const std::string& view) { return "mul.Scalar transpose.int mul.Scalar " + in_rows + view; };
  const auto weighted = [&](const std::string& view) { return "_safe_softmax.default " + in_rows + view; };
  const std::string plain = "mul.Tensor transpose.int matmul.default softmax.int matmul.default";
  const std::string masked = "mul.Tensor transpose.int matmul.default add.Tensor softmax.int matmul.default";
  return {
      attention("plain", {}, in_a_row(plain)),
      attention("scale", {{"scale", 0.3}}, in_a_row(plain)),
      attention("scale_1", {{"scale", 1.0}}, in_a_row("transpose.int matmul.default softmax.int matmul.default")),
      attention("causal", {{"is_causal", true}}, in_a_row(masked)),
      attention("mask", {}, in_a_row(masked), {4, 4}),
      attention("mask_of_one_matrix", {}, in_a_row(masked), {1, 1, 4, 4}),
      attention("mask_of_heads", {}, masked, {1, 3, 4, 4}),
      attention("mask_of_booleans", {}, in_a_row(masked), {4, 4}, true),
      {"three_dimensions",
       [](auto& g) {
         return g.finish({g.call("aten.scaled_dot_product_attention.default",
                                 {g.input({2, 4, 5}), g.input({2, 6, 5}), g.input({2, 6, 3})})});
       },
       decompose_attention, plain},
      attention("traced", {{"scale", 0.3}}, scores("_unsafe_view.default") + " " + weighted("_unsafe_view.default"), {},
                false, trace_attention),
      attention("traced_mask", {}, scores("_unsafe_view.default") + " add.Tensor " + weighted("_unsafe_view.default"),
                {4, 4}, false, trace_attention),
      attention("traced_booleans_decline", {}, "", {4, 4}, true, trace_attention),
      attention("traced_causal_declines", {{"is_causal", true}}, "", {}, false, trace_attention),
      {"traced_kernel",
       [](auto& g) {
         Node* x = g.input({2, 3, 4, 5});
         return g.finish({g.call("aten.scaled_dot_product_attention.default", {x, x, x})});
       },
       trace_attention,
       scores("view.default") + " " + weighted("view.default") + " permute.default clone.default permute.default"},
      {"dropout_declines",
       [](auto& g) {
         Node* x = g.input({2, 3, 4, 5});
         return g.finish({g.call("aten.scaled_dot_product_attention.default", {x, x, x, Arg(), 0.5})});
       },
       decompose_attention, "", true},
      grouped("grouped_queries", {2, 2, 7, 5}, {}, in_a_row("reshape.default " + plain)),
      grouped("grouped_queries_causal", {2, 2, 7, 5}, {{"is_causal", true}}, in_a_row("reshape.default " + masked)),
      grouped("one_key_for_all", {2, 1, 7, 5}, {}, in_a_row("reshape.default " + plain)),
      grouped("a_key_each", {2, 4, 7, 5}, {}, in_a_row(plain)),
      {"grouped_queries_with_masks_of_heads_decline",
       [](auto& g) {
         Node* few = g.input({2, 2, 4, 5});
         return g.finish({g.call("aten.scaled_dot_product_attention.default",
                                 {g.input({2, 4, 4, 5}), few, few, g.tensor("mask", at::randn({1, 4, 4, 4}))},
                                 {{"enable_gqa", true}})});
       },
       decompose_attention, ""},
      {"computed_booleans_decline",
       [](auto& g) {
         Node* x = g.input({2, 3, 4, 5});
         Node* mask = g.call("aten.ge.Scalar", {g.call("aten.exp.default", {g.input({4, 4})}), 0.0});
         return g.finish({g.call("aten.scaled_dot_product_attention.default", {x, x, x, mask})});
       },
       decompose_attention, ""},
  };
}

PassCase einsum(const std::string& name, const std::string& equation, const std::vector<Dims>& sizes,
                const std::string& ops) {
  return {name,
          [=](GraphBuilder& g) {
            std::vector<Arg> factors;
            for (const Dims& each : sizes) factors.emplace_back(g.input(each));
            return g.finish({g.call("aten.einsum.default", {equation, Arg(factors)})});
          },
          decompose_einsum, ops};
}

PassCase einsum(const std::string& name, const std::string& equation, Dims a, Dims b, const std::string& ops) {
  return einsum(name, equation, std::vector<Dims>{std::move(a), std::move(b)}, ops);
}

std::vector<PassCase> einsums() {
  return {
      einsum("scores", "bhqd,bhkd->bhqk", {2, 3, 4, 5}, {2, 3, 6, 5}, "permute.default matmul.default"),
      einsum("scores_heads_last", "bqhd, bkhd -> bhqk", {2, 4, 3, 5}, {2, 6, 3, 5},
             "permute.default permute.default matmul.default"),
      einsum("values", "bhqk,bkhd->bqhd", {2, 3, 4, 6}, {2, 6, 3, 5}, "permute.default matmul.default permute.default"),
      einsum("projection", "bnd,dhe->bnhe", {2, 4, 5}, {5, 3, 2},
             "reshape.default reshape.default matmul.default reshape.default"),
      einsum("summed_heads", "bnhe,hed->bnd", {2, 4, 3, 2}, {3, 2, 5},
             "reshape.default reshape.default matmul.default reshape.default"),
      einsum("outer", "bi,bj->bij", {2, 3}, {2, 4}, "reshape.default reshape.default matmul.default"),
      einsum("matrix", "ij,jk->ki", {3, 4}, {4, 5}, "matmul.default permute.default"),
      einsum("elementwise", "bi,bi->bi", {2, 3}, {2, 3}, "mul.Tensor"),
      einsum("elementwise_turned", "bij,bji->bij", {2, 3, 4}, {2, 4, 3}, "permute.default mul.Tensor"),
      einsum("dots", "...ij,...jk->...ik", {2, 3, 4}, {2, 4, 5}, "matmul.default"),
      einsum("dots_of_one_factor", "...d,de->...e", {2, 3, 4}, {4, 5},
             "reshape.default matmul.default reshape.default"),
      einsum("dots_of_other_lengths", "b...d,...de->b...e", {2, 3, 4}, {3, 4, 5},
             "permute.default matmul.default permute.default"),
      einsum("dots_that_are_summed", "b...,bj->bj", {2, 3, 4}, {2, 5},
             "sum.dim_IntList reshape.default reshape.default matmul.default reshape.default"),
      einsum("without_arrow", "ij,jk", {3, 4}, {4, 5}, "matmul.default"),
      einsum("without_arrow_by_the_alphabet", "ba", {{2, 3}}, "permute.default"),
      einsum("one_turned", "bchw->bhwc", {{2, 3, 4, 5}}, "permute.default"),
      einsum("one_summed", "bchw->bc", {{2, 3, 4, 5}}, "sum.dim_IntList"),
      einsum("one_diagonal", "bii->bi", {{2, 3, 3}}, "reshape.default slice.Tensor"),
      einsum("one_diagonal_apart", "bici->bci", {{2, 3, 4, 3}}, "permute.default reshape.default slice.Tensor"),
      einsum("trace", "bii->b", {{2, 3, 3}}, "reshape.default slice.Tensor sum.dim_IntList"),
      einsum("diagonal_of_a_factor", "bii,bij->bj", {2, 3, 3}, {2, 3, 4},
             "reshape.default slice.Tensor reshape.default matmul.default reshape.default"),
      einsum("sum_of_one", "bij,bk->bik", {2, 3, 4}, {2, 5},
             "sum.dim_IntList reshape.default reshape.default matmul.default"),
      einsum("three", "bij,bjk,bkl->bil", {{2, 3, 4}, {2, 4, 5}, {2, 5, 6}}, "matmul.default matmul.default"),
      einsum("three_with_an_elementwise", "bi,bi,ij->bj", {{2, 3}, {2, 3}, {3, 4}}, "mul.Tensor matmul.default"),
      einsum("graph_convolution", "nkctv,kvw->nctw", {2, 3, 4, 5, 6}, {3, 6, 7},
             "permute.default reshape.default reshape.default matmul.default reshape.default"),
      einsum("same_declines", "bij->bij", {{2, 3, 4}}, ""),
      einsum("diagonal_of_samples_declines", "iij->ij", {{3, 3, 4}}, ""),
      einsum("sum_of_samples", "bi->i", {{2, 3}}, "sum.dim_IntList"),
      einsum("sum_of_samples_of_a_factor", "bi,ij->j", {2, 3}, {3, 4}, "matmul.default sum.dim_IntList"),
      einsum("number", "bi,bi->", {2, 3}, {2, 3},
             "reshape.default reshape.default matmul.default reshape.default sum.dim_IntList"),
      einsum("number_of_one", "bij->", {{2, 3, 4}}, "sum.dim_IntList sum.dim_IntList"),
      einsum("spread_size_declines", "bij,bjk->bik", {2, 3, 4}, {1, 4, 5}, ""),
  };
}

std::vector<PassCase> rotations() {
  const auto on_views = [](GraphModule& module) {
    return lowering::decompose_complex(module, lowering::ComplexSources::kViews);
  };
  return {
      {"rotary",
       [](GraphBuilder& g) {
         Node* pairs = g.call("aten.view_as_complex.default", {g.input({2, 6, 4, 2})});
         Node* turned = g.call("aten.mul.Tensor", {pairs, g.tensor("turn", at::randn({6, 4}, at::kComplexFloat))});
         return g.finish({g.call("aten.view_as_real.default", {turned})});
       },
       on_views,
       "select.int select.int mul.Tensor mul.Tensor sub.Tensor mul.Tensor mul.Tensor add.Tensor unsqueeze.default "
       "unsqueeze.default cat.default"},
      {"spectrum_declines",
       [](GraphBuilder& g) {
         return g.finish({g.call("aten.abs.default", {g.call("aten.fft_rfft.default", {g.input({2, 8})})})});
       },
       on_views, ""},
  };
}

std::vector<PassCase> softmaxes() {
  const auto softmax = [](Dims sizes, int64_t dim) {
    return [=](GraphBuilder& g) { return g.finish({g.call("aten.softmax.int", {g.input(sizes), dim})}); };
  };
  const auto of_image = [](int64_t dim) {
    return [=](GraphBuilder& g) {
      return g.finish({g.call("aten.softmax.int", {g.conv2d("c", g.input({2, 3, 4, 5}), 3, 6), dim})});
    };
  };
  const std::string turned = "permute.default softmax.int permute.default";
  return {
      {"middle", softmax({2, 3, 4}, 1), turn_softmax, turned},
      {"first", softmax({2, 3, 4, 5}, 0), turn_softmax, turned},
      {"last_declines", softmax({2, 3, 4}, -1), turn_softmax, ""},
      {"channels_of_an_image_decline", of_image(1), turn_softmax, ""},
      {"width_of_an_image", of_image(3), turn_softmax, "conv2d.default permute.default softmax.int permute.default"},
  };
}

std::vector<PassCase> shares() {
  const auto product = [](const std::string& gate) {
    return [=](GraphBuilder& g) {
      const std::vector<Arg> more = gate == "aten.softmax.int" ? std::vector<Arg>{int64_t{-1}} : std::vector<Arg>{};
      std::vector<Arg> args = {g.input({2, 4, 3})};
      args.insert(args.end(), more.begin(), more.end());
      Node* share = g.call("aten.transpose.int", {g.call(gate, std::move(args)), int64_t{1}, int64_t{2}});
      return g.finish({g.call("aten.bmm.default", {share, g.input({2, 4, 5})})});
    };
  };
  return {
      {"softmax", product("aten.softmax.int"), add_relus_before_products,
       "softmax.int transpose.int relu.default bmm.default"},
      {"sigmoid", product("aten.sigmoid.default"), add_relus_before_products,
       "sigmoid.default transpose.int relu.default bmm.default"},
      {"softmax_behind_dropout",
       [](auto& g) {
         Node* share = g.call("aten.softmax.int", {g.input({2, 4, 3}), int64_t{-1}});
         Node* dropped = g.call("aten.dropout.default", {share, 0.1, false});
         return g.finish({g.call("aten.bmm.default", {dropped, g.input({2, 3, 5})})});
       },
       add_relus_before_products, "softmax.int dropout.default relu.default bmm.default"},
      {"tanh_declines", product("aten.tanh.default"), add_relus_before_products, ""},
  };
}

class AttentionPassTest : public testing::TestWithParam<PassCase> {};

TEST_P(AttentionPassTest, KeepsResultsShapesAndRests) {
  PassCase each = GetParam();
  if (each.name.rfind("vector_on", 0) == 0) each.pass = to_the_end;
  test::expect_pass(each);
}

const auto kCase = [](const auto& each) { return each.param.name; };

INSTANTIATE_TEST_SUITE_P(Products, AttentionPassTest, testing::ValuesIn(products()), kCase);
INSTANTIATE_TEST_SUITE_P(Attention, AttentionPassTest, testing::ValuesIn(attentions()), kCase);
INSTANTIATE_TEST_SUITE_P(Einsum, AttentionPassTest, testing::ValuesIn(einsums()), kCase);
INSTANTIATE_TEST_SUITE_P(Rotations, AttentionPassTest, testing::ValuesIn(rotations()), kCase);
INSTANTIATE_TEST_SUITE_P(Shares, AttentionPassTest, testing::ValuesIn(shares()), kCase);
INSTANTIATE_TEST_SUITE_P(Softmax, AttentionPassTest, testing::ValuesIn(softmaxes()), kCase);

}  // namespace
}  // namespace octet::targets

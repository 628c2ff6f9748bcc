// A chain of many steps, and a value with many readers, prepared, converted and compared on a small stack: depth is no
// recursion.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "octet/quantize/compare.h"
#include "octet/quantize/encodings.h"
#include "octet/quantize/freeze.h"
#include "octet/quantize/quantize_pt2e.h"
#include "octet/quantize/rows.h"
#include "octet/quantize/sharing.h"
#include "tests/quantize/test_nets.h"
#include "tests/support/small_stack.h"

namespace octet {
namespace {

using test::kDeep;
using test::on_small_stack;

std::shared_ptr<GraphModule> chain(const std::string& op) {
  test::Net net({1, 2});
  for (int64_t i = 0; i < kDeep; ++i) net.call(op, {Arg(net.last)});
  return net.finish();
}

// Every step shares the observer of the one before it: one group, whose anchors lie in a row.
TEST(DeepGraph, OfSharedSpecsIsPreparedAndConverted) {
  on_small_stack([] {
    const auto model = chain("aten.alias.default");
    const auto original = model->copy();
    test::LambdaQuantizer quantizer([](GraphModule& module) {
      for (Node* node : module.graph().nodes()) {
        if (node->kind() == NodeKind::kPlaceholder) {
          ensure_annotation(*node).output_qspec = test::activation_spec(false);
        } else if (node->is_call()) {
          Node* input = node->inputs().front();
          ensure_annotation(*node).set_input(input, SharedQuantizationSpec{EdgeOrNode(input)});
          ensure_annotation(*node).output_qspec = SharedQuantizationSpec{EdgeOrNode(input, node)};
        }
      }
    });
    const auto prepared = prepare_pt2e(model, quantizer);
    EXPECT_EQ(prepared->callable_names().size(), 1U);
    prepared->run({at::rand({1, 2})});
    const auto converted = convert_pt2e(prepared);
    EXPECT_EQ(quantization_rows(*converted).size(), static_cast<size_t>(kDeep) + 1);
    EXPECT_EQ(encodings(*converted)["encodings"].size(), static_cast<size_t>(kDeep) + 1);
    EXPECT_EQ(compare_models(*original, *converted, {at::rand({1, 2})}).layers.size(), static_cast<size_t>(kDeep));
  });
}

TEST(DeepGraph, OfStepsInPlaceIsPreparedAndFrozen) {
  on_small_stack([] {
    const auto model = chain("aten.relu_.default");
    test::SimpleQuantizer quantizer(/*qat=*/true);
    const auto prepared = prepare_qat_pt2e(model, quantizer);
    prepared->run({at::rand({1, 2})});
    EXPECT_EQ(test::calls(*frozen(*prepared), "aten.relu_.default").size(), static_cast<size_t>(kDeep));
  });
}

TEST(DeepGraph, OfConstantsIsFolded) {
  on_small_stack([] {
    test::Net net({2});
    Node* x = net.last;
    Node* weight = net.parameter("w", at::ones({2}));
    for (int64_t i = 0; i < kDeep; ++i) weight = net.call("aten.neg.default", {Arg(weight)});
    Node* sum = net.call("aten.add.Tensor", {Arg(x), Arg(weight)});
    test::LambdaQuantizer quantizer([&](GraphModule& module) {
      QuantizationAnnotation& note = ensure_annotation(*module.graph().find(sum->name()));
      for (Node* input : sum->inputs()) note.set_input(input, test::activation_spec(false));
    });
    const auto prepared = prepare_pt2e(net.finish(), quantizer);
    prepared->run({at::rand({2})});
    EXPECT_LT(convert_pt2e(prepared)->graph().size(), 20U);
  });
}

// Edges of one producer: as many as there are readers, one observer where their specs are equal.
TEST(DeepGraph, OfManyReadersSharesOneObserver) {
  test::Net net({1, 2});
  Node* x = net.last;
  std::vector<Arg> results;
  for (int64_t i = 0; i < kDeep; ++i) results.emplace_back(net.call("aten.relu.default", {Arg(x)}));
  net.module->graph().output(std::move(results));
  for (Node* reader : x->users()) ensure_annotation(*reader).set_input(x, test::activation_spec(false));
  const SharingGroups groups = resolve_sharing(net.module->graph());
  ASSERT_EQ(groups.groups.size(), 1U);
  EXPECT_EQ(groups.groups[0].members.size(), static_cast<size_t>(kDeep));
  test::LambdaQuantizer annotated([](GraphModule&) {});
  const auto prepared = prepare_pt2e(net.module, annotated);
  EXPECT_EQ(x->user_count(), 1U);
}

}  // namespace
}  // namespace octet

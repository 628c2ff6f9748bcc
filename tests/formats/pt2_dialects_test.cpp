// Programs that torch.export writes in other words: blocks with bodies, decomposed operators, other types of floats.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "octet/formats/json.h"
#include "octet/formats/pt2.h"
#include "octet/formats/pt2_bodies.h"
#include "octet/formats/pt2_schema.h"
#include "octet/formats/state_dict.h"
#include "octet/graph/compose.h"
#include "tests/support/error_test.h"
#include "tests/support/test_data.h"

namespace octet {
namespace {

using nlohmann::json;
using test::fails_with;

std::map<std::string, at::Tensor> tensors(const std::string& file) {
  std::map<std::string, at::Tensor> all;
  for (const auto& [name, tensor] : load_state_dict(test::data("formats/" + file))) all[name] = tensor;
  return all;
}

double furthest(const at::Tensor& got, const at::Tensor& wanted) { return (got - wanted).abs().max().item<double>(); }

size_t calls_of(const GraphModule& module, OpName op) {
  const std::vector<Node*> nodes = module.graph().nodes();
  return static_cast<size_t>(std::count_if(nodes.begin(), nodes.end(), [&](const Node* n) { return n->is_call(op); }));
}

TEST(Pt2Blocks, TheirBodiesAreTheGraph) {
  const at::NoGradGuard no_grad;
  const auto data = tensors("blocks.pth");
  const auto module = load_pt2(test::data("formats/blocks.pt2"));
  EXPECT_EQ(calls_of(*module, "aten.linear.default"), 3u);
  const auto got = module->run({data.at("x")});
  ASSERT_EQ(got.size(), 2u);
  EXPECT_LT(furthest(got[0], data.at("out_0")), 1e-6);
  EXPECT_LT(furthest(got[1], data.at("out_1")), 1e-6);
  for (const Node* node : module->graph().nodes()) {
    EXPECT_TRUE(!node->is_call() || node->meta()) << node->name();
  }
}

// torch.no_grad() around a part of forward freezes it.
TEST(Pt2Blocks, WithoutGradientsLeaveTheirParametersAlone) {
  const auto module = load_pt2(test::data("formats/blocks.pt2"));
  for (const char* name : {"a.weight", "a.bias", "b.weight", "b.bias"}) {
    EXPECT_FALSE(module->attr(name).requires_grad()) << name;
  }
  EXPECT_TRUE(module->attr("c.weight").requires_grad());
}

// A program of one wrapped relu, or of what `edit` makes of it.
json wrapped(int depth, const std::function<void(json& node)>& edit = {}) {
  const auto tensor = [](const char* name) { return json{{"as_tensor", {{"name", name}}}}; };
  const json meta = {{"dtype", 7},
                     {"sizes", {{{"as_int", 2}}}},
                     {"strides", {{{"as_int", 1}}}},
                     {"requires_grad", false},
                     {"layout", 7}};
  json graph = {{"inputs", {tensor("x")}},
                {"outputs", {tensor("y")}},
                {"nodes",
                 {{{"target", "torch.ops.aten.relu.default"},
                   {"inputs", json::array({{{"name", "self"}, {"arg", tensor("x")}}})},
                   {"outputs", {tensor("y")}}}}},
                {"tensor_values", {{"x", meta}, {"y", meta}}}};
  for (int i = 0; i < depth; ++i) {
    json node = {{"target", "torch.ops.higher_order.wrap_with_set_grad_enabled"},
                 {"name", "block"},
                 {"inputs", json::array({{{"name", ""}, {"arg", {{"as_bool", false}}}},
                                         {{"name", ""}, {"arg", {{"as_graph", {{"name", "g"}, {"graph", graph}}}}}},
                                         {{"name", ""}, {"arg", tensor("x")}}})},
                 {"outputs", {tensor("y")}}};
    if (edit && i + 1 == depth) edit(node);
    graph["nodes"] = json::array({node});
  }
  return {{"schema_version", {{"major", 8}, {"minor", 14}}},
          {"graph_module",
           {{"graph", graph},
            {"signature",
             {{"input_specs", {{{"user_input", {{"arg", tensor("x")}}}}}},
              {"output_specs", {{{"user_output", {{"arg", tensor("y")}}}}}}}}}}};
}

pt2::Program entered(const json& document) {
  pt2::Program program = pt2::read_program(JsonCursor(document, "m.pt2"));
  pt2::enter_bodies(program);
  return program;
}

TEST(Pt2Blocks, NamesStayUniqueInBodiesOfBodies) {
  const pt2::Program program = entered(wrapped(3));
  ASSERT_EQ(program.nodes.size(), 1u);
  EXPECT_EQ(program.nodes[0].target, "torch.ops.aten.relu.default");
  EXPECT_EQ(program.nodes[0].inputs[0].second.names[0], "x");
  const std::string made = program.nodes[0].outputs[0].names[0];
  EXPECT_NE(made, "y") << "which the program itself names";
  EXPECT_EQ(program.outputs[0].names[0], made);
  EXPECT_EQ(program.tensor_values.count(made), 1u);
}

TEST(Pt2Blocks, DamagedOnesAreErrors) {
  EXPECT_TRUE(fails_with([] { entered(wrapped(30)); }, "nested deeper"));
  const auto set = [](const std::function<void(json&)>& edit) { return [edit] { entered(wrapped(1, edit)); }; };
  EXPECT_TRUE(
      fails_with(set([](json& node) { node["inputs"].erase(2); }), "arguments for its body: expected 1, got 0"));
  EXPECT_TRUE(fails_with(set([](json& node) { node["inputs"].erase(1); }), "expected its body"));
  EXPECT_TRUE(fails_with(set([](json& node) {
                           node["inputs"][0]["arg"] = {{"as_int", 3}};
                         }),
                         "expected true or false"));
  EXPECT_TRUE(fails_with(set([](json& node) { node["inputs"][2]["arg"] = {{"as_int", 3}}; }), "expected a tensor"));
  EXPECT_TRUE(
      fails_with(set([](json& node) { node["outputs"].push_back(node["outputs"][0]); }), "results of its body"));
  EXPECT_TRUE(fails_with(set([](json& node) { node["inputs"][1]["arg"]["as_graph"]["graph"].erase("nodes"); }),
                         "the field 'nodes' is missing"));
}

TEST(Pt2Dialects, DecomposedOperatorsArePutTogether) {
  const at::NoGradGuard no_grad;
  const auto data = tensors("mixed.pth");
  const auto module = load_pt2(test::data("formats/decomposed.pt2"));
  EXPECT_LT(furthest(module->run({data.at("x")})[0], data.at("decomposed")), 1e-6);
  for (const char* op :
       {"aten.conv2d.default", "aten.batch_norm.default", "aten.max_pool2d.default", "aten.conv_transpose2d.input",
        "aten.group_norm.default", "aten.layer_norm.default", "aten.linear.default", "aten.softmax.int"}) {
    EXPECT_EQ(calls_of(*module, OpName(std::string(op))), 1u) << op;
  }
  EXPECT_EQ(compose_operators(*module), 0u) << "again";
}

class OtherFloats : public ::testing::TestWithParam<const char*> {};

TEST_P(OtherFloats, AreReadAsFloat32) {
  const at::NoGradGuard no_grad;
  const auto data = tensors("mixed.pth");
  const auto module = load_pt2(test::data(str("formats/", GetParam(), ".pt2")));
  for (const std::string& name : module->attr_names()) {
    const at::Tensor value = module->attr(name);
    EXPECT_TRUE(value.scalar_type() == at::kFloat || !value.is_floating_point()) << name;
  }
  for (const Node* node : module->graph().nodes()) {
    if (!node->meta()) continue;
    EXPECT_NE(node->meta()->dtype, at::kDouble) << node->name();
    EXPECT_NE(node->meta()->dtype, at::kBFloat16) << node->name();
  }
  const at::Tensor got = module->run({data.at("x")})[0];
  EXPECT_EQ(got.scalar_type(), at::kFloat);
  EXPECT_LT(furthest(got, data.at(GetParam())), GetParam() == std::string("bfloat16") ? 0.05 : 1e-5);
}

INSTANTIATE_TEST_SUITE_P(All, OtherFloats, ::testing::Values("float64", "bfloat16"),
                         [](const auto& each) { return std::string(each.param); });

}  // namespace
}  // namespace octet

// Which operators a file may hold: every other one is refused before anything runs, and none of these trusts what it is
// given.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "octet/formats/allowed_operators.h"
#include "octet/formats/container.h"
#include "octet/formats/graph_json.h"
#include "octet/formats/pt2.h"
#include "octet/formats/pt2_builder.h"
#include "octet/graph/call_check.h"
#include "tests/formats/malformed.h"
#include "tests/support/error_test.h"

namespace octet {
namespace {

using nlohmann::json;
using test::fails_with;

std::vector<Op> operators_of_this_process() {
  std::vector<Op> all;
  for (const c10::OperatorName& name : c10::Dispatcher::singleton().getAllOpNames()) {
    if (const auto handle = c10::Dispatcher::singleton().findSchema(name)) all.emplace_back(*handle);
  }
  return all;
}

std::string error_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

json graph_with(const std::string& target, const json& args = json::array({{{"node", "x"}}})) {
  return {{{"kind", "placeholder"}, {"name", "x"}, {"target", "x"}, {"args", json::array()}},
          {{"kind", "call"}, {"name", "sneaky"}, {"target", target}, {"args", args}},
          {{"kind", "output"},
           {"name", "output"},
           {"target", ""},
           {"args", json::array({json::array({{{"node", "sneaky"}}})})}}};
}

void read_graph(const json& nodes, const AllowedOperators& operators = {}) {
  Graph graph;
  Budget budget("m.octet", 0);
  graph_from_json(JsonCursor(nodes, "m.octet"), graph, operators, budget);
}

void read_program_with(const std::string& target) {
  const json tensor = {{"as_tensor", {{"name", "x"}}}};
  const json meta = {{"dtype", 7},
                     {"sizes", json::array({{{"as_int", 4}}})},
                     {"strides", json::array({{{"as_int", 1}}})},
                     {"storage_offset", {{"as_int", 0}}},
                     {"requires_grad", false},
                     {"layout", 7},
                     {"device", {{"type", "cpu"}, {"index", nullptr}}}};
  const json out = {{"as_tensor", {{"name", "sneaky"}}}};
  const json document = {{"schema_version", {{"major", 8}, {"minor", 14}}},
                         {"graph_module",
                          {{"graph",
                            {{"inputs", {tensor}},
                             {"outputs", {out}},
                             {"nodes",
                              {{{"target", "torch.ops." + target},
                                {"inputs", json::array({{{"name", "self"}, {"arg", tensor}, {"kind", 1}}})},
                                {"outputs", {out}},
                                {"metadata", json::object()}}}},
                             {"tensor_values", {{"x", meta}, {"sneaky", meta}}},
                             {"sym_int_values", json::object()},
                             {"sym_bool_values", json::object()}}},
                           {"signature",
                            {{"input_specs", {{{"user_input", {{"arg", tensor}}}}}},
                             {"output_specs", {{{"user_output", {{"arg", out}}}}}}}}}}};
  const pt2::Program program = pt2::read_program(JsonCursor(document, "m.pt2"));
  pt2::build_module(program, {}, pt2::Archive{}, pt2::Symbols(program, 0), {});
}

TEST(Operators, EveryOneOutsideTheListIsRefusedWithTheNodesName) {
  size_t refused = 0;
  for (const Op& op : operators_of_this_process()) {
    if (AllowedOperators().has(op.text())) continue;
    for (const std::string& message :
         {error_of([&] { read_graph(graph_with(op.text())); }), error_of([&] { read_program_with(op.text()); })}) {
      EXPECT_NE(message.find("'sneaky'"), std::string::npos) << op.text() << ": " << message;
      EXPECT_NE(message.find("'" + op.text() + "'"), std::string::npos) << op.text() << ": " << message;
      const bool for_ever = message.find("no file may hold it") != std::string::npos;
      const bool way_in = message.find("--allow-operator " + op.text()) != std::string::npos;
      EXPECT_NE(for_ever, way_in) << message;
    }
    ++refused;
  }
  EXPECT_GT(refused, 2000U);
  EXPECT_NO_THROW(read_program_with("aten.relu.default"));
  EXPECT_NO_THROW(read_graph(graph_with("aten.relu.default")));
}

TEST(Operators, EveryOneOnTheListIsThereAndTaken) {
  size_t taken = 0;
  for (const std::string& name : allowed_operator_names()) {
    if (!Op::try_find(name)) {  // the rooms above register theirs; torchao's come with a process of Python
      EXPECT_TRUE(name.rfind("aten.", 0) != 0) << name;
      continue;
    }
    EXPECT_EQ(AllowedOperators().find(name, "m").text(), name);
    EXPECT_TRUE(reaches_out(name).empty()) << name;
    ++taken;
  }
  EXPECT_GT(taken, 1000U);
}

TEST(Operators, NoneOnTheListTakesWhatNoFileCanGive) {
  for (const std::string& name : allowed_operator_names()) {
    const auto op = Op::try_find(name);
    if (!op) continue;
    for (const c10::Argument& argument : op->schema().arguments()) {
      const std::string type = argument.real_type()->repr_str();
      EXPECT_EQ(type.find("Storage"), std::string::npos) << name;
      EXPECT_EQ(type.find("Stream"), std::string::npos) << name;
      EXPECT_EQ(type.find("__torch__"), std::string::npos) << name;
    }
  }
}

TEST(Operators, AUserLetsThemInByNameButNotThoseThatReachOut) {
  const AllowedOperators more({"aten.fractional_max_pool2d", "aten._stack.default"});
  EXPECT_TRUE(more.has("aten.fractional_max_pool2d.default"));
  EXPECT_FALSE(more.has("aten.fractional_max_pool3d.default"));
  EXPECT_EQ(more.find("aten._stack.default", "m").text(), "aten._stack.default");
  for (const char* name :
       {"aten.from_file", "aten.from_file.default", "aten._reshape_alias", "inductor._reinterpret_tensor", "c10d.send",
        "prim.Print", "aten.save", "aten._convert_indices_from_coo_to_csr"}) {
    EXPECT_TRUE(fails_with([&] { AllowedOperators({name}); }, "no file may hold it")) << name;
    EXPECT_TRUE(fails_with([&] { more.find(name, "m"); }, "no file may hold it")) << name;
  }
  EXPECT_TRUE(fails_with([] { AllowedOperators({"my.op"}); }, "no such operator"));
  EXPECT_TRUE(fails_with([] { AllowedOperators().find("my.op.default", "m"); }, "unknown operator"));
}

TEST(Operators, CodesThatAtenWouldIndexTablesWithAreChecked) {
  const auto with = [](const json& dtype, const json& layout, const json& device, const json& format) {
    return graph_with("aten.empty_like.default",
                      json::array({{{"node", "x"}}, dtype, layout, device, nullptr, format}));
  };
  EXPECT_NO_THROW(read_graph(with(6, 0, {{"device", "cpu"}}, 1)));
  EXPECT_TRUE(fails_with([&] { read_graph(with(200, nullptr, nullptr, nullptr)); }, "no type of elements: 200"));
  EXPECT_TRUE(fails_with([&] { read_graph(with(-1, nullptr, nullptr, nullptr)); }, "no type of elements"));
  EXPECT_TRUE(fails_with([&] { read_graph(with(12, nullptr, nullptr, nullptr)); }, "no type of elements"));  // qint8
  EXPECT_TRUE(fails_with([&] { read_graph(with(nullptr, 1, nullptr, nullptr)); }, "layout other than strided"));
  EXPECT_TRUE(fails_with([&] { read_graph(with(nullptr, nullptr, {{"device", "meta"}}, nullptr)); }, "device"));
  EXPECT_TRUE(fails_with([&] { read_graph(with(nullptr, nullptr, nullptr, 77)); }, "no memory format"));
  EXPECT_FALSE(error_of([&] { read_graph(with({{"node", "x"}}, nullptr, nullptr, nullptr)); }).empty());
}

TEST(Operators, ListsOfTheSmallestNumbersAreRefusedInOurOwnWords) {
  const std::string wrong = "is beyond what a size or a step can be: -9223372036854775808";
  const int64_t least = std::numeric_limits<int64_t>::min();
  const json x = {{"node", "x"}};
  EXPECT_TRUE(fails_with(
      [&] {
        read_graph(graph_with("aten.expand.default", json::array({x, {least, 4}, false})));
      },
      "argument 'size' of aten.expand.default " + wrong));
  EXPECT_TRUE(fails_with(
      [&] {
        read_graph(graph_with("aten.roll.default", json::array({x, {least}, {0}})));
      },
      "argument 'shifts' of aten.roll.default " + wrong));
  EXPECT_NO_THROW(read_graph(graph_with("aten.slice.Tensor", json::array({x, 0, least, 4, 1}))));
  EXPECT_TRUE(fails_with(
      [&] {
        check_call(Op::find("aten.expand.default"), {at::rand({1, 4}), std::vector{least}}, "");
      },
      wrong));
}

// --- arguments beyond their tensors

at::Tensor ints(std::vector<int64_t> values) { return at::tensor(values, at::kLong); }

struct Call {
  const char* op;
  std::vector<c10::IValue> args;  // the rest are the schema's defaults
};

void call(const Call& call) {
  const Op op = Op::find(call.op);
  c10::Stack stack(call.args.begin(), call.args.end());
  const auto& formals = op.schema().arguments();
  for (size_t i = stack.size(); i < formals.size(); ++i) {
    ASSERT_TRUE(formals[i].default_value().has_value()) << call.op << " lacks " << formals[i].name();
    stack.push_back(*formals[i].default_value());
  }
  check_call(op, stack, call.op);
  op.handle().callBoxed(stack);
}

TEST(Operators, IndicesBeyondTheTensorAreErrors) {
  const at::Tensor x = at::rand({3, 4});
  for (const int64_t beyond : {int64_t{3}, int64_t{-5}, int64_t{1} << 40, INT64_MIN, INT64_MAX}) {
    const at::Tensor i = ints({0, beyond});
    const at::Tensor row = i.reshape({1, 2});
    const c10::List<std::optional<at::Tensor>> list({std::optional<at::Tensor>(i)});
    const at::Tensor two = at::rand({2, 4});
    const int64_t far = beyond > 0 ? std::max<int64_t>(beyond, 1000) : std::min<int64_t>(beyond, -1000);
    for (const Call& one : std::vector<Call>{
             {"aten.embedding.default", {x, i}},
             {"aten.index_select.default", {x, 0, i}},
             {"aten.gather.default", {x, 0, row}},
             {"aten.index.Tensor", {x, list}},
             {"aten._unsafe_index.Tensor", {x, list}},
             {"aten.index_put.default", {x, list, two}},
             {"aten.index_put_.default", {x.clone(), list, two}},
             {"aten._unsafe_index_put.default", {x, list, two}},
             {"aten.index_add.default", {x, 0, i, two}},
             {"aten.index_copy.default", {x, 0, i, two}},
             {"aten.index_fill.int_Scalar", {x, 0, i, 1.0}},
             {"aten.index_reduce.default", {x, 0, i, two, "prod"}},
             {"aten.scatter.value", {x, 0, row, 1.0}},
             {"aten.scatter.src", {x, 0, row, two}},
             {"aten.scatter_.value", {x.clone(), 0, row, 1.0}},
             {"aten.scatter_add.default", {x, 0, row, two}},
             {"aten.scatter_reduce.two", {x, 0, row, two, "sum"}},
             {"aten.take.default", {x, ints({far})}},
             {"aten.put.default", {x, ints({far}), at::rand({1})}},
             {"aten.take_along_dim.default", {x, row, 0}},
             {"aten.nll_loss.default", {at::rand({2, 3}), i}},
             {"aten.cross_entropy_loss.default", {at::rand({2, 3}), i}},
             {"aten.multi_margin_loss.default", {at::rand({2, 3}), i}},
             {"aten.max_unpool2d.default",
              {at::rand({1, 1, 2}), ints({0, far}).reshape({1, 1, 2}), std::vector<int64_t>{1, 4}}},
             {"aten.select.int", {x, 0, far}},
             {"aten.narrow.default", {x, 0, far, 1}},
             {"aten.select_scatter.default", {x, at::rand({4}), 0, far}},
             {"aten.as_strided.default", {x, std::vector<int64_t>{2}, std::vector<int64_t>{far}}},
             {"aten.as_strided.default", {x, std::vector<int64_t>{2}, std::vector<int64_t>{1}, far}},
             {"aten.as_strided_.default", {x.clone(), std::vector<int64_t>{20}, std::vector<int64_t>{1}}},
             {"aten.as_strided_copy.default", {x, std::vector<int64_t>{20}, std::vector<int64_t>{1}}},
             {"aten.as_strided_scatter.default",
              {x, at::rand({20}), std::vector<int64_t>{20}, std::vector<int64_t>{1}}},
             {"aten.bucketize.Tensor", {x, at::rand({3, 3})}},
             {"aten.searchsorted.Tensor", {at::rand({3}), x, false, false, c10::IValue(), ints({0, 1, far})}},
             {"aten.one_hot.default", {ints({0, 5}), 3}},
             {"aten.split_with_sizes.default", {x, std::vector<int64_t>{far, 3}}},
             {"aten.repeat_interleave.self_Tensor", {x, ints({1, 1, INT64_MIN}), 0}},
         }) {
      SCOPED_TRACE(str(one.op, " ", beyond));
      EXPECT_ANY_THROW(call(one));
    }
  }
}

TEST(Operators, WhatLibtorchDoesNotCheckOctetDoes) {
  const at::Tensor x = at::rand({2, 6, 3});
  const at::Tensor empty = at::empty({0});
  const at::Tensor six = at::rand({6});
  const c10::IValue none;
  const std::vector<int64_t> last = {-1};
  const auto packed = [&](const at::Tensor& sizes) {
    const c10::List<at::Tensor> state({at::zeros({1, 1, 2}), at::zeros({1, 1, 2})});
    const c10::List<at::Tensor> weights({at::rand({8, 4}), at::rand({8, 2})});
    return Call{"aten.lstm.data", {at::rand({3, 4}), sizes, state, weights, false, 1, 0.0, false, false}};
  };
  const auto lstm = [](const at::Tensor& weight) {
    const c10::List<at::Tensor> state({at::zeros({1, 1, 2}), at::zeros({1, 1, 2})});
    const c10::List<at::Tensor> weights({weight, at::rand({8, 2})});
    return Call{"aten.lstm.input", {at::rand({3, 1, 4}), state, weights, false, 1, 0.0, false, false, false}};
  };
  const auto bags = [](const std::vector<int64_t>& rows, const std::vector<int64_t>& begins) {
    return Call{"aten.embedding_bag.default", {at::rand({3, 4}), ints(rows), ints(begins)}};
  };
  for (const Call& one : std::vector<Call>{
           {"aten._native_batch_norm_legit_no_training.default", {x, none, none, empty, empty, 0.1, 1e-5}},
           {"aten._native_batch_norm_legit.default", {x, empty, none, six, six, true, 0.1, 1e-5}},
           {"aten._native_batch_norm_legit.no_stats", {x, none, none, false, 0.1, 1e-5}},
           {"aten._native_batch_norm_legit_functional.default", {x, none, at::rand({6, 6}), six, six, true, 0.1, 1e-5}},
           {"aten.native_batch_norm.default", {x, empty, none, none, none, false, 0.1, 1e-5}},
           {"aten.conv1d.default",
            {x, at::rand({6, 6, 2}), none, std::vector<int64_t>{1}, std::vector<int64_t>{0},
             std::vector<int64_t>{INT64_MAX}, 1}},
           {"aten.convolution.default",
            {x, at::rand({6, 6, 2}), none, std::vector<int64_t>{int64_t{1} << 62}, std::vector<int64_t>{0},
             std::vector<int64_t>{1}, false, std::vector<int64_t>{0}, 1}},
           {"aten._weight_norm.default", {x, at::rand({2})}},
           {"aten._weight_norm_interface.default", {x, at::rand({6, 2})}},
           {"aten._fft_r2c.default", {x, std::vector<int64_t>{3}, 0, true}},
           {"aten._fft_r2c.default", {x, last, 0, true}},
           {"aten._fft_c2c.default", {x.to(at::kComplexFloat), std::vector<int64_t>{0, 0}, 0, true}},
           {"aten._fft_c2r.default", {x.to(at::kComplexFloat), std::vector<int64_t>{0}, 9, 4}},
           {"aten._scaled_dot_product_flash_attention_for_cpu.default",
            {at::rand({1, 2, 3, 4}), at::rand({0, 2, 3, 4}), at::rand({1, 2, 3, 4})}},
           {"aten._scaled_dot_product_flash_attention_for_cpu.default",
            {at::rand({1, 2, 3, 4}), at::rand({1, 2, 5, 4}), at::rand({1, 2, 3, 4})}},
           {"aten._fused_moving_avg_obs_fq_helper_functional.default",
            {x, ints({1}), ints({1}), six, six, six, at::zeros({6}, at::kInt), 0.1, -128, 127, 3, true}},
           {"aten._fused_moving_avg_obs_fq_helper_functional.default",
            {x, ints({1}), ints({1}), six, six, six, empty.to(at::kInt), 0.1, -128, 127, 1, true}},
           {"aten.scaled_dot_product_attention.default",
            {at::rand({2, 4, 16, 8}), at::rand({2, 4, 14, 8}), at::rand({2, 4, 16, 8})}},
           {"aten.scaled_dot_product_attention.default",
            {at::rand({2, 4, 16, 8}), at::rand({2, 4, 16, 8}), at::rand({2, 4, 16, 8}), at::rand({3, 16})}},
           {"aten._upsample_bicubic2d_aa.default",
            {at::rand({1, 2, 4, 2}), std::vector<int64_t>{7, 7}, false, 1.7, 1.7}},
           lstm(at::rand({12, 4})),
           lstm(at::rand({8, 3})),
           bags({0, 7}, {0}),
           bags({0, 1}, {0, 9}),
           bags({0, 1}, {1, 0}),
           {"aten.max_pool1d.default", {x, std::vector<int64_t>{int64_t{1} << 40}}},
           {"aten._nested_tensor_from_mask.default", {x, x}},
           {"aten.median.dim", {at::rand({2}).expand({3, 2}), 0}},
           {"aten.tensor_split.sections", {x, int64_t{1} << 31}},
           {"aten.div.Tensor_mode", {ints({3, INT64_MIN}), ints({-1}), "trunc"}},
           {"aten.div.Scalar_mode", {ints({INT32_MIN}).to(at::kInt), -1, "trunc"}},
           {"aten.divide_.Tensor_mode", {ints({INT64_MIN}), ints({-1}), "floor"}},
           {"aten.floor_divide.default", {ints({INT64_MIN}), ints({-1})}},
           packed(ints({INT64_MAX})),
           packed(ints({1, 1, 1, 1})),
           packed(ints({2, 1})),
           packed(at::rand({3}))}) {
    SCOPED_TRACE(one.op);
    EXPECT_TRUE(fails_with([&] { call(one); }, "argument '"));
  }
  EXPECT_NO_THROW(call({"aten._native_batch_norm_legit_no_training.default", {x, six, six, six, six, 0.1, 1e-5}}));
  EXPECT_NO_THROW(call({"aten._weight_norm.default", {x, at::rand({2, 1, 1})}}));
  EXPECT_NO_THROW(call({"aten._fft_r2c.default", {x, std::vector<int64_t>{2}, 0, true}}));
  EXPECT_NO_THROW(call(packed(ints({1, 1, 1}))));
  EXPECT_NO_THROW(call(lstm(at::rand({8, 4}))));
  EXPECT_NO_THROW(call(bags({0, 1, 2}, {0, 2})));
  EXPECT_NO_THROW(call({"aten.div.Tensor_mode", {ints({INT64_MIN, 1}), ints({1, -1}), "trunc"}}));
  EXPECT_NO_THROW(call({"aten.div.Tensor_mode", {ints({INT32_MIN}), ints({-1}), "trunc"}}));
}

TEST(Operators, AProgramIsCheckedWhileItRuns) {
  GraphModule module;
  Graph& graph = module.graph();
  Node* x = graph.placeholder("x");
  Node* mean = graph.placeholder("mean");
  Node* norm = graph.call("aten._native_batch_norm_legit_no_training", {x, Arg(), Arg(), mean, mean, 0.1, 1e-5});
  graph.output({graph.get_item(norm, 0)});
  EXPECT_EQ(module.run({at::rand({2, 6}), at::rand({6}).add(1)})[0].size(1), 6);
  EXPECT_TRUE(fails_with([&] { module.run({at::rand({2, 6}), at::empty({0})}); }, "running_mean"));
}

TEST(Operators, AbsurdSizesAreErrors) {
  const at::Tensor x = at::rand({3, 4});
  for (const Call& one : std::vector<Call>{
           {"aten.zeros.default", {std::vector<int64_t>{int64_t{1} << 45}}},
           {"aten.full.default", {std::vector<int64_t>{int64_t{1} << 32, int64_t{1} << 32}, 1.0}},
           {"aten.repeat.default", {x, std::vector<int64_t>{int64_t{1} << 40, 1}}},
           {"aten.constant_pad_nd.default", {x, std::vector<int64_t>{int64_t{1} << 45, 0}}},
           {"aten.arange.default", {1e15}},
       }) {
    SCOPED_TRACE(one.op);
    EXPECT_ANY_THROW(call(one));
  }
}

TEST(Operators, HostileContainersAreRefused) {
  EXPECT_TRUE(fails_with([] { load_octet(test::data("hostile/oob.octet")); }, "_convert_indices_from_coo_to_csr"));
}

}  // namespace
}  // namespace octet

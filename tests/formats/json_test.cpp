#include "octet/formats/json.h"

#include <gtest/gtest.h>

#include <cmath>

#include "octet/formats/sym_expr.h"
#include "tests/support/error_test.h"

namespace octet {
namespace {

using test::fails_with;

TEST(Json, RefusesDuplicateKeysAtAnyDepth) {
  EXPECT_TRUE(fails_with([] { parse_json(R"({"a": 1, "b": 2, "a": 3})", "f"); }, "\"a\" stands twice"));
  EXPECT_TRUE(fails_with([] { parse_json(R"([{"x": {"k": 1, "k": 2}}])", "f"); }, "\"k\" stands twice"));
  const std::string apart = R"([{"a":{"a":1}},{"a":[{"a":2},{"a":3}]}])";
  EXPECT_EQ(parse_json(apart, "f").dump(), apart);
}

TEST(Json, RefusesDepthSizeAndBrokenText) {
  const std::string deep(200000, '[');
  EXPECT_TRUE(fails_with([&] { parse_json(deep, "f"); }, "nested deeper"));
  EXPECT_TRUE(fails_with([] { parse_json("[1, 2, 3]", "f", {8, 10}); }, "too large"));
  EXPECT_TRUE(fails_with([] { parse_json("{\"a\": ", "f"); }, "[f] is no valid JSON"));
  EXPECT_TRUE(fails_with([] { parse_json("{} x", "f"); }, "is no valid JSON"));
  EXPECT_TRUE(fails_with([] { parse_json("\"\xff\"", "f"); }, "is no valid JSON"));
}

TEST(Json, NamesThePathOfAWrongValue) {
  const auto document =
      parse_json(R"({"graph": {"nodes": [{"target": "a"}, {"target": 5}], "big": 18446744073709551615}})", "f");
  const JsonCursor graph = JsonCursor(document, "f").at("graph");
  EXPECT_EQ(graph.at("nodes").elements()[0].at("target").to_string(), "a");
  EXPECT_TRUE(fails_with([&] { graph.at("nodes").elements()[1].at("target").to_string(); },
                         "[f: graph.nodes[1].target] expected a string, got 5"));
  EXPECT_TRUE(fails_with([&] { graph.at("edges"); }, "[f: graph] the field 'edges' is missing"));
  EXPECT_TRUE(fails_with([&] { graph.at("big").to_int(); }, "64-bit"));
  EXPECT_TRUE(fails_with([&] { graph.to_ints(); }, "expected an array, got an object"));
}

TEST(Json, ReadsNumbersThatJsonLacks) {
  const auto document = parse_json(R"(["Infinity", "-Infinity", "NaN", 2, 0.5])", "f");
  const auto values = JsonCursor(document, "f").elements();
  EXPECT_EQ(values[0].to_double(), INFINITY);
  EXPECT_EQ(values[1].to_double(), -INFINITY);
  EXPECT_TRUE(std::isnan(values[2].to_double()));
  EXPECT_EQ(values[3].to_double(), 2.0);
  EXPECT_EQ(json_double(-INFINITY), "-Infinity");
}

TEST(SymbolicExpression, EvaluatesBothForms) {
  const std::map<std::string, int64_t> sizes = {{"s0", 6}, {"s77", 4}};
  const auto value = [&](const char* text) { return evaluate_symbolic_int(text, sizes, "f"); };
  EXPECT_EQ(value("Symbol('s77', positive=True, integer=True)"), 4);
  EXPECT_EQ(value("Mul(Integer(2), Symbol('s77', integer=True, positive=True))"), 8);
  EXPECT_EQ(value("Add(Mul(Integer(-1), s0), Integer(10))"), 4);
  EXPECT_EQ(value("FloorDiv(Add(Symbol('s0'), Integer(-7)), Integer(2))"), -1);
  EXPECT_EQ(value("Mod(s0, 4)"), 2);
  EXPECT_EQ(value("Max(1, s0, s77)"), 6);
  EXPECT_EQ(value("Min(s0, s77)"), 4);
  EXPECT_EQ(value("2*s0 + 3 - s77//3"), 14);
  EXPECT_EQ(value("-(s0 - 8)**2"), -4);
  EXPECT_EQ(value("Pow(Symbol('s0', integer=True), Integer(2))"), 36);
  EXPECT_EQ(value("torch.utils._sympy.functions.CeilToInt(IntTrueDiv(s0, 4))"), 2);
  EXPECT_EQ(value("Mul(Rational(1, 2), s0)"), 3);
  EXPECT_EQ(value("GreaterThan(Symbol('s0'), Integer(2))"), 1);
  EXPECT_EQ(value("Eq(s0, s77)"), 0);
  EXPECT_EQ(value("s0 <= 5"), 0);
  EXPECT_EQ(single_symbol("Symbol('s77', positive=True)"), "s77");
  EXPECT_EQ(single_symbol("s0"), "s0");
  EXPECT_EQ(single_symbol("Mul(Integer(2), Symbol('s77'))"), "");
}

TEST(SymbolicExpression, RefusesWhatHasNoValue) {
  const auto value = [](const std::string& text) { evaluate_symbolic_int(text, {{"s0", 6}}, "f"); };
  EXPECT_TRUE(fails_with([&] { value("u0 + 1"); }, "'u0'"));
  EXPECT_TRUE(fails_with([&] { value("FloorDiv(s0, 0)"); }, "divides by zero"));
  EXPECT_TRUE(fails_with([&] { value("s0 / 4"); }, "not an integer"));
  EXPECT_TRUE(fails_with([&] { value("Integer(9223372036854775807) + 1"); }, "overflows"));
  EXPECT_TRUE(fails_with([&] { value("Integer(99999999999999999999)"); }, "cannot be read"));
  EXPECT_TRUE(fails_with([&] { value("Piecewise(s0, 1, 2)"); }, "cannot evaluate"));
  EXPECT_TRUE(fails_with([&] { value(std::string(1000, '(')); }, "nested too deeply"));
  EXPECT_TRUE(fails_with([&] { value(std::string(1000, '-')); }, "nested too deeply"));
  for (const char* text : {"", "(", "s0 +", "Add(", "Add(s0 s0)", "Symbol(", "Symbol('s0'", "2 ** 99999", "s0)",
                           "Integer(--1)", "..", "1e999x"}) {
    EXPECT_TRUE(test::works_or_reports([&] { value(text); })) << text;
  }
}

}  // namespace
}  // namespace octet

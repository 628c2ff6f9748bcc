// The program while it is made: producers, readers and order under edits, and what becomes of it.

#include "octet/lowering/program.h"

#include <gtest/gtest.h>

#include <random>

#include "octet/lowering/facts.h"
#include "octet/support/error.h"

namespace octet {
namespace {

using lowering::kNoOperator;
using lowering::kNoValue;
using lowering::OperatorId;
using lowering::Program;
using lowering::ValueId;
using tflite::OpCode;

const integer::Grid kGrid = integer::Grid::of_type(tflite::Type::kInt8, 0.5F, 3);

// x -> RELU a -> RELU b
struct Chain {
  Program program;
  ValueId x = program.value("x", {1, 4}, kGrid);
  ValueId a = program.value("a", {1, 4}, kGrid);
  ValueId b = program.value("b", {1, 4}, kGrid);
  OperatorId first, second;
  Chain() {
    program.add_input("x", x);
    first = program.emit(OpCode::kRelu, {x}, {a});
    second = program.emit(OpCode::kRelu, {a}, {b});
    program.add_output("output_0", b);
  }
};

TEST(ProgramEdits, KeepProducersAndReaders) {
  Chain chain;
  Program& program = chain.program;
  EXPECT_EQ(program.producer(chain.x), kNoOperator);
  EXPECT_EQ(program.producer(chain.b), chain.second);
  EXPECT_EQ(program.readers(chain.a), std::vector<OperatorId>{chain.second});

  const ValueId between = program.value("between", {1, 4}, kGrid);
  const OperatorId added = program.insert_before(chain.second, OpCode::kRelu, {chain.a}, {between});
  program.set_input(chain.second, 0, between);
  EXPECT_EQ(program.order(), (std::vector<OperatorId>{chain.first, added, chain.second}));
  EXPECT_EQ(program.readers(chain.a), std::vector<OperatorId>{added});
  EXPECT_EQ(program.read_count(between), 1u);
  program.verify();

  program.replace_reads(between, chain.x);
  EXPECT_FALSE(program.is_read(between));
  EXPECT_TRUE(program.erase_unread()) << "what nobody reads goes, and what that alone read";
  EXPECT_EQ(program.order(), std::vector<OperatorId>{chain.second});
  EXPECT_TRUE(program.is_erased(chain.first));
  EXPECT_EQ(program.producer(chain.a), kNoOperator);
  program.verify();
}

TEST(ProgramEdits, ComputeEachValueOnce) {
  Chain chain;
  EXPECT_THROW(chain.program.emit(OpCode::kRelu, {chain.x}, {chain.b}), Error);
  EXPECT_THROW(chain.program.emit(OpCode::kRelu, {chain.a}, {chain.x}), Error) << "an input";
  const ValueId constant = chain.program.integers("axes", {1, 2});
  EXPECT_THROW(chain.program.emit(OpCode::kRelu, {chain.a}, {constant}), Error);
  EXPECT_EQ(chain.program.integers_of(constant), (std::vector<int64_t>{1, 2}));
}

TEST(ProgramEdits, NamesAreUnique) {
  Program program;
  std::vector<std::string> names;
  for (int i = 0; i < 3; ++i) names.push_back(program.at(program.value("x", {1}, std::nullopt)).name);
  EXPECT_EQ(names, (std::vector<std::string>{"x", "x_1", "x_2"}));
  const ValueId other = program.value("y", {1}, std::nullopt);
  program.rename(other, "x_1");
  EXPECT_EQ(program.at(other).name, "x_1_1");
}

TEST(ProgramEdits, VerifyNamesWhatIsReadTooEarly) {
  Chain chain;
  chain.program.reorder({chain.second, chain.first});
  try {
    chain.program.verify();
    FAIL() << "b is computed before a";
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("reads 'a' too early"), std::string::npos) << error.what();
  }
}

// Any edits in any order leave producers and readers what the operators say, and ids what they were.
TEST(ProgramEdits, KeepTheirRulesAtRandom) {
  for (unsigned seed = 0; seed < 20; ++seed) {
    std::mt19937 random(seed);
    const auto below = [&](size_t count) { return static_cast<size_t>(random()) % count; };
    Program program;
    std::vector<ValueId> values = {program.value("in", {1}, kGrid)};
    program.add_input("in", values[0]);
    std::vector<std::string> names = {"in"};
    // Values that are there before an operator: of the input, of constants, of earlier operators.
    const auto readable_before = [&](OperatorId op) {
      std::vector<ValueId> found = {values[0]};
      for (OperatorId each = program.first(); each != op && each != kNoOperator; each = program.next(each)) {
        found.push_back(program.at(each).outputs[0]);
      }
      return found;
    };
    const auto any_operator = [&] {
      const std::vector<OperatorId> order = program.order();
      return order.empty() ? kNoOperator : order[below(order.size())];
    };
    for (int step = 0; step < 200; ++step) {
      const OperatorId op = any_operator();
      switch (op == kNoOperator ? 0 : below(5)) {
        case 0:
        case 1: {
          const std::vector<ValueId> inputs = readable_before(op);
          const ValueId result = program.value("v", {1}, kGrid);
          values.push_back(result);
          names.push_back(program.at(result).name);
          program.insert_before(op, OpCode::kAdd, {inputs[below(inputs.size())], inputs[below(inputs.size())]},
                                {result});
          break;
        }
        case 2: {
          const std::vector<ValueId> inputs = readable_before(op);
          program.set_input(op, below(2), inputs[below(inputs.size())]);
          break;
        }
        case 3: {  // what it computed is read from where it was read
          const ValueId source = program.at(op).inputs[0];
          program.replace_reads(program.at(op).outputs[0], source);
          program.erase(op);
          break;
        }
        default: {
          const ValueId result = program.value("w", {1}, kGrid);
          values.push_back(result);
          names.push_back(program.at(result).name);
          const ValueId before = program.at(op).outputs[0];
          program.set_output(op, 0, result);
          program.replace_reads(before, result);
          break;
        }
      }
      ASSERT_NO_THROW(program.verify()) << "seed " << seed << ", step " << step;
      ASSERT_EQ(program.order().size(), program.operator_count());
    }
    for (size_t i = 0; i < values.size(); ++i) EXPECT_EQ(program.at(values[i]).name, names[i]);
  }
}

TEST(ProgramModel, NumbersWhatIsNamedAndSaysWhereItComesFrom) {
  Program program;
  const ValueId x = program.value("x", {1, 2, 3, 4}, kGrid);
  program.set_value_source(x, {"x", true});
  program.add_input("image", x);
  program.value("nobody's", {1}, kGrid);
  program.set_source({"mean", "model.mean", ""});
  const ValueId y = program.value("mean", {1, 4}, kGrid);
  program.set_value_source(y, {"mean", false});
  program.emit(OpCode::kMean, {x, program.integers("axes", {1, 2})}, {y});
  program.add_output("output_0", y);

  const tflite::Model model = program.to_model();
  ASSERT_EQ(model.tensors.size(), 3u);
  EXPECT_EQ(model.tensors[1].name, "axes");
  EXPECT_TRUE(model.tensors[1].is_constant);
  EXPECT_EQ(model.operators.at(0).inputs, (std::vector<int32_t>{0, 1}));
  EXPECT_EQ(model.signature_inputs.at(0), (tflite::SignatureEntry{"image", 0}));
  EXPECT_EQ(model.operators.at(0).version, 2) << "of int8";

  const auto facts = lowering::facts_of(model);
  ASSERT_TRUE(facts);
  EXPECT_EQ(facts->operators, (std::vector<lowering::OperatorSource>{{"mean", "model.mean", ""}}));
  EXPECT_EQ(facts->tensors, (std::vector<lowering::ValueSource>{{"x", true}, {}, {"mean", false}}));
}

TEST(ProgramModel, FactsOfOtherOperatorsAreNone) {
  Chain chain;
  tflite::Model model = chain.program.to_model();
  ASSERT_TRUE(lowering::facts_of(model));
  tflite::Model shorter = model;
  shorter.operators.pop_back();
  EXPECT_FALSE(lowering::facts_of(shorter));
  for (const char* text : {"", "[]", "{", "{\"operators\": 3}", "{\"operators\": [\"a\", 4], \"tensors\": []}",
                           "{\"operators\": [\"a\", \"b\"], \"tensors\": [[9, \"x\"]]}",
                           "{\"operators\": [\"a\", \"b\"], \"tensors\": [[-1, \"x\"]]}",
                           "{\"operators\": [\"a\", \"b\"], \"tensors\": [7]}"}) {
    model.metadata.front().second = text;
    EXPECT_FALSE(lowering::facts_of(model)) << text;
  }
}

}  // namespace
}  // namespace octet

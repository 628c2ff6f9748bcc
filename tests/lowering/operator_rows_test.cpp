// Where an operator is described: every table has its row, and the rows agree.

#include <gtest/gtest.h>

#include "octet/formats/tflite_ops.h"
#include "octet/integer/kernel_table.h"
#include "octet/lowering/rule.h"
#include "octet/lowering/way_back.h"
#include "octet/targets/neutron/operator_rules.h"
#include "tests/support/error_test.h"

namespace octet {
namespace {

// Words of capitals, digits and underscores: "CONV_2D or DEPTHWISE_CONV_2D".
std::set<std::string> names_in(std::string_view text) {
  std::set<std::string> names;
  std::string word;
  for (const char c : std::string(text) + " ") {
    if (std::isupper(static_cast<unsigned char>(c)) || std::isdigit(static_cast<unsigned char>(c)) || c == '_') {
      word += c;
    } else if (!word.empty()) {
      names.insert(std::exchange(word, ""));
    }
  }
  return names;
}

// The table's own check: a row for each operator of .tflite, and one only.
TEST(OperatorRows, EveryTfliteOperatorHasKernelsAndAWayBack) {
  EXPECT_EQ(integer::kernel_table().rows().size(), tflite::op_codes().size());
  EXPECT_EQ(lowering::way_back_table().rows().size(), tflite::op_codes().size());
  for (const integer::KernelRow& row : integer::kernel_table().rows()) {
    EXPECT_TRUE(row.any_type != nullptr || row.int8 != nullptr || row.float32) << tflite::op_name(row.code);
    EXPECT_TRUE(row.any_type == nullptr || (row.int8 == nullptr && !row.float32)) << tflite::op_name(row.code);
  }
}

TEST(OperatorRows, ATableWithoutARowOrWithTwoIsRefused) {
  struct Row {
    tflite::OpCode code;
  };
  std::vector<Row> rows;
  for (const tflite::OpCode code : tflite::op_codes()) rows.push_back({code});
  EXPECT_NO_THROW(tflite::OpTable<Row>("whole", rows));
  rows.pop_back();
  const std::string missing = tflite::op_name(tflite::op_codes().back());
  EXPECT_TRUE(test::fails_with([&] { tflite::OpTable<Row>("kernels", rows); }, "[kernels] " + missing + " has no row"));
  rows.assign(2, {tflite::OpCode::kAdd});
  EXPECT_TRUE(test::fails_with([&] { tflite::OpTable<Row>("kernels", rows); }, "[kernels] ADD has two rows"));
}

TEST(OperatorRows, LoweringRowsNameOperatorsThatExist) {
  std::set<std::string> known, seen;
  for (const tflite::OpCode code : tflite::op_codes()) known.insert(tflite::op_name(code));
  for (const lowering::OperatorRow& row : lowering::operator_rows()) {
    ASSERT_FALSE(row.ops.empty());
    for (const std::string& op : row.ops) {
      EXPECT_TRUE(Op::try_find(op)) << op;
      EXPECT_TRUE(seen.insert(op).second) << op << " has two rows";
    }
    for (const std::string& name : names_in(row.builtins)) EXPECT_EQ(known.count(name), 1U) << row.ops.front() << name;
    EXPECT_TRUE(row.lower != nullptr || row.samples != nullptr || row.macs != nullptr) << row.ops.front();
    EXPECT_TRUE(row.lower != nullptr || row.builtins.empty()) << row.ops.front();
  }
}

TEST(OperatorRows, WhatATargetKnowsCanBeLowered) {
  for (const targets::OperatorRule& rule : neutron::operator_rules(NeutronTargetSpec("imxrt700"))) {
    for (const std::string_view op : rule.ops) {
      EXPECT_TRUE(Op::try_find(op)) << op;
      EXPECT_NE(lowering::find_lowering_rule(OpName(op)), nullptr) << op;
    }
  }
}

TEST(OperatorRows, EveryOperatorThatLoweringMakesHasAKernel) {
  std::map<std::string, tflite::OpCode> by_name;
  for (const tflite::OpCode code : tflite::op_codes()) by_name[tflite::op_name(code)] = code;
  for (const lowering::OperatorRow& row : lowering::operator_rows()) {
    for (const std::string& name : names_in(row.builtins)) {
      const integer::KernelRow* kernels = integer::kernel_table().find(by_name.at(name));
      const bool computes =
          kernels->any_type != nullptr ||
          (row.arithmetic == lowering::Arithmetic::kFloat ? bool(kernels->float32) : kernels->int8 != nullptr);
      EXPECT_TRUE(computes) << row.ops.front() << " becomes " << name;
    }
  }
}

}  // namespace
}  // namespace octet

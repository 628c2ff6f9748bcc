#include <gtest/gtest.h>

#include <limits>
#include <sstream>
#include <string_view>
#include <vector>

#include "octet/support/error.h"

namespace octet {
namespace {

TEST(Error, HasOneFormWithAWayOut) {
  const Error error = expected("conv2d 'a.b'", "weight channels", "32", "16").hint("export the model again");
  EXPECT_STREQ(error.what(), "[conv2d 'a.b'] weight channels: expected 32, got 16; export the model again");
  EXPECT_EQ(error.where(), "conv2d 'a.b'");
  EXPECT_STREQ(Error("", "alone").what(), "alone");
}

TEST(Error, KeepsItsCategory) {
  EXPECT_EQ(expected("m", "what", "a", "b").category(), ErrorCategory::kModel);
  const Error of_file = Error("m.pt2", "ends early", ErrorCategory::kFile).hint("write it again");
  EXPECT_EQ(of_file.category(), ErrorCategory::kFile);
  EXPECT_STREQ(of_file.as(ErrorCategory::kInternal).what(), of_file.what());
  try {
    in_category(ErrorCategory::kTarget, []() -> int { throw Error("", "unknown"); });
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.category(), ErrorCategory::kTarget);
  }
  EXPECT_EQ(in_category(ErrorCategory::kTarget, [] { return 3; }), 3);
}

// As a stream would write it.
TEST(Text, JoinsWhatStreamsTake) {
  EXPECT_EQ(str(), "");
  EXPECT_EQ(str("n ", 3, ' ', int64_t{-4}, ' ', uint64_t{1} << 63, ' ', size_t{7}, ' ', true),
            "n 3 -4 9223372036854775808 7 1");
  EXPECT_EQ(str(0.1F, ' ', 1.0 / 3, ' ', 1e-7, ' ', 123456789.0, ' ', 2.0), "0.1 0.333333 1e-07 1.23457e+08 2");
  EXPECT_EQ(str(std::numeric_limits<double>::infinity(), ' ', -std::numeric_limits<float>::infinity()), "inf -inf");
  EXPECT_EQ(str(static_cast<unsigned char>('u'), std::string("s"), std::string_view("v")), "usv");
  for (const double value : {0.0, -0.0, 1e300, 5e-324, 3.14159265, 100000.0, 1000000.0}) {
    std::ostringstream out;
    out << value;
    EXPECT_EQ(str(value), out.str());
  }
  EXPECT_EQ(join(", ", std::vector<int64_t>{1, 2, 3}), "1, 2, 3");
  EXPECT_EQ(join(", ", std::vector<std::string>{}), "");
}

TEST(Error, IsOneReadableLineWhateverNamesStandInIt) {
  const Error error(std::string("a\nb\x1b[31m\0c", 10), "tab\there");
  EXPECT_STREQ(error.what(), "[a b?[31m?c] tab here");
  EXPECT_STREQ(Error("Gerät", "größer").what(), "[Gerät] größer");
  std::string umlauts;
  for (int i = 0; i < 5000; ++i) umlauts += "ü";
  for (const std::string& name : {umlauts, "x" + umlauts}) {
    const std::string message = Error(name, "the reason").what();
    EXPECT_LT(message.size(), 2100u);
    EXPECT_EQ(message.substr(message.size() - 12), "] the reason");
    const size_t cut = message.find(" ... ");
    ASSERT_NE(cut, std::string::npos);
    EXPECT_EQ(message.substr(cut - 2, 2), "ü");
    EXPECT_EQ(message.substr(cut + 5, 2), "ü");
  }
}

}  // namespace
}  // namespace octet

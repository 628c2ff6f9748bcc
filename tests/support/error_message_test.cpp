#include <gtest/gtest.h>

#include "octet/support/error.h"

namespace octet {
namespace {

TEST(Error, HasOneFormWithAWayOut) {
  const Error error = expected("conv2d 'a.b'", "weight channels", "32", "16").hint("export the model again");
  EXPECT_STREQ(error.what(), "[conv2d 'a.b'] weight channels: expected 32, got 16; export the model again");
  EXPECT_EQ(error.where(), "conv2d 'a.b'");
  EXPECT_STREQ(Error("", "alone").what(), "alone");
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

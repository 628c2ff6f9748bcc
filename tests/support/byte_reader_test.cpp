#include "octet/support/byte_reader.h"

#include <gtest/gtest.h>

#include "error_test.h"

namespace octet {
namespace {

using namespace std::string_literals;

TEST(ByteReader, ReadsLittleEndianNumbers) {
  const std::string bytes = "\x01\x02\x03\x04\x05\x06\x07\x08\xfe\xff\x00\x00\x80\x3f"s;
  ByteReader reader("file", bytes);
  EXPECT_EQ(reader.u16(), 0x0201);
  EXPECT_EQ(reader.u32(), 0x06050403u);
  EXPECT_EQ(reader.u16(), 0x0807);
  EXPECT_EQ(reader.read<int16_t>(), -2);
  EXPECT_EQ(reader.read<float>(), 1.0f);
  EXPECT_TRUE(reader.at_end());
}

TEST(ByteReader, RefusesToReadPastTheEnd) {
  const std::string bytes = "\x01\x02\x03"s;
  ByteReader reader("model.bin", bytes);
  EXPECT_TRUE(test::fails_with([&] { reader.u32(); }, "[model.bin] ends early: 4 bytes wanted at offset 0, 3 left"));
  EXPECT_EQ(reader.offset(), 0u);
  EXPECT_TRUE(test::fails_with([&] { reader.bytes(UINT64_MAX); }, "ends early"));
  reader.skip(2);
  EXPECT_TRUE(test::fails_with([&] { reader.bytes(2); }, "at offset 2, 1 left"));
  EXPECT_TRUE(test::fails_with([&] { reader.seek(4); }, "past the end"));
  EXPECT_TRUE(test::fails_with([&] { reader.until('\n'); }, "has no end"));
}

TEST(ByteReader, ReadsTextsUpToAnEnd) {
  const std::string bytes = "torch\nTensor\n";
  ByteReader reader("file", bytes);
  EXPECT_EQ(reader.until('\n'), "torch");
  EXPECT_EQ(reader.until('\n'), "Tensor");
  EXPECT_EQ(reader.remaining(), 0u);
}

}  // namespace
}  // namespace octet

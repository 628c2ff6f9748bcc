#include "octet/formats/npy.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <random>

#include "octet/support/byte_source.h"
#include "tests/support/error_test.h"
#include "tests/support/test_data.h"

namespace octet {
namespace {

using test::fails_with;

std::string npy(const std::string& header, const std::string& data, int version = 1) {
  std::string bytes = "\x93NUMPY";
  bytes += static_cast<char>(version);
  bytes += '\0';
  for (int i = 0; i < (version == 1 ? 2 : 4); ++i) bytes += static_cast<char>(header.size() >> (8 * i) & 0xff);
  return bytes + header + data;
}

TEST(Npy, ReadsWhatItWrites) {
  const test::TemporaryFolder folder;
  for (const at::ScalarType dtype :
       {at::kFloat, at::kDouble, at::kHalf, at::kChar, at::kByte, at::kShort, at::kInt, at::kLong, at::kBool,
        at::kComplexFloat, at::kComplexDouble, at::kUInt16, at::kUInt32, at::kUInt64}) {
    for (const std::vector<int64_t>& sizes : {std::vector<int64_t>{}, {3}, {2, 3}, {0, 4}, {2, 1, 3, 2}}) {
      const at::Tensor tensor =
          (at::arange(c10::multiply_integers(sizes), at::kFloat) - 2).abs().reshape(sizes).to(dtype);
      write_npy(folder.file("a.npy"), tensor);
      const at::Tensor read = read_npy(folder.file("a.npy"));
      EXPECT_EQ(read.scalar_type(), dtype);
      EXPECT_EQ(read.sizes().vec(), sizes);
      ASSERT_EQ(read.nbytes(), tensor.nbytes());
      if (read.numel() == 0) continue;
      EXPECT_EQ(std::memcmp(read.const_data_ptr(), tensor.contiguous().const_data_ptr(), tensor.nbytes()), 0);
    }
  }
}

TEST(Npy, WritesStridedTensorsInOrder) {
  const at::Tensor tensor = at::arange(6, at::kFloat).reshape({2, 3}).t();
  EXPECT_TRUE(at::equal(parse_npy(npy_bytes(tensor, "t"), "t"), tensor));
  EXPECT_EQ(npy_bytes(tensor, "t").find('\n') % 64, 63u);
  EXPECT_TRUE(fails_with([] { npy_bytes(at::zeros({1}, at::kBFloat16), "t"); }, "bfloat16"));
}

TEST(Npy, ReadsFortranOrderBigEndianAndEveryVersion) {
  const std::string f("\x3f\x80\x00\x00\x40\x00\x00\x00\x40\x40\x00\x00\x40\x80\x00\x00", 16);
  for (int version = 1; version <= 3; ++version) {
    const std::string bytes = npy("{'descr': '>f4', 'fortran_order': True, 'shape': (2, 2), }\n", f, version);
    EXPECT_TRUE(at::equal(parse_npy(bytes, "t"), at::tensor({1.f, 3.f, 2.f, 4.f}).reshape({2, 2})));
  }
}

TEST(Npy, ReadsAGoldenFile) {
  const at::Tensor out = read_npy(test::data("golden/pt2_variants/torch2.14_eval_cifarnet/float_out.npy"));
  EXPECT_EQ(out.dim(), 2);
  EXPECT_EQ(out.size(1), 10);
  EXPECT_NEAR(out.sum(1)[0].item<float>(), 1.0f, 1e-5f);  // softmax
}

TEST(Npy, RefusesWhatItCannotRead) {
  const auto parse = [](const std::string& header, const std::string& data = "") {
    parse_npy(npy(header, data), "x.npy");
  };
  EXPECT_TRUE(fails_with([] { parse_npy("hello", "x.npy"); }, "[x.npy] is no .npy file"));
  EXPECT_TRUE(fails_with([] { parse_npy(npy("", "", 9), "x.npy"); }, "format version"));
  EXPECT_TRUE(fails_with([&] { parse("{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }", "1234567"); },
                         "8 bytes, got 7"));
  EXPECT_TRUE(fails_with(
      [&] { parse("{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999, 99999999999), }"); }, "absurd"));
  EXPECT_TRUE(fails_with([&] { parse("{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999,), }"); },
                         "absurd"));
  EXPECT_TRUE(fails_with([&] { parse("{'descr': '<f4', 'fortran_order': False, 'shape': (-1,), }"); }, "malformed"));
  EXPECT_TRUE(fails_with([&] { parse("{'descr': '|O', 'fortran_order': False, 'shape': (), }"); }, "'|O'"));
  EXPECT_TRUE(
      fails_with([&] { parse("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (), }"); }, "structured"));
  EXPECT_TRUE(fails_with([&] { parse("{'descr': '<f4', 'shape': (), }"); }, "lacks one of"));
  EXPECT_TRUE(fails_with([&] { parse("{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (), }"); },
                         "unexpected key"));
  EXPECT_TRUE(
      fails_with([&] { parse("{'descr': '<f4', 'fortran_order': 0, 'shape': (), }"); }, "neither True nor False"));
}

TEST(Npy, SurvivesTruncationAndDamage) {
  const std::string good = npy_bytes(at::arange(12, at::kFloat).reshape({3, 4}), "t");
  for (size_t size = 0; size < good.size(); ++size) {
    EXPECT_TRUE(fails_with([&] { parse_npy(good.substr(0, size), "t"); }, "t"));
  }
  std::mt19937 random(2);
  for (int round = 0; round < 3000; ++round) {
    std::string bad = good;
    bad[random() % 128] = static_cast<char>(random());
    ASSERT_TRUE(test::works_or_reports([&] { parse_npy(bad, "t"); }));
  }
}

TEST(Npy, ReadsBoolsOfAnyByteAsZeroOrOne) {
  const at::Tensor read =
      parse_npy(npy("{'descr': '|b1', 'fortran_order': False, 'shape': (3,), }", std::string("\x00\x07\xff", 3)), "t");
  EXPECT_TRUE(at::equal(read.to(at::kInt), at::tensor({0, 1, 1}, at::kInt)));
}

}  // namespace
}  // namespace octet

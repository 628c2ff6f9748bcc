#include "octet/formats/state_dict.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <random>

#include "octet/formats/pickle.h"
#include "octet/formats/safetensors.h"
#include "octet/formats/torch_save.h"
#include "octet/support/atomic_write.h"
#include "tests/formats/zip_edit.h"
#include "tests/support/error_test.h"
#include "tests/support/test_data.h"

namespace octet {
namespace {

using namespace std::string_literals;
using test::fails_with;

const at::Tensor& tensor_named(const StateDict& dict, const std::string& name) {
  for (const auto& [key, tensor] : dict) {
    if (key == name) return tensor;
  }
  throw Error(name, "is not in the dict");
}

class TorchSaveFile : public ::testing::TestWithParam<const char*> {};

TEST_P(TorchSaveFile, ReadsTensorsOfEveryForm) {
  const StateDict dict = load_state_dict(test::data(GetParam()));
  EXPECT_EQ(dict[0].first, "conv.weight");
  EXPECT_EQ(tensor_named(dict, "conv.weight").sizes().vec(), (std::vector<int64_t>{4, 3, 3, 3}));
  const at::Tensor base = at::arange(24, at::kFloat).reshape({4, 6});
  EXPECT_TRUE(at::equal(tensor_named(dict, "view.transposed"), base.t()));
  EXPECT_TRUE(at::equal(tensor_named(dict, "view.slice"), base.slice(0, 1, 3).slice(1, 2, 5)));
  EXPECT_TRUE(at::equal(tensor_named(dict, "view.row"), base[2]));
  EXPECT_TRUE(tensor_named(dict, "tied").is_same(tensor_named(dict, "conv.weight")));
  for (const at::ScalarType dtype :
       {at::kHalf, at::kBFloat16, at::kDouble, at::kChar, at::kByte, at::kShort, at::kInt, at::kLong, at::kBool}) {
    bool found = false;
    for (const auto& [name, tensor] : dict) {
      if (name.substr(0, 6) != "dtype." || tensor.scalar_type() != dtype) continue;
      found = true;
      EXPECT_TRUE(at::equal(tensor, at::arange(5).to(dtype))) << name;
    }
    EXPECT_TRUE(found) << c10::toString(dtype);
  }
  EXPECT_EQ(tensor_named(dict, "scalar").item<float>(), 2.5f);
  EXPECT_EQ(tensor_named(dict, "empty").sizes().vec(), (std::vector<int64_t>{0, 3}));
  EXPECT_EQ(tensor_named(dict, "bn.num_batches_tracked").scalar_type(), at::kLong);
}
INSTANTIATE_TEST_SUITE_P(Formats, TorchSaveFile, ::testing::Values("formats/weights.pth", "formats/weights_legacy.pth"),
                         [](const auto& param) { return param.index == 0 ? "zip" : "legacy"; });

TEST(TorchSave, ReadsNewerDtypes) {
  const at::Tensor tensor = tensor_named(load_torch_save(test::data("formats/weights.pth")), "dtype.uint16");
  EXPECT_EQ(tensor.scalar_type(), at::kUInt16);
  EXPECT_TRUE(at::equal(tensor.to(at::kInt), at::arange(5, at::kInt)));
}

TEST(TorchSave, FindsTheStateDictOfACheckpoint) {
  const StateDict dict = load_torch_save(test::data("formats/checkpoint.pth"));
  EXPECT_EQ(dict.size(), 8u);
  EXPECT_EQ(dict[0].first, "conv.weight");
}

TEST(TorchSave, ExecutesNothing) {
  EXPECT_TRUE(fails_with([] { load_torch_save(test::data("formats/whole_module.pth")); },
                         "state_dict() instead of the whole model"));
  EXPECT_TRUE(fails_with([] { load_torch_save(test::data("formats/torchscript.pt")); }, "TorchScript program"));
  EXPECT_TRUE(fails_with(
      [] {
        read_pickle(
            "\x80\x02"
            "cos\nsystem\nU\x02lsR."s,
            "p");
      },
      "'os.system'"));
  EXPECT_TRUE(fails_with(
      [] {
        read_pickle(
            "\x80\x02"
            "cbuiltins\neval\n."s,
            "p");
      },
      "'builtins.eval'"));
  EXPECT_TRUE(fails_with([] { read_pickle("\x80\x04\x8c\x05posix\x8c\x06system\x93."s, "p"); }, "'posix.system'"));
  EXPECT_TRUE(fails_with(
      [] {
        read_pickle(
            "\x80\x02"
            "ctorch\nFloatStorage\n)R."s,
            "p");
      },
      "may not be called"));
}

TEST(Pickle, ReadsPlainData) {
  const Pickle pickle = read_pickle(
      "\x80\x02(X\x01\x00\x00\x00"
      "aK\x05G\x3f\xe0\x00\x00\x00\x00\x00\x00\x8a\x02\x00\xff\x88N]q\x01(K\x01K\x02"
      "eh\x01t."s,
      "p");
  const auto& items = pickle.to_items(pickle.root(), "root");
  ASSERT_EQ(items.size(), 8u);
  EXPECT_EQ(pickle.to_string(items[0], ""), "a");
  EXPECT_EQ(pickle.to_int(items[1], ""), 5);
  EXPECT_EQ(*pickle.get<double>(items[2]), 0.5);
  EXPECT_EQ(pickle.to_int(items[3], ""), -256);
  EXPECT_TRUE(pickle.to_bool(items[4], ""));
  EXPECT_NE(pickle.get<Pickle::None>(items[5]), nullptr);
  EXPECT_EQ(pickle.to_ints(items[6], ""), (std::vector<int64_t>{1, 2}));
  EXPECT_EQ(items[6], items[7]);
  EXPECT_TRUE(fails_with([&] { pickle.to_int(items[0], "size"); }, "size: expected an integer, got a text"));
}

TEST(Pickle, RefusesBrokenPrograms) {
  for (const std::string& bytes : {""s,
                                   "."s,
                                   "0."s,
                                   "t."s,
                                   "e."s,
                                   "(."s,
                                   "K"s,
                                   "h\x07."s,
                                   "]K\x01s."s,
                                   "}K\x01"
                                   "a."s,
                                   "}(K\x01u."s,
                                   "R."s,
                                   "\x80\x09."s,
                                   "\xfe."s,
                                   "X\xff\xff\xff\xff"
                                   "abc."s,
                                   "\x8b\xff\xff\xff\xff."s,
                                   "\x8d\xff\xff\xff\xff\xff\xff\xff\x7f."s,
                                   "ctorch"s,
                                   "K\x01Q"s,
                                   "(K\x01"
                                   "0000."s}) {
    EXPECT_TRUE(fails_with([&] { read_pickle(bytes, "p"); }, "[p]"));
  }
  std::string deep = "\x80\x02N";
  deep.append(200000, '\x85');  // a tuple of a tuple of ...
  deep += '.';
  const Pickle nested = read_pickle(deep, "p");
  int64_t depth = 0;
  Pickle::Ref value = nested.root();
  for (; nested.get<Pickle::Tuple>(value) != nullptr; value = nested.to_items(value, "tuple").at(0)) ++depth;
  EXPECT_EQ(depth, 200000);
  EXPECT_NE(nested.get<Pickle::None>(value), nullptr);
  EXPECT_TRUE(fails_with([] { read_pickle(std::string(5 << 20, ']') + ".", "p"); }, "its pickle would take"));
}

// A file of torch.save with this pickle and one storage.
std::string saved_with(const test::TemporaryFolder& folder, const std::string& pickle, const std::string& storage) {
  ZipWriter writer(folder.file("w.pth"));
  writer.add("archive/data.pkl", pickle);
  writer.add("archive/data/0", storage);
  writer.finish();
  return folder.file("w.pth");
}

// {"w": _rebuild_tensor_v2(FloatStorage '0' of `numel`, offset, (size,), (stride,), False, OrderedDict())}
std::string tensor_pickle(uint8_t numel, uint8_t offset, const std::string& size, const std::string& stride) {
  return "\x80\x02}X\x01\x00\x00\x00wctorch._utils\n_rebuild_tensor_v2\n(("
         "X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x00"
         "0X\x03\x00\x00\x00"
         "cpuK"s +
         static_cast<char>(numel) + "tQK" + static_cast<char>(offset) + size + "\x85" + stride +
         "\x85\x89"
         "ccollections\nOrderedDict\n)RtRs.";
}
std::string small(uint8_t value) { return "K"s + static_cast<char>(value); }
std::string large(int64_t value) {
  std::string bytes = "\x8a\x08";
  for (int i = 0; i < 8; ++i) bytes += static_cast<char>(value >> (8 * i) & 0xff);
  return bytes;
}

TEST(TorchSave, ChecksTensorsAgainstTheirStorage) {
  const test::TemporaryFolder folder;
  const std::string four(16, '\0');
  const auto load = [&](const std::string& pickle, const std::string& storage) {
    return load_torch_save(saved_with(folder, pickle, storage));
  };
  EXPECT_EQ(load(tensor_pickle(4, 0, small(4), small(1)), four)[0].second.numel(), 4);
  EXPECT_EQ(load(tensor_pickle(4, 1, small(3), small(0)), four)[0].second.numel(), 3);
  EXPECT_TRUE(fails_with([&] { load(tensor_pickle(4, 0, small(5), small(1)), four); }, "reaches past the end"));
  EXPECT_TRUE(fails_with([&] { load(tensor_pickle(4, 2, small(3), small(1)), four); }, "reaches past the end"));
  EXPECT_TRUE(fails_with([&] { load(tensor_pickle(4, 0, small(3), small(2)), four); }, "reaches past the end"));
  EXPECT_TRUE(fails_with([&] { load(tensor_pickle(4, 0, small(2), large(INT64_MAX)), four); }, "reaches past the end"));
  EXPECT_TRUE(fails_with([&] { load(tensor_pickle(4, 0, large(INT64_MAX), small(1)), four); }, "absurd"));
  EXPECT_TRUE(fails_with([&] { load(tensor_pickle(4, 0, large(int64_t{1} << 40), small(0)), four); },
                         "tensors that repeat what it holds would take"));
  EXPECT_TRUE(fails_with([&] { load(tensor_pickle(4, 0, large(-4), small(1)), four); }, "negative size"));
  EXPECT_TRUE(fails_with([&] { load(tensor_pickle(4, 0, small(4), large(-1)), four); }, "negative strides"));
  EXPECT_TRUE(fails_with([&] { load(tensor_pickle(5, 0, small(4), small(1)), four); },
                         "w.pth/archive/data/0] storage: expected 20 bytes"));
}

TEST(Safetensors, ReadsWhatItWrites) {
  const test::TemporaryFolder folder;
  StateDict dict;
  for (const at::ScalarType dtype : {at::kFloat, at::kHalf, at::kBFloat16, at::kDouble, at::kChar, at::kByte,
                                     at::kShort, at::kInt, at::kLong, at::kBool}) {
    dict.emplace_back(c10::toString(dtype), at::arange(6).reshape({2, 3}).to(dtype));
  }
  dict.emplace_back("transposed", at::arange(6, at::kFloat).reshape({2, 3}).t());
  dict.emplace_back("scalar", at::scalar_tensor(3));
  dict.emplace_back("empty", at::zeros({0, 2}));
  write_safetensors(folder.file("a.safetensors"), dict, {{"format", "pt"}});
  std::map<std::string, std::string> metadata;
  const StateDict read = read_safetensors(folder.file("a.safetensors"), &metadata);
  EXPECT_EQ(metadata.at("format"), "pt");
  EXPECT_EQ(load_state_dict(folder.file("a.safetensors")).size(), dict.size());
  for (const auto& [name, tensor] : dict) {
    EXPECT_EQ(tensor_named(read, name).scalar_type(), tensor.scalar_type());
    EXPECT_TRUE(at::equal(tensor_named(read, name), tensor)) << name;
  }
}

TEST(Safetensors, ReadsAFileOfTheReferenceLibrary) {
  std::map<std::string, std::string> metadata;
  const StateDict read = read_safetensors(test::data("formats/weights.safetensors"), &metadata);
  const StateDict wanted = load_torch_save(test::data("formats/weights.pth"));
  EXPECT_EQ(metadata.at("format"), "pt");
  ASSERT_EQ(read.size(), wanted.size());
  for (const auto& [name, tensor] : wanted) {
    EXPECT_EQ(tensor_named(read, name).scalar_type(), tensor.scalar_type()) << name;
    EXPECT_TRUE(at::equal(tensor_named(read, name).to(at::kDouble), tensor.to(at::kDouble))) << name;
  }
}

std::string safetensors(const std::string& header, const std::string& data) {
  std::string bytes;
  for (int i = 0; i < 8; ++i) bytes += static_cast<char>(header.size() >> (8 * i) & 0xff);
  return bytes + header + data;
}

TEST(Safetensors, RefusesHostileHeaders) {
  const test::TemporaryFolder folder;
  const auto load = [&](const std::string& bytes) {
    atomic_write(folder.file("h.safetensors"), bytes);
    return read_safetensors(folder.file("h.safetensors"));
  };
  const std::string data(8, '\0');
  const StateDict good = load(safetensors(R"({"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})", data));
  EXPECT_TRUE(at::equal(tensor_named(good, "w"), at::zeros({2})));
  EXPECT_TRUE(fails_with([&] { load(std::string(8, '\xff') + "{}"); }, "a header of"));
  EXPECT_TRUE(fails_with([&] { load("{}"); }, "ends early"));
  EXPECT_TRUE(fails_with([&] { load(safetensors(R"({"w":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}})", data)); },
                         "12 bytes, got 8"));
  EXPECT_TRUE(fails_with([&] { load(safetensors(R"({"w":{"dtype":"F32","shape":[4],"data_offsets":[0,16]}})", data)); },
                         "expected 16 bytes"));
  EXPECT_TRUE(fails_with([&] { load(safetensors(R"({"w":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}})", data)); },
                         "hole"));
  EXPECT_TRUE(fails_with(
      [&] {
        load(safetensors(
            R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}})",
            data));
      },
      "overlap"));
  EXPECT_TRUE(fails_with(
      [&] {
        load(safetensors(
            R"({"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})",
            data));
      },
      "twice"));
  EXPECT_TRUE(fails_with([&] { load(safetensors(R"({"w":{"dtype":"F99","shape":[2],"data_offsets":[0,8]}})", data)); },
                         "'F99'"));
  EXPECT_TRUE(fails_with([&] { load(safetensors(R"({"w":{"dtype":"F32","shape":[-2],"data_offsets":[0,8]}})", data)); },
                         "negative"));
  EXPECT_TRUE(fails_with(
      [&] {
        load(safetensors(
            R"({"w":{"dtype":"F32","shape":[9223372036854775807,9223372036854775807],"data_offsets":[0,8]}})", data));
      },
      "absurd"));
}

TEST(StateDict, SurvivesDamageOfEveryFormat) {
  const test::TemporaryFolder folder;
  write_safetensors(folder.file("good.safetensors"), {{"w", at::arange(6, at::kFloat)}, {"b", at::arange(3)}});
  std::mt19937 random(3);
  for (const std::string& path :
       {test::data("formats/weights.pth"), test::data("formats/weights_legacy.pth"), folder.file("good.safetensors")}) {
    const std::string good = read_file(path);
    const auto load = [](const std::string& bytes) { load_state_dict(memory_source("bad", bytes)); };
    for (size_t size = 0; size < good.size(); size += 1 + good.size() / 200) {
      ASSERT_TRUE(fails_with([&] { load(good.substr(0, size)); }, "bad")) << path << " cut at " << size;
    }
    for (int round = 0; round < 400; ++round) {
      std::string bad = good;
      for (int flips = 1 + static_cast<int>(random() % 2); flips > 0; --flips)
        bad[random() % bad.size()] = static_cast<char>(random());
      ASSERT_TRUE(test::works_or_reports([&] { load(bad); })) << path;
    }
  }
}

// The pickle itself, behind the archive's checksum.
TEST(Pickle, SurvivesDamage) {
  const std::string archive = read_file(test::data("formats/weights.pth"));
  const ZipReader zip(memory_source("good.pth", archive));
  const std::string good = zip.read("weights/data.pkl");
  std::mt19937 random(4);
  for (size_t size = 0; size < good.size(); ++size) {
    ASSERT_TRUE(fails_with([&] { read_pickle(good.substr(0, size), "p"); }, "p"));
  }
  for (int round = 0; round < 5000; ++round) {
    std::string bad = good;
    for (int flips = 1 + static_cast<int>(random() % 3); flips > 0; --flips)
      bad[random() % bad.size()] = static_cast<char>(random());
    ASSERT_TRUE(test::works_or_reports([&] {
      read_torch_save(ZipReader(memory_source("bad.pth", test::with_payload(archive, zip, "weights/data.pkl", bad))));
    }));
  }
}

}  // namespace
}  // namespace octet

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>
#include <random>

#include "octet/formats/tflite.h"
#include "tests/support/error_test.h"
#include "tests/support/test_data.h"
#include "tflite_generated.h"

namespace octet {
namespace {

using test::fails_with;
using tflite::fb::ModelT;

const char* const kConv = "golden/cases/conv_bn_relu/neutron_0.tflite";
const char* const kSmall = "golden/cases/limit_relu_alone/neutron_0.tflite";

tflite::Model read_bytes(std::string bytes) { return tflite::read(memory_source("bad.tflite", std::move(bytes))); }

// The file with its tables edited as a writer without any checks would.
std::string edited(const char* file, const std::function<void(ModelT&)>& edit) {
  const std::string good = read_file(test::data(file));
  ModelT model;
  tflite::fb::GetModel(good.data())->UnPackTo(&model);
  edit(model);
  flatbuffers::FlatBufferBuilder builder;
  tflite::fb::FinishModelBuffer(builder, tflite::fb::Model::Pack(builder, &model));
  return {reinterpret_cast<const char*>(builder.GetBufferPointer()), builder.GetSize()};
}

::testing::AssertionResult refuses(const std::function<void(ModelT&)>& edit, const std::string& message) {
  return fails_with([&] { read_bytes(edited(kConv, edit)); }, message);
}

// Operators of kConv: TRANSPOSE, PADV2, CONV_2D (inputs 16, 2, 5; output 10), RELU, TRANSPOSE.
tflite::fb::OperatorT& conv(ModelT& m) { return *m.subgraphs[0]->operators[2]; }
tflite::fb::TensorT& tensor(ModelT& m, size_t index) { return *m.subgraphs[0]->tensors[index]; }
tflite::fb::TensorT& weight(ModelT& m) { return tensor(m, 2); }

TEST(TfliteDamage, TheEditorItselfChangesNothing) {
  EXPECT_TRUE(read_bytes(edited(kConv, [](ModelT&) {})) == tflite::read(test::data(kConv)));
}

TEST(TfliteDamage, NamesWhatTheContainerLacks) {
  std::string bytes = read_file(test::data(kConv));
  EXPECT_TRUE(fails_with([&] { read_bytes(""); }, "bad.tflite] is no .tflite file"));
  bytes[4] = 'X';
  EXPECT_TRUE(fails_with([&] { read_bytes(bytes); }, "bad.tflite] is no .tflite file: the identifier TFL3 is missing"));
  bytes[4] = 'T';
  bytes[0] = bytes[1] = '\x7f';
  EXPECT_TRUE(fails_with([&] { read_bytes(bytes); }, "bad.tflite] is damaged"));
  EXPECT_TRUE(refuses([](ModelT& m) { m.version = 2; }, "version of the schema: expected 3, got 2"));
  EXPECT_TRUE(refuses([](ModelT& m) { m.subgraphs.push_back(std::make_unique<tflite::fb::SubGraphT>()); },
                      "subgraphs: expected 1, got 2"));
  EXPECT_TRUE(refuses([](ModelT& m) { m.subgraphs.clear(); }, "subgraphs: expected 1, got 0"));
  EXPECT_TRUE(refuses([](ModelT& m) { m.buffers.clear(); }, "there is no buffer"));
}

TEST(TfliteDamage, NamesIndicesThatLeadNowhere) {
  EXPECT_TRUE(refuses([](ModelT& m) { conv(m).inputs[1] = 24; },
                      "bad.tflite: operator 2 CONV_2D] there is no tensor 24 among 24"));
  EXPECT_TRUE(refuses([](ModelT& m) { conv(m).inputs[1] = -1; }, "operator 2 CONV_2D] there is no tensor -1"));
  EXPECT_TRUE(refuses([](ModelT& m) { conv(m).inputs[0] = INT32_MIN; }, "there is no tensor -2147483648"));
  const tflite::Model without_bias = read_bytes(edited(kConv, [](ModelT& m) { conv(m).inputs[2] = -1; }));
  EXPECT_EQ(without_bias.operators[2].inputs[2], -1) << "a bias is optional";
  EXPECT_TRUE(refuses([](ModelT& m) { conv(m).outputs[0] = 99; }, "there is no tensor 99"));
  EXPECT_TRUE(refuses([](ModelT& m) { conv(m).outputs[0] = 2; }, "is a constant or has its value from elsewhere"));
  EXPECT_TRUE(refuses([](ModelT& m) { conv(m).outputs.clear(); }, "outputs: expected 1, got 0"));
  EXPECT_TRUE(refuses([](ModelT& m) { conv(m).inputs.resize(1); }, "inputs: expected 2 to 3, got 1"));
  EXPECT_TRUE(refuses([](ModelT& m) { m.subgraphs[0]->inputs[0] = 24; }, "bad.tflite: inputs] there is no tensor 24"));
  EXPECT_TRUE(
      refuses([](ModelT& m) { m.subgraphs[0]->outputs[0] = -1; }, "bad.tflite: outputs] there is no tensor -1"));
  EXPECT_TRUE(refuses([](ModelT& m) { m.subgraphs[0]->inputs.clear(); },
                      "operator 0 TRANSPOSE] nothing before it computes tensor 19"));
  EXPECT_TRUE(refuses([](ModelT& m) { std::swap(m.subgraphs[0]->operators[1], m.subgraphs[0]->operators[2]); },
                      "operator 1 CONV_2D] nothing before it computes tensor 16"));
  EXPECT_TRUE(refuses([](ModelT& m) { conv(m).opcode_index = 4; }, "operator 2] there is no operator code 4 among 4"));
  EXPECT_TRUE(refuses([](ModelT& m) { weight(m).buffer = UINT32_MAX; }, "tensor 2 'quantized_decomposed_dequantize"));
  EXPECT_TRUE(refuses([](ModelT& m) { weight(m).buffer = 25; }, "there is no buffer 25 among 25"));
  EXPECT_TRUE(refuses(
      [](ModelT& m) {
        m.metadata.push_back(std::make_unique<tflite::fb::MetadataT>());
        m.metadata[0]->name = "facts";
        m.metadata[0]->buffer = 77;
      },
      "metadata 'facts'] there is no buffer 77"));
  const auto with_signature = [](uint32_t index, uint32_t subgraph) {
    return [=](ModelT& m) {
      auto signature = std::make_unique<tflite::fb::SignatureDefT>();
      signature->signature_key = "serving_default";
      signature->subgraph_index = subgraph;
      signature->inputs.push_back(std::make_unique<tflite::fb::TensorMapT>());
      signature->inputs[0]->name = "x";
      signature->inputs[0]->tensor_index = index;
      m.signature_defs.push_back(std::move(signature));
    };
  };
  const tflite::Model named = read_bytes(edited(kConv, with_signature(19, 0)));
  EXPECT_EQ(named.signature_inputs, (std::vector<tflite::SignatureEntry>{{"x", 19}}));
  EXPECT_TRUE(refuses(with_signature(UINT32_MAX, 0), "signature 'x'] there is no tensor 4294967295"));
  EXPECT_TRUE(refuses(with_signature(3, 0), "signature 'x'] tensor 3 is no input"));
  EXPECT_TRUE(refuses(with_signature(19, 1), "signature] subgraph: expected 0, got 1"));
}

TEST(TfliteDamage, NamesTensorsThatContradictThemselves) {
  EXPECT_TRUE(refuses([](ModelT& m) { tensor(m, 10).shape[2] = -16; },
                      "tensor 10 'quantized_decomposed_dequantize_per_"
                      "tensor_default_1'] the shape has a negative size"));
  EXPECT_TRUE(
      refuses([](ModelT& m) { tensor(m, 10).shape.assign(3, INT32_MAX); }, "more elements than can be counted"));
  EXPECT_TRUE(refuses(
      [](ModelT& m) {
        tensor(m, 10).shape = {INT32_MAX, INT32_MAX, INT32_MAX, 0};
      },
      "more elements than can be counted"));
  EXPECT_TRUE(refuses([](ModelT& m) { weight(m).shape[1] = 4; }, "bytes of data: expected 288, got 216"));
  EXPECT_TRUE(refuses([](ModelT& m) { weight(m).type = 2; }, "bytes of data: expected 864, got 216"));
  EXPECT_TRUE(refuses([](ModelT& m) { m.buffers[weight(m).buffer]->data.pop_back(); }, "expected 216, got 215"));
  EXPECT_TRUE(
      refuses([](ModelT& m) { m.buffers[weight(m).buffer]->data.clear(); }, "nothing before it computes tensor 2"));
  EXPECT_TRUE(refuses([](ModelT& m) { m.buffers[weight(m).buffer]->offset = 4096; }, "outside the flatbuffer"));
  const std::vector<std::pair<int, std::string>> types = {{10, "float64"},   {5, "string"},   {17, "int4"},
                                                          {127, "type 127"}, {-1, "type -1"}, {-128, "type -128"}};
  for (const auto& [type, name] : types) {
    EXPECT_TRUE(refuses([type = type](ModelT& m) { tensor(m, 10).type = static_cast<int8_t>(type); },
                        "is of a type that octet does not read: " + name));
  }
  EXPECT_TRUE(refuses([](ModelT& m) { tensor(m, 10).is_variable = true; }, "a variable"));
  EXPECT_TRUE(refuses([](ModelT& m) { tensor(m, 10).external_buffer = 1; }, "data outside the file"));
  EXPECT_TRUE(
      refuses([](ModelT& m) { weight(m).sparsity = std::make_unique<tflite::fb::SomeTableT>(); }, "sparse data"));

  using Edit = std::function<void(tflite::fb::QuantizationParametersT&)>;
  const auto quantization = [](const Edit& edit) { return [=](ModelT& m) { edit(*weight(m).quantization); }; };
  using Parameters = tflite::fb::QuantizationParametersT;
  EXPECT_TRUE(
      refuses(quantization([](Parameters& q) { q.zero_point.pop_back(); }), "zero points: expected 8, as many"));
  EXPECT_TRUE(refuses(quantization([](Parameters& q) {
                        q.scale.pop_back();
                        q.zero_point.pop_back();
                      }),
                      "scales: expected 1 or 8, the size of dimension 0, got 7"));
  EXPECT_TRUE(refuses(quantization([](Parameters& q) { q.quantized_dimension = 3; }), "expected 1 or 3"));
  for (const int32_t axis : {-1, 4, INT32_MIN, INT32_MAX}) {
    EXPECT_TRUE(refuses(quantization([=](Parameters& q) { q.quantized_dimension = axis; }),
                        octet::str("quantized dimension ", axis, " of a tensor with 4 dimensions")));
  }
  for (const float scale : {0.0F, -1.0F, NAN, INFINITY}) {
    EXPECT_TRUE(refuses(quantization([=](Parameters& q) { q.scale[3] = scale; }), "expected a number above 0"));
  }
  for (const int64_t zero : {int64_t{128}, int64_t{-129}, INT64_MAX}) {
    EXPECT_TRUE(refuses(quantization([=](Parameters& q) { q.zero_point[3] = zero; }), "expected of -128 to 127"));
  }
  EXPECT_TRUE(refuses(quantization([](Parameters& q) { q.details_type = 1; }), "custom quantization"));
}

TEST(TfliteDamage, NamesOperatorsThatItCannotRead) {
  const auto code = [](ModelT& m) -> tflite::fb::OperatorCodeT& { return *m.operator_codes[conv(m).opcode_index]; };
  EXPECT_TRUE(refuses(
      [&](ModelT& m) {
        code(m).builtin_code = code(m).deprecated_builtin_code = 32;
        code(m).custom_code = "TFLite_Detection_PostProcess";
      },
      "operator 2] is the custom operator 'TFLite_Detection_PostProcess'"));
  EXPECT_TRUE(refuses([&](ModelT& m) { code(m).builtin_code = 199; },
                      "bad.tflite: operator 2] STABLEHLO_SORT is not an operator that octet reads"));
  EXPECT_TRUE(refuses([&](ModelT& m) { code(m).builtin_code = code(m).deprecated_builtin_code = -1; }, "operator -1"));
  // older writers fill the deprecated field alone, newer ones may leave it out
  const tflite::Model whole = read_bytes(edited(kConv, [](ModelT&) {}));
  EXPECT_TRUE(read_bytes(edited(kConv, [&](ModelT& m) { code(m).builtin_code = 0; })) == whole);
  EXPECT_TRUE(read_bytes(edited(kConv, [&](ModelT& m) { code(m).deprecated_builtin_code = 0; })) == whole);
  EXPECT_TRUE(refuses([&](ModelT& m) { code(m).builtin_code = 4; },
                      "operator 2 DEPTHWISE_CONV_2D] number of the options' table: expected 2, got 1"));
  EXPECT_TRUE(refuses([](ModelT& m) { conv(m).builtin_options.Reset(); }, "CONV_2D] its options are missing"));
  EXPECT_TRUE(refuses([](ModelT& m) { conv(m).builtin_options_2_type = 1; }, "options of the second kind"));
  const auto option = [](const std::function<void(tflite::fb::Conv2DOptionsT&)>& edit) {
    return [=](ModelT& m) { edit(*conv(m).builtin_options.AsConv2DOptions()); };
  };
  using Table = tflite::fb::Conv2DOptionsT;
  EXPECT_TRUE(refuses(option([](Table& t) { t.stride_h = 0; }), "stride: expected at least 1, got 0"));
  EXPECT_TRUE(refuses(option([](Table& t) { t.stride_w = -2; }), "stride: expected at least 1, got -2"));
  EXPECT_TRUE(refuses(option([](Table& t) { t.dilation_w = 0; }), "dilation: expected at least 1, got 0"));
  EXPECT_TRUE(refuses(option([](Table& t) { t.padding = 2; }), "padding 2 is not one that octet knows"));
  EXPECT_TRUE(refuses(option([](Table& t) { t.padding = -1; }), "padding -1 is not one that octet knows"));
  EXPECT_TRUE(refuses(option([](Table& t) { t.activation = 4; }), "activation 4 is not one that octet knows"));
  EXPECT_TRUE(fails_with(
      [] {
        read_bytes(edited("golden/cases/op_cat/neutron_0.tflite", [](ModelT& m) {
          for (auto& op : m.subgraphs[0]->operators) {
            if (auto* table = op->builtin_options.AsConcatenationOptions()) table->axis = 4;
          }
        }));
      },
      "CONCATENATION] axis 4 of a tensor with 4 dimensions"));
}

// A small file in which many tables name the same data must not fill the memory.
TEST(TfliteDamage, StopsAtDataThatIsNamedEndlessly) {
  EXPECT_TRUE(refuses(
      [](ModelT& m) {
        m.buffers[1]->data.assign(1 << 18, 1);
        for (int i = 0; i < 5000; ++i) {
          auto tensor = std::make_unique<tflite::fb::TensorT>();
          tensor->type = 9;
          tensor->shape = {1 << 18};
          tensor->buffer = 1;
          m.subgraphs[0]->tensors.push_back(std::move(tensor));
        }
      },
      "its tables, which may name the same data often, would take"));
}

// Zero points of 8 bytes where only multiples of 4 are: an undefined read that the sanitizers tell from a harmless one.
TEST(TfliteDamage, ReadsMisalignedVectors) {
  std::string bytes = read_file(test::data(kConv));
  int misaligned = 0;
  for (const auto* tensor : *tflite::fb::GetModel(bytes.data())->subgraphs()->Get(0)->tensors()) {
    const tflite::fb::QuantizationParameters* table = tensor->quantization();
    if (table == nullptr || table->scale() == nullptr) continue;
    const auto* scale = reinterpret_cast<const uint8_t*>(table->scale());
    const uint8_t* field = reinterpret_cast<const flatbuffers::Table*>(table)->GetAddressOf(
        tflite::fb::QuantizationParameters::VT_ZERO_POINT);
    flatbuffers::WriteScalar(const_cast<uint8_t*>(field), static_cast<flatbuffers::uoffset_t>(scale - field));
    misaligned += (scale + 4 - reinterpret_cast<const uint8_t*>(bytes.data())) % 8 != 0;
  }
  EXPECT_GT(misaligned, 0);
  EXPECT_TRUE(fails_with([&] { read_bytes(bytes); }, "zero point: expected of -128 to 127"));
}

// What passes all checks can be written, and comes back as it was.
void read_and_write(const std::string& bytes, int& passed) {
  const tflite::Model model = read_bytes(bytes);
  ++passed;
  const std::vector<uint8_t> written = tflite::serialize(model);
  if (!(read_bytes({written.begin(), written.end()}) == model)) throw std::logic_error("comes back changed");
}

TEST(TfliteDamage, ReportsTruncationAnywhere) {
  for (const char* name : {kSmall, kConv}) {
    const std::string good = read_file(test::data(name));
    int passed = 0;
    for (size_t size = 0; size < good.size(); ++size) {
      ASSERT_TRUE(test::works_or_reports([&] { read_and_write(good.substr(0, size), passed); })) << name << " " << size;
    }
    EXPECT_LT(passed, 32) << name;  // only padding at the end may be missing
  }
}

TEST(TfliteDamage, SurvivesEveryFlippedBit) {
  const std::string good = read_file(test::data(kSmall));
  int passed = 0;
  for (size_t bit = 0; bit < 8 * good.size(); ++bit) {
    std::string bad = good;
    bad[bit / 8] = static_cast<char>(bad[bit / 8] ^ (1 << (bit % 8)));
    ASSERT_TRUE(test::works_or_reports([&] { read_and_write(bad, passed); })) << "bit " << bit;
  }
  EXPECT_GT(passed, 0);  // names, scales and padding may be anything
  EXPECT_LT(passed, static_cast<int>(8 * good.size()));
}

TEST(TfliteDamage, SurvivesHostileWords) {
  std::mt19937 random(7);
  for (const char* name : {kSmall, kConv, "golden/cases/op_split/neutron_0.tflite"}) {
    const std::string good = read_file(test::data(name));
    int passed = 0;
    for (int round = 0; round < 4000; ++round) {
      std::string bad = good;
      for (unsigned edits = 1 + random() % 4; edits > 0; --edits) {
        const auto near = static_cast<uint32_t>(random() % good.size());
        const uint32_t words[] = {0, 1, UINT32_MAX, INT32_MAX, 0x80000000U, near, ~near};
        const uint32_t word = words[random() % std::size(words)];
        const size_t at = random() % (good.size() / 4) * 4;
        for (int i = 0; i < 4; ++i) bad[at + i] = static_cast<char>(word >> (8 * i));
      }
      ASSERT_TRUE(test::works_or_reports([&] { read_and_write(bad, passed); })) << name << " " << round;
    }
    EXPECT_LT(passed, 2000) << name;
  }
}

}  // namespace
}  // namespace octet

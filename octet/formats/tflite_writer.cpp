#include <algorithm>
#include <map>
#include <string_view>

#include "octet/formats/tflite_ops.h"
#include "octet/formats/tflite_options.h"
#include "octet/support/atomic_write.h"
#include "octet/support/error.h"

namespace octet::tflite {
namespace {

using flatbuffers::Offset;

constexpr size_t kAlignment = 16;
constexpr uint64_t kMaxBytes = FLATBUFFERS_MAX_BUFFER_SIZE - (uint64_t{64} << 20);  // tables come on top
constexpr int kMaxUses = 8;  // of one buffer; the reader takes endless sharing for an attack
constexpr int32_t kMaxDeprecatedCode = 127;

class Writer {
 public:
  explicit Writer(const Model& model) : model_(model), builder_(1024) {}

  std::vector<uint8_t> bytes() {
    buffer({});  // buffer 0: what tensors without data point at
    std::vector<Offset<fb::Tensor>> tensors;
    for (const Tensor& tensor : model_.tensors) tensors.push_back(put(tensor));
    std::vector<Offset<fb::Operator>> operators;
    for (const Operator& op : model_.operators) operators.push_back(put(op));
    const auto subgraph = fb::CreateSubGraph(
        builder_, builder_.CreateVector(tensors), builder_.CreateVector(model_.inputs),
        builder_.CreateVector(model_.outputs), builder_.CreateVector(operators), builder_.CreateString("main"));
    std::vector<Offset<fb::Metadata>> metadata;
    for (const auto& [name, value] : model_.metadata) {
      reserve(name.size());
      const uint32_t index = buffer(value);
      metadata.push_back(fb::CreateMetadata(builder_, builder_.CreateString(name), index));
    }
    const auto signatures = put_signature();
    const auto codes = builder_.CreateVector(codes_);
    const auto subgraphs = builder_.CreateVector(&subgraph, 1);
    reserve(model_.description.size());
    const auto description = builder_.CreateString(model_.description);
    const auto buffers = builder_.CreateVector(buffers_);
    const auto metadata_vector = metadata.empty() ? 0 : builder_.CreateVector(metadata);
    fb::FinishModelBuffer(
        builder_, fb::CreateModel(builder_, 3, codes, subgraphs, description, buffers, 0, metadata_vector, signatures));
    flatbuffers::Verifier verifier(builder_.GetBufferPointer(), builder_.GetSize());
    if (!fb::VerifyModelBuffer(verifier)) throw Error("tflite", "the file would not be valid");
    return {builder_.GetBufferPointer(), builder_.GetBufferPointer() + builder_.GetSize()};
  }

 private:
  // The builder counts in 32 bits and only asserts.
  void reserve(uint64_t bytes) const {
    if (bytes > kMaxBytes || builder_.GetSize() > kMaxBytes - bytes) {
      throw Error("tflite", "the model needs more than the 2 GB that a file can hold");
    }
  }

  uint32_t buffer(std::string_view data) {
    reserve(data.size());
    Offset<flatbuffers::Vector<uint8_t>> vector = 0;
    if (!data.empty()) {
      builder_.ForceVectorAlignment(data.size(), 1, kAlignment);
      vector = builder_.CreateVector(reinterpret_cast<const uint8_t*>(data.data()), data.size());
    }
    buffers_.push_back(fb::CreateBuffer(builder_, vector));
    return static_cast<uint32_t>(buffers_.size() - 1);
  }

  uint32_t buffer_of(const Tensor& tensor) {
    if (!tensor.is_constant) return 0;
    const std::string_view data(reinterpret_cast<const char*>(tensor.data.data()), tensor.data.size());
    Shared& shared = shared_[data];
    if (shared.uses++ % kMaxUses == 0) shared.buffer = buffer(data);
    return shared.buffer;
  }

  Offset<fb::Tensor> put(const Tensor& tensor) {
    const auto& [scale, zero_point, axis] = tensor.quantization;
    reserve(tensor.name.size() + 4 * tensor.shape.size() + 12 * scale.size());
    const uint32_t buffer = buffer_of(tensor);
    Offset<fb::QuantizationParameters> quantization = 0;
    if (!scale.empty() || axis != 0) {
      const auto scales = builder_.CreateVector(scale);
      const auto zero_points = builder_.CreateVector(zero_point);
      quantization = fb::CreateQuantizationParameters(builder_, 0, 0, scales, zero_points, 0, 0, axis);
    }
    const auto name = builder_.CreateString(tensor.name);
    const auto shape = builder_.CreateVector(std::vector<int32_t>(tensor.shape.begin(), tensor.shape.end()));
    fb::TensorBuilder table(builder_);
    table.add_shape(shape);
    table.add_type(static_cast<int8_t>(tensor.type));
    table.add_buffer(buffer);
    table.add_name(name);
    table.add_quantization(quantization);
    table.add_has_rank(true);
    return table.Finish();
  }

  uint32_t code_index(const Operator& op) {
    const auto code = static_cast<int32_t>(op.code);
    const auto [entry, fresh] = code_indices_.try_emplace({code, op.version}, codes_.size());
    if (fresh) {
      const auto deprecated = static_cast<int8_t>(std::min(code, kMaxDeprecatedCode));
      codes_.push_back(fb::CreateOperatorCode(builder_, deprecated, 0, op.version, code));
    }
    return static_cast<uint32_t>(entry->second);
  }

  Offset<fb::Operator> put(const Operator& op) {
    reserve(4 * (op.inputs.size() + op.outputs.size() + op.options.new_shape.size() + op.options.squeeze_dims.size()));
    const uint32_t code = code_index(op);
    const auto inputs = builder_.CreateVector(op.inputs);
    const auto outputs = builder_.CreateVector(op.outputs);
    const OptionsTable* table = find_op(static_cast<int32_t>(op.code))->options;
    if (table == nullptr) return fb::CreateOperator(builder_, code, inputs, outputs);
    const auto type = static_cast<fb::BuiltinOptions>(table->number);
    return fb::CreateOperator(builder_, code, inputs, outputs, type, table->write(builder_, op.options));
  }

  Offset<flatbuffers::Vector<Offset<fb::SignatureDef>>> put_signature() {
    if (model_.signature_inputs.empty() && model_.signature_outputs.empty()) return 0;
    const auto maps = [&](const std::vector<SignatureEntry>& entries) {
      std::vector<Offset<fb::TensorMap>> list;
      for (const auto& [name, index] : entries) {
        reserve(name.size());
        list.push_back(fb::CreateTensorMap(builder_, builder_.CreateString(name), static_cast<uint32_t>(index)));
      }
      return builder_.CreateVector(list);
    };
    const auto inputs = maps(model_.signature_inputs);
    const auto outputs = maps(model_.signature_outputs);
    const auto signature = fb::CreateSignatureDef(builder_, inputs, outputs, builder_.CreateString(kSignature));
    return builder_.CreateVector(&signature, 1);
  }

  struct Shared {
    uint32_t buffer = 0;
    int uses = 0;
  };

  const Model& model_;
  flatbuffers::FlatBufferBuilder builder_;
  std::vector<Offset<fb::Buffer>> buffers_;
  std::map<std::string_view, Shared> shared_;  // by data
  std::vector<Offset<fb::OperatorCode>> codes_;
  std::map<std::pair<int32_t, int32_t>, size_t> code_indices_;  // of code and version
};

}  // namespace

std::vector<uint8_t> serialize(const Model& model) {
  check(model);
  return Writer(model).bytes();
}

void write(const Model& model, const std::string& path) {
  check(model, path);
  const std::vector<uint8_t> bytes = Writer(model).bytes();
  atomic_write(path, {reinterpret_cast<const char*>(bytes.data()), bytes.size()});
}

}  // namespace octet::tflite

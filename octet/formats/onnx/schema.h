#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "octet/support/budget.h"
#include "octet/support/byte_source.h"

namespace octet::onnx {

// What octet reads of an ONNX model, as views into the file's bytes. Field numbers and types are those of onnx.proto.

/// A tensor, its numbers still in the file.
struct TensorProto {
  std::string_view name;
  std::vector<int64_t> dims;
  int32_t type = 0;          ///< TensorProto.DataType
  bool external = false;     ///< its bytes stand in a file beside the model:
  std::string_view message;  ///< where all of it stands
};

enum class AttributeKind { kNone, kFloat, kInteger, kText, kTensor, kFloats, kIntegers, kTexts, kOther };

struct AttributeProto {
  std::string_view name;
  AttributeKind kind = AttributeKind::kNone;
  float number = 0;
  int64_t integer = 0;
  std::string_view text;  ///< or the tensor's message
  std::vector<float> numbers;
  std::vector<int64_t> integers;
  std::vector<std::string_view> texts;
};

struct NodeProto {
  std::string_view name;
  std::string_view op_type;
  std::string_view domain;
  std::vector<std::string_view> inputs;   ///< empty where one is left out
  std::vector<std::string_view> outputs;  ///< the same
  std::vector<AttributeProto> attributes;
};

/// A size that is known, or has a name, or neither.
struct Dimension {
  int64_t size = -1;
  std::string_view name;
};

/// A value's name and what is said of it.
struct ValueInfo {
  std::string_view name;
  int32_t type = 0;
  bool has_shape = false;
  std::vector<Dimension> shape;
};

struct Model {
  int64_t opset = 0;
  std::string_view producer;
  std::vector<NodeProto> nodes;
  std::vector<TensorProto> initializers;
  std::vector<ValueInfo> inputs;
  std::vector<ValueInfo> outputs;
  std::vector<std::string> functions;  ///< "domain.name" of the model's own functions
};

/// Charged for what it takes beside the bytes, which outlive the result. Throws octet::Error naming `file`.
Model read_model(std::string_view bytes, const std::string& file, Budget& budget);
TensorProto read_tensor(std::string_view message, const std::string& file, Budget& budget);

/// True where the file begins with fields that a model has, up to its graph.
bool looks_like_model(const ByteSource& source);

}  // namespace octet::onnx

#include "octet/formats/onnx/schema.h"

#include <algorithm>
#include <cstring>

#include "octet/formats/onnx/wire.h"

namespace octet::onnx {

namespace {

/// What a reader of messages carries along.
struct Source {
  const std::string& file;
  Budget& budget;

  template <typename T>
  T& add(std::vector<T>& list, const char* what) const {
    budget.charge(2 * sizeof(T), what);  // a vector grows by half
    return list.emplace_back();
  }
  template <typename T>
  void add(std::vector<T>& list, T value, const char* what) const {
    add(list, what) = std::move(value);
  }
};

AttributeProto read_attribute(std::string_view message, const Source& source) {
  AttributeProto made;
  int64_t type = 0;
  bool other = false;
  const auto becomes = [&](AttributeKind kind) {
    if (made.kind == AttributeKind::kNone) made.kind = kind;
  };
  for (WireReader field(message, source.file); field.next();) {
    switch (field.number()) {
      case 1:
        made.name = field.bytes();
        break;
      case 2:
        made.number = field.number32();
        becomes(AttributeKind::kFloat);
        break;
      case 3:
        made.integer = field.integer();
        becomes(AttributeKind::kInteger);
        break;
      case 4:
        made.text = field.bytes();
        becomes(AttributeKind::kText);
        break;
      case 5:
        made.text = field.bytes();
        becomes(AttributeKind::kTensor);
        break;
      case 7:
        source.budget.charge(field.count_fixed(4), 2 * sizeof(float), "an attribute");
        field.for_each_fixed(4, [&](uint64_t bits) {
          const auto low = static_cast<uint32_t>(bits);
          std::memcpy(&made.numbers.emplace_back(), &low, sizeof low);
        });
        becomes(AttributeKind::kFloats);
        break;
      case 8:
        source.budget.charge(field.count_integers(), 2 * sizeof(int64_t), "an attribute");
        field.for_each_integer([&](int64_t value) { made.integers.push_back(value); });
        becomes(AttributeKind::kIntegers);
        break;
      case 9:
        source.add(made.texts, field.bytes(), "an attribute");
        becomes(AttributeKind::kTexts);
        break;
      case 20:
        type = field.integer();
        break;
      case 6:   // graph
      case 10:  // tensors
      case 11:  // graphs
      case 22:  // sparse tensor
      case 23:
      case 14:
      case 15:
        other = true;
        break;
      default:  // documentation
        break;
    }
  }
  // Writers leave out what is 0 or empty; the type says what was meant.
  constexpr AttributeKind kOfType[] = {AttributeKind::kNone,   AttributeKind::kFloat,    AttributeKind::kInteger,
                                       AttributeKind::kText,   AttributeKind::kTensor,   AttributeKind::kOther,
                                       AttributeKind::kFloats, AttributeKind::kIntegers, AttributeKind::kTexts};
  if (type > 0 && type < static_cast<int64_t>(std::size(kOfType))) made.kind = kOfType[type];
  if (other) made.kind = AttributeKind::kOther;
  return made;
}

NodeProto read_node(std::string_view message, const Source& source) {
  NodeProto made;
  for (WireReader field(message, source.file); field.next();) {
    switch (field.number()) {
      case 1:
        source.add(made.inputs, field.bytes(), "a node");
        break;
      case 2:
        source.add(made.outputs, field.bytes(), "a node");
        break;
      case 3:
        made.name = field.bytes();
        break;
      case 4:
        made.op_type = field.bytes();
        break;
      case 5:
        source.add(made.attributes, read_attribute(field.bytes(), source), "an attribute");
        break;
      case 7:
        made.domain = field.bytes();
        break;
      default:  // documentation, metadata, and which overload of a function
        break;
    }
  }
  return made;
}

Dimension read_dimension(std::string_view message, const Source& source) {
  Dimension made;
  for (WireReader field(message, source.file); field.next();) {
    if (field.number() == 1) made.size = field.integer();
    if (field.number() == 2) made.name = field.bytes();
  }
  return made;
}

void read_tensor_type(std::string_view message, const Source& source, ValueInfo& info) {
  for (WireReader field(message, source.file); field.next();) {
    if (field.number() == 1) info.type = static_cast<int32_t>(field.integer());
    if (field.number() != 2) continue;
    info.has_shape = true;
    for (WireReader shape(field.bytes(), source.file); shape.next();) {
      if (shape.number() == 1) source.add(info.shape, read_dimension(shape.bytes(), source), "a shape");
    }
  }
}

ValueInfo read_value_info(std::string_view message, const Source& source) {
  ValueInfo made;
  for (WireReader field(message, source.file); field.next();) {
    if (field.number() == 1) made.name = field.bytes();
    if (field.number() != 2) continue;
    for (WireReader type(field.bytes(), source.file); type.next();) {
      if (type.number() == 1) read_tensor_type(type.bytes(), source, made);
    }
  }
  return made;
}

TensorProto read_tensor(std::string_view message, const Source& source) {
  TensorProto made;
  made.message = message;
  for (WireReader field(message, source.file); field.next();) {
    switch (field.number()) {
      case 1:
        source.budget.charge(field.count_integers(), 2 * sizeof(int64_t), "a shape");
        field.for_each_integer([&](int64_t size) { made.dims.push_back(size); });
        break;
      case 2:
        made.type = static_cast<int32_t>(field.integer());
        break;
      case 8:
        made.name = field.bytes();
        break;
      case 14:
        made.external = field.integer() == 1;
        break;
      default:  // numbers, which are read when somebody wants them
        break;
    }
  }
  return made;
}

void read_graph(std::string_view message, const Source& source, Model& model) {
  for (WireReader field(message, source.file); field.next();) {
    switch (field.number()) {
      case 1:
        source.add(model.nodes, read_node(field.bytes(), source), "its nodes");
        break;
      case 5:
        source.add(model.initializers, read_tensor(field.bytes(), source), "its initializers");
        break;
      case 11:
        source.add(model.inputs, read_value_info(field.bytes(), source), "its inputs");
        break;
      case 12:
        source.add(model.outputs, read_value_info(field.bytes(), source), "its outputs");
        break;
      case 15:
        throw Error(source.file, "holds a sparse initializer, which octet cannot read").hint("write it as a dense one");
      default:  // name, documentation, and what is said of inner values, which octet works out
        break;
    }
  }
}

void read_opset(std::string_view message, const Source& source, Model& model) {
  std::string_view domain;
  int64_t version = 0;
  for (WireReader field(message, source.file); field.next();) {
    if (field.number() == 1) domain = field.bytes();
    if (field.number() == 2) version = field.integer();
  }
  if (domain.empty() || domain == "ai.onnx") model.opset = std::max(model.opset, version);
}

void read_function(std::string_view message, const Source& source, Model& model) {
  std::string_view name;
  std::string_view domain;
  for (WireReader field(message, source.file); field.next();) {
    if (field.number() == 1) name = field.bytes();
    if (field.number() == 10) domain = field.bytes();
  }
  source.budget.charge(domain.size() + name.size(), "its functions");
  source.add(model.functions, str(domain, ".", name), "its functions");
}

}  // namespace

TensorProto read_tensor(std::string_view message, const std::string& file, Budget& budget) {
  return read_tensor(message, Source{file, budget});
}

Model read_model(std::string_view bytes, const std::string& file, Budget& budget) {
  const Source source{file, budget};
  Model model;
  for (WireReader field(bytes, file); field.next();) {
    switch (field.number()) {
      case 2:
        model.producer = field.bytes();
        break;
      case 7:
        read_graph(field.bytes(), source, model);
        break;
      case 8:
        read_opset(field.bytes(), source, model);
        break;
      case 25:
        read_function(field.bytes(), source, model);
        break;
      default:
        break;
    }
  }
  return model;
}

bool looks_like_model(const ByteSource& source) {
  constexpr uint64_t kFields[] = {1, 2, 3, 4, 5, 6, 7, 8, 14, 20, 25, 26};
  constexpr uint64_t kVersion = 1 << 3;
  constexpr uint64_t kGraph = 7;
  constexpr uint64_t kMostHeader = 20;  // two numbers
  for (uint64_t offset = 0; offset < source.size();) {
    const std::string header = source.read(offset, std::min(kMostHeader, source.size() - offset));
    std::string_view rest = header;
    const std::optional<uint64_t> tag = WireReader::varint(rest);
    const std::optional<uint64_t> value = WireReader::varint(rest);  // what all its fields begin with
    if (!tag || !value) return false;
    const bool holds_bytes = (*tag & 7) == 2;
    if ((*tag & 7) != 0 && !holds_bytes) return false;
    if (std::find(std::begin(kFields), std::end(kFields), *tag >> 3) == std::end(kFields)) return false;
    if (offset == 0 && *tag != kVersion) return false;  // which all writers put first
    if (*tag >> 3 == kGraph) return holds_bytes;
    offset += header.size() - rest.size();
    if (holds_bytes && *value > source.size() - offset) return false;
    if (holds_bytes) offset += *value;
  }
  return false;
}

}  // namespace octet::onnx

#pragma once
// ONNX files that tests make up: protobuf's wire format, written by hand.

#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <string>
#include <utility>
#include <vector>

namespace octet::test::onnx {

inline std::string varint(uint64_t value) {
  std::string text;
  for (; value >= 0x80; value >>= 7) text += static_cast<char>((value & 0x7f) | 0x80);
  return text + static_cast<char>(value);
}
inline std::string number(uint32_t field, int64_t value) {
  return varint(uint64_t{field} << 3) + varint(static_cast<uint64_t>(value));
}
inline std::string bytes(uint32_t field, const std::string& value) {
  return varint(uint64_t{field} << 3 | 2) + varint(value.size()) + value;
}
inline std::string float32(uint32_t field, float value) {
  std::string text = varint(uint64_t{field} << 3 | 5);
  return text.append(reinterpret_cast<const char*>(&value), 4);
}

using Texts = std::vector<std::string>;
using Sizes = std::vector<int64_t>;

inline constexpr int kFloat = 1;
inline constexpr int kInt64 = 7;

inline std::string of_floats(const std::vector<float>& values) {
  return {reinterpret_cast<const char*>(values.data()), values.size() * 4};
}
inline std::string of_integers(const Sizes& values) {
  return {reinterpret_cast<const char*>(values.data()), values.size() * 8};
}

/// A TensorProto with raw_data.
inline std::string tensor(const std::string& name, int type, const Sizes& sizes, const std::string& raw) {
  std::string made;
  for (const int64_t size : sizes) made += number(1, size);
  return made + number(2, type) + bytes(8, name) + bytes(9, raw);
}

inline std::string attribute(const std::string& name, int64_t value) {
  return bytes(1, name) + number(3, value) + number(20, 2);
}
inline std::string attribute(const std::string& name, const std::string& value) {
  return bytes(1, name) + bytes(4, value) + number(20, 3);
}
inline std::string attribute(const std::string& name, const Sizes& values) {
  std::string made = bytes(1, name);
  for (const int64_t value : values) made += number(8, value);
  return made + number(20, 7);
}

inline std::string node(const std::string& op, const Texts& inputs, const Texts& outputs, const Texts& attributes = {},
                        const std::string& name = "", const std::string& domain = "") {
  std::string made;
  for (const std::string& input : inputs) made += bytes(1, input);
  for (const std::string& output : outputs) made += bytes(2, output);
  made += bytes(3, name.empty() ? outputs.at(0) : name) + bytes(4, op);
  for (const std::string& each : attributes) made += bytes(5, each);
  return domain.empty() ? made : made + bytes(7, domain);
}

/// A ValueInfoProto; a size of -1 is the symbol "n", one of -2 another.
inline std::string value(const std::string& name, const Sizes& sizes, int type = kFloat) {
  std::string shape;
  for (const int64_t size : sizes)
    shape += bytes(1, size >= 0 ? number(1, size) : bytes(2, size == -1 ? "n" : "height"));
  return bytes(1, name) + bytes(2, bytes(1, number(1, type) + bytes(2, shape)));
}

struct Graph {
  Texts nodes;
  Texts inputs;
  Texts outputs;
  Texts initializers;
};

inline std::string model(const Graph& graph, int64_t opset = 17) {
  std::string made;
  for (const std::string& each : graph.nodes) made += bytes(1, each);
  for (const std::string& each : graph.initializers) made += bytes(5, each);
  for (const std::string& each : graph.inputs) made += bytes(11, each);
  for (const std::string& each : graph.outputs) made += bytes(12, bytes(1, each));
  return number(1, 8) + bytes(2, "octet") + bytes(7, made) + bytes(8, number(2, opset));
}

/// A model of one step of `x`, float32[1, 2, 4, 4], that gives `y`.
inline std::string one_step(const std::string& step, const Texts& initializers = {}, int64_t opset = 17) {
  return model({{step}, {value("x", {1, 2, 4, 4})}, {"y"}, initializers}, opset);
}

}  // namespace octet::test::onnx

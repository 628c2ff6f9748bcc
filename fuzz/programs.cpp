// Programs of .pt2 files and of containers. The mutator changes the program, not its bytes: arguments, sizes and names
// of values; nodes are left out, put twice, and calls of any operator that a file may hold are made up from its schema.

#include "fuzz/programs.h"

#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>
#include <random>
#include <string>
#include <vector>

#include "fuzz/fuzz.h"
#include "fuzz/small_memory.h"
#include "octet/formats/allowed_operators.h"
#include "octet/formats/container.h"
#include "octet/formats/pt2.h"
#include "octet/graph/op.h"

namespace {

using nlohmann::json;
using octet::Op;

constexpr size_t kMaxNodes = 40;

// Operators that files may hold and this libtorch has.
const std::vector<Op>& operators() {
  static const std::vector<Op> all = [] {
    std::vector<std::string> names(octet::allowed_operator_names().begin(), octet::allowed_operator_names().end());
    std::sort(names.begin(), names.end());
    std::vector<Op> found;
    for (const std::string& name : names) {
      if (auto op = Op::try_find(name)) found.push_back(*op);
    }
    return found;
  }();
  return all;
}

class Mutator {
 public:
  explicit Mutator(unsigned seed) : random_(seed) {}

  // True where the document holds a program.
  bool change(json& document) {
    if (document.contains("graph") && document["graph"].is_array()) {
      for (size_t edits = 1 + below(3); edits > 0; --edits) change_container(document["graph"]);
      return true;
    }
    const json::json_pointer nodes("/graph_module/graph/nodes");
    if (!document.is_object() || !document.contains(nodes) || !document[nodes].is_array()) return false;
    for (size_t edits = 1 + below(3); edits > 0; --edits) change_program(document, document[nodes]);
    return true;
  }

 private:
  size_t below(size_t count) { return count == 0 ? 0 : random_() % count; }
  bool one_in(size_t count) { return below(count) == 0; }

  int64_t number(int64_t old) {
    constexpr int64_t kEdges[] = {std::numeric_limits<int64_t>::max(),
                                  std::numeric_limits<int64_t>::min(),
                                  std::numeric_limits<int32_t>::max(),
                                  int64_t{1} << 40,
                                  1 << 16,
                                  -1,
                                  0};
    switch (below(4)) {
      case 0:
        return octet::fuzz::wrapping_sum(old, static_cast<int64_t>(below(5)) - 2);
      case 1:
        return octet::fuzz::wrapping_sum(old, old);
      case 2:
        return kEdges[below(std::size(kEdges))];
      default:
        return small();
    }
  }
  int64_t small() { return static_cast<int64_t>(below(8)) - 2; }
  double real() {
    constexpr double kEdges[] = {0, 1, -1, 1e-5, 0.5, 1e30, -1e30, 1e-38};
    return kEdges[below(std::size(kEdges))];
  }

  // Another value in place of a number, flag or text, anywhere below.
  void change_scalar(json& value) {
    if (value.is_structured()) {
      if (value.empty() || one_in(8)) return resize(value);
      return change_scalar(*std::next(value.begin(), static_cast<ptrdiff_t>(below(value.size()))));
    }
    if (value.is_number_integer()) {
      value = number(value.get<int64_t>());
    } else if (value.is_number_float()) {
      value = real();
    } else if (value.is_boolean()) {
      value = !value.get<bool>();
    } else if (value.is_string()) {
      constexpr const char* kTexts[] = {"float32", "int64", "bool", "uint8",  "none",
                                        "mean",    "floor", "same", "nearest"};
      value = kTexts[below(std::size(kTexts))];
    } else {
      value = small();
    }
  }
  void resize(json& value) {
    if (!value.is_array()) return;
    if (value.empty()) return value.push_back(small());
    if (one_in(2)) return value.erase(below(value.size()));
    value.push_back(json(value[below(value.size())]));
  }

  // ---- octet's own container

  // Names of values before the node at `end`.
  static std::vector<std::string> names_before(const json& nodes, size_t end) {
    std::vector<std::string> names;
    for (size_t i = 0; i < end && i < nodes.size(); ++i) {
      if (nodes[i].contains("name") && nodes[i]["name"].is_string()) names.push_back(nodes[i]["name"]);
    }
    return names;
  }
  json value_of(const std::vector<std::string>& names) {
    if (names.empty()) return nullptr;
    return {{"node", names[names.size() - 1 - std::min(below(names.size()), below(names.size()))]}};
  }

  json argument(const c10::TypePtr& type, const std::vector<std::string>& names, int64_t fixed_length) {
    switch (type->kind()) {
      case c10::TypeKind::OptionalType:
        if (one_in(2)) return nullptr;
        return argument(type->expectRef<c10::OptionalType>().getElementType(), names, fixed_length);
      case c10::TypeKind::TensorType:
        return value_of(names);
      case c10::TypeKind::ListType: {
        json list = json::array();
        size_t count = fixed_length > 0 && !one_in(8) ? static_cast<size_t>(fixed_length) : below(5);
        for (; count > 0; --count) {
          list.push_back(argument(type->expectRef<c10::ListType>().getElementType(), names, 0));
        }
        return list;
      }
      case c10::TypeKind::IntType:
      case c10::TypeKind::SymIntType:
        return one_in(12) ? number(1) : small();
      case c10::TypeKind::ScalarTypeType:
        return static_cast<int64_t>(below(16));
      case c10::TypeKind::LayoutType:
      case c10::TypeKind::MemoryFormatType:
        return static_cast<int64_t>(below(4));
      case c10::TypeKind::FloatType:
      case c10::TypeKind::SymFloatType:
        return {{"double", real()}};
      case c10::TypeKind::NumberType:
        if (one_in(2)) return small();
        return {{"double", real()}};
      case c10::TypeKind::BoolType:
      case c10::TypeKind::SymBoolType:
        return one_in(2);
      case c10::TypeKind::StringType: {
        constexpr const char* kTexts[] = {"none", "mean", "sum", "floor", "trunc", "bilinear", "tanh", "ij", "reflect"};
        return kTexts[below(std::size(kTexts))];
      }
      case c10::TypeKind::DeviceObjType:
        return {{"device", "cpu"}};
      default:
        return nullptr;
    }
  }

  json call(const std::vector<std::string>& names, const std::string& name) {
    const Op& op = operators()[below(operators().size())];
    json args = json::array();
    for (const c10::Argument& each : op.schema().arguments()) {
      const bool as_given = each.default_value() && one_in(2);
      args.push_back(as_given && each.default_value()->isNone() ? json(nullptr)
                                                                : argument(each.type(), names, each.N().value_or(0)));
    }
    return {{"kind", "call"}, {"name", name}, {"target", op.text()}, {"args", args}};
  }

  void change_container(json& nodes) {
    if (nodes.empty()) return;
    const size_t at = below(nodes.size());
    json& node = nodes[at];
    if (!node.is_object()) return;
    const std::vector<std::string> names = names_before(nodes, at);
    switch (below(6)) {
      case 0:  // an argument
        if (node.contains("args") && node["args"].is_array() && !node["args"].empty()) {
          json& arg = node["args"][below(node["args"].size())];
          if (arg.is_object() && arg.contains("node")) {
            arg = value_of(names);
          } else {
            change_scalar(arg);
          }
        }
        break;
      case 1:  // a shape
        if (node.contains("meta")) change_scalar(node["meta"]);
        break;
      case 2:  // without it; what it gave is given by another
        replace(nodes, at, names);
        break;
      case 3:  // any change
        change_scalar(node);
        break;
      default: {  // a call in front, whose value somebody reads
        if (nodes.size() >= kMaxNodes || names.empty() || operators().empty()) break;
        std::string name = "f" + std::to_string(below(1000));
        const json made = call(names, name);
        rename(nodes, at, names[below(names.size())], name);
        nodes.insert(nodes.begin() + static_cast<ptrdiff_t>(at), made);
      }
    }
  }
  void replace(json& nodes, size_t at, const std::vector<std::string>& names) {
    if (names.empty() || !nodes[at].contains("name") || !nodes[at]["name"].is_string()) return;
    const std::string gone = nodes[at]["name"];
    nodes.erase(at);
    rename(nodes, at, gone, names[below(names.size())]);
  }
  // Readers from `begin` on read `to` where they read `from`.
  void rename(json& nodes, size_t begin, const std::string& from, const std::string& to) {
    for (size_t i = begin; i < nodes.size(); ++i) {
      if (nodes[i].is_object() && nodes[i].contains("args")) rename(nodes[i]["args"], from, to);
    }
  }
  void rename(json& value, const std::string& from, const std::string& to) {
    if (value.is_object() && value.contains("node")) {
      if (value["node"] == from) value["node"] = to;
    } else if (value.is_array()) {
      for (json& element : value) rename(element, from, to);
    }
  }

  // ---- .pt2

  void change_program(json& document, json& nodes) {
    if (nodes.empty()) return;
    const size_t at = below(nodes.size());
    switch (below(6)) {
      case 0:
        if (operators().empty()) break;
        nodes[at]["target"] = "torch.ops." + operators()[below(operators().size())].text();
        break;
      case 1:
        nodes.erase(at);
        break;
      case 2:
        if (nodes.size() < kMaxNodes) nodes.insert(nodes.begin() + static_cast<ptrdiff_t>(at), json(nodes[at]));
        break;
      case 3: {
        json& values = document["graph_module"]["graph"]["tensor_values"];
        change_scalar(values);
        break;
      }
      default:
        if (nodes[at].is_object() && nodes[at].contains("inputs")) change_scalar(nodes[at]["inputs"]);
    }
  }

  std::minstd_rand random_;
};

std::string text_of(const std::vector<std::pair<std::string, std::string>>& members) {
  std::string text;
  for (const auto& [name, bytes] : members) text += (text.empty() ? "" : "\n@@@\n") + name + "\n" + bytes;
  return text;
}

}  // namespace

namespace octet::fuzz {

std::shared_ptr<GraphModule> program_of(std::string_view input) {
  const bool own = input.find("octet.json\n") != std::string_view::npos;
  const auto source = archive_of(input);
  return own ? load_octet(source) : load_pt2(source);
}

}  // namespace octet::fuzz

extern "C" int LLVMFuzzerInitialize(int*, char***) {
  octet::fuzz::SmallMemory::install();
  return 0;
}

extern "C" size_t LLVMFuzzerMutate(uint8_t* data, size_t size, size_t max_size);

extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t max_size, unsigned seed) {
  if (seed % 16 == 0) return LLVMFuzzerMutate(data, size, max_size);
  Mutator mutator(seed);
  std::vector<std::pair<std::string, std::string>> members;
  bool changed = false;
  for (const auto& [name, bytes] : octet::fuzz::members_of(octet::fuzz::view(data, size))) {
    members.emplace_back(name, bytes);
    if (!name.ends_with(".json")) continue;
    json document = json::parse(bytes, nullptr, false);
    if (document.is_discarded() || !mutator.change(document)) continue;
    members.back().second = document.dump(-1, ' ', false, json::error_handler_t::replace);
    changed = true;
  }
  const std::string text = text_of(members);
  if (!changed || text.size() > max_size) return LLVMFuzzerMutate(data, size, max_size);
  std::copy(text.begin(), text.end(), data);
  return text.size();
}

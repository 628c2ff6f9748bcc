#include "octet/formats/pt2_call_signature.h"

#include <algorithm>
#include <array>
#include <string_view>

#include "octet/support/error.h"

namespace octet::pt2 {
namespace {

using nlohmann::json;

constexpr int64_t kTreeVersion = 1;
constexpr JsonLimits kTreeLimits{.max_bytes = limits::kConfig, .max_depth = limits::kDepth};  // without: dropped
constexpr std::array<std::string_view, 4> kContainers = {"builtins.tuple", "builtins.list", "builtins.dict",
                                                         "collections.OrderedDict"};

json tree(const char* type, const char* context, json children) {
  return {{"type", type}, {"context", context}, {"children_spec", std::move(children)}};
}

json leaf() { return {{"type", nullptr}, {"context", nullptr}, {"children_spec", json::array()}}; }

std::string tree_text(json root) { return json::array({kTreeVersion, std::move(root)}).dump(); }

// Leaves below; nullopt for a tree that PyTorch would not take.
std::optional<size_t> leaves(const JsonCursor& node) {
  const JsonCursor type = node.at("type");
  const JsonCursor::Elements children = node.at("children_spec").elements();
  if (type.is_null()) return children.empty() ? std::optional<size_t>(1) : std::nullopt;
  if (std::find(kContainers.begin(), kContainers.end(), type.to_string()) == kContainers.end()) return std::nullopt;
  size_t sum = 0;
  for (const JsonCursor& child : children) {
    const std::optional<size_t> below = leaves(child);
    if (!below) return std::nullopt;
    sum += *below;
  }
  return sum;
}

bool has_leaves(const std::string& text, size_t wanted) {
  try {
    const json document = parse_json(text, "tree", kTreeLimits);
    const JsonCursor::Elements parts = JsonCursor(document, "tree").elements();
    return parts.size() == 2 && parts[0].to_int() == kTreeVersion && leaves(parts[1]) == wanted;
  } catch (const Error&) {
    return false;
  }
}

// Python's writers differ in spaces.
bool same_tree(const std::string& left, const std::string& right) {
  if (left == right) return true;
  try {
    return parse_json(left, "tree", kTreeLimits) == parse_json(right, "tree", kTreeLimits);
  } catch (const Error&) {
    return false;
  }
}

}  // namespace

CallSignature read_call_signature(const JsonCursor& graph_module) {
  CallSignature signature;
  try {
    for (const JsonCursor& entry : graph_module.at("module_call_graph").elements()) {
      if (!entry.at("fqn").to_string().empty()) continue;
      const JsonCursor call = entry.at("signature");
      signature.in_spec = call.at("in_spec").to_string();
      signature.out_spec = call.at("out_spec").to_string();
      for (const JsonCursor& name : call.at("forward_arg_names").elements())
        signature.argument_names.push_back(name.to_string());
      break;
    }
  } catch (const Error&) {
    return {};  // a program runs without it
  }
  return signature;
}

CallSignature plain_call_signature(const std::vector<std::string>& inputs, size_t results) {
  const auto tuple_of = [](size_t count) {
    json children = json::array();
    for (size_t i = 0; i < count; ++i) children.push_back(leaf());
    return tree("builtins.tuple", "null", std::move(children));
  };
  CallSignature signature;
  const json keywords = tree("builtins.dict", "[]", json::array());
  signature.in_spec = tree_text(tree("builtins.tuple", "null", json::array({tuple_of(inputs.size()), keywords})));
  signature.out_spec = tree_text(results == 1 ? leaf() : tuple_of(results));
  signature.argument_names = inputs;
  return signature;
}

bool fits(const CallSignature& signature, size_t inputs, size_t results) {
  return has_leaves(signature.in_spec, inputs) && has_leaves(signature.out_spec, results);
}

bool operator==(const CallSignature& left, const CallSignature& right) {
  return left.argument_names == right.argument_names && same_tree(left.in_spec, right.in_spec) &&
         same_tree(left.out_spec, right.out_spec);
}

std::string call_signature_text(const CallSignature& signature) {
  return json{{"in", signature.in_spec}, {"out", signature.out_spec}, {"names", signature.argument_names}}.dump();
}

std::optional<CallSignature> call_signature_from_text(const std::string& text) {
  try {
    const json document = parse_json(text, "call signature", {.max_bytes = 4 * limits::kConfig});
    const JsonCursor root(document, "call signature");
    CallSignature signature{root.at("in").to_string(), root.at("out").to_string(), {}};
    for (const JsonCursor& name : root.at("names").elements()) signature.argument_names.push_back(name.to_string());
    return signature;
  } catch (const Error&) {
    return std::nullopt;
  }
}

}  // namespace octet::pt2

#pragma once

#include <optional>
#include <string>
#include <vector>

#include "octet/formats/json.h"

namespace octet::pt2 {

/// How Python calls a program: the trees that its arguments and its results are flattened from, in PyTorch's text
/// form, and the names of forward's arguments.
struct CallSignature {
  std::string in_spec;
  std::string out_spec;
  std::vector<std::string> argument_names;
};

/// That of the root module; empty where the file has none, or no whole one.
CallSignature read_call_signature(const JsonCursor& graph_module);
/// One positional tensor for each name; one result, or a tuple of several.
CallSignature plain_call_signature(const std::vector<std::string>& inputs, size_t results);
/// True where the trees have that many leaves and are made of tuples, lists and dicts, which any PyTorch knows.
bool fits(const CallSignature& signature, size_t inputs, size_t results);
bool operator==(const CallSignature& left, const CallSignature& right);

/// As one text, for a module's facts, and back; nullopt for what is no such text.
std::string call_signature_text(const CallSignature& signature);
std::optional<CallSignature> call_signature_from_text(const std::string& text);

}  // namespace octet::pt2

#pragma once

#include <functional>
#include <nlohmann/json.hpp>
#include <string>

#include "octet/formats/pt2_codes.h"
#include "octet/graph/node.h"

namespace octet::pt2 {

/// The name under which a node's value is known in the file.
using NameOfValue = std::function<std::string(const Node&)>;

/// The call's arguments as the file's `inputs`, as torch.export writes them: positional ones up to the last that is no
/// default, keyword ones that are none. Throws octet::Error naming the node for an argument that the format has no form
/// for.
nlohmann::json call_inputs_json(const Node& call, const NameOfValue& name_of, const SchemaVersion& version);

/// `{"as_tensor": {"name": ...}}`
nlohmann::json tensor_argument_json(const std::string& name);

}  // namespace octet::pt2

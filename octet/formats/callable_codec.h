#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>

#include "octet/formats/json.h"
#include "octet/graph/graph_module.h"

namespace octet {

/// How submodules that a graph calls go into a container. Formats know none of them; the room that defines them
/// registers this once (octet/quantize/codec.cpp).
struct CallableCodec {
  /// Type and settings of the submodule of that name.
  std::function<nlohmann::json(const GraphModule&, const CallableModule&)> config;
  /// The reverse, with fresh state.
  std::function<std::shared_ptr<CallableModule>(const JsonCursor& config)> make;
  /// Called once all submodules stand in the graph: references between them.
  std::function<void(const GraphModule&, CallableModule&, const JsonCursor& config)> resolve;
  std::function<std::map<std::string, at::Tensor>(const CallableModule&)> state;
  std::function<void(CallableModule&, const std::map<std::string, at::Tensor>&, const std::string& where)> load_state;
};

void register_callable_codec(CallableCodec codec);
/// Throws octet::Error where none was registered.
const CallableCodec& callable_codec();

}  // namespace octet

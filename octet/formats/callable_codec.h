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
  using Config = std::function<nlohmann::json(const CallableModule&)>;
  using Resolve = std::function<void(CallableModule&, const JsonCursor& config)>;

  /// What gives type and settings of each submodule of a graph.
  std::function<Config(const GraphModule&)> config_in;
  /// The reverse, with fresh state, whose memory is charged.
  std::function<std::shared_ptr<CallableModule>(const JsonCursor& config, Budget& budget)> make;
  /// What restores the references between the submodules of a graph, once all stand in it.
  std::function<Resolve(const GraphModule&)> resolve_in;
  std::function<std::map<std::string, at::Tensor>(const CallableModule&)> state;
  std::function<void(CallableModule&, const std::map<std::string, at::Tensor>&, const std::string& where)> load_state;
};

void register_callable_codec(CallableCodec codec);
/// Throws octet::Error where none was registered.
const CallableCodec& callable_codec();

}  // namespace octet

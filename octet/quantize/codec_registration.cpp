#include "octet/formats/callable_codec.h"
#include "octet/quantize/codec.h"

namespace octet {
namespace {

// Containers hold prepared models once this room is linked in.
[[maybe_unused]] const bool kRegistered = [] {
  register_callable_codec({
      .config_in = [](const GraphModule& graph) -> CallableCodec::Config {
        return [names = names_in(graph)](const CallableModule& module) { return callable_config(module, names); };
      },
      .make = callable_from_config,
      .resolve_in = [](const GraphModule& graph) -> CallableCodec::Resolve {
        return [find = finder_in(graph)](CallableModule& module, const JsonCursor& config) {
          resolve_sources(module, config, find);
        };
      },
      .state = [](const CallableModule& module) { return named_state(module); },
      .load_state = [](CallableModule& module, const std::map<std::string, at::Tensor>& state,
                       const std::string& where) { load_state(module, state, where); },
  });
  return true;
}();

}  // namespace
}  // namespace octet

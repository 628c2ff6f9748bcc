#pragma once

#include <map>
#include <string>

#include "octet/formats/state_dict.h"
#include "octet/support/api.h"

namespace octet {

/// Reads a safetensors file: 8 bytes of header size, a JSON header, then the data without holes. Tensors come in the
/// order of their data. `metadata`, where given, takes the header's free texts. Throws octet::Error naming file and
/// tensor.
OCTET_API StateDict read_safetensors(const std::string& path, std::map<std::string, std::string>* metadata = nullptr);
OCTET_API StateDict read_safetensors(const std::shared_ptr<const ByteSource>& source,
                                     std::map<std::string, std::string>* metadata = nullptr);

/// Writes one, atomically. Tensors are stored in C order; tied ones are stored once per name, as the format asks.
OCTET_API void write_safetensors(const std::string& path, const StateDict& tensors,
                                 const std::map<std::string, std::string>& metadata = {});

}  // namespace octet

#pragma once

namespace octet {

/// "0.1.0"
const char* version();
/// The libtorch that octet was built with: "2.13.0".
const char* torch_version();

}  // namespace octet

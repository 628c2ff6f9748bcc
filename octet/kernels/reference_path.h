#pragma once

namespace octet {

/// True where the plain formula runs instead of a fused kernel: OCTET_REFERENCE=1 in the environment, or between
/// set_reference_path(true) and set_reference_path(false).
bool reference_path();
/// Overrides the environment, for tests and debugging.
void set_reference_path(bool on);

}  // namespace octet

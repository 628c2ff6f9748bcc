#pragma once

#include <cstdint>
#include <string>

namespace octet::cli {

/// Runs this program `count` times with the arguments that it was given, as processes that train together
/// (octet/train/group.h), and waits for all. SIGINT and SIGTERM are passed on. Where one is lost, the others end too,
/// within half a minute; throws octet::Error naming it, or what stopped them all. `checkpoints`: for the way out.
void run_together(int64_t count, const std::string& checkpoints);

}  // namespace octet::cli

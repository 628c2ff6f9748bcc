#pragma once

#include <map>
#include <string>
#include <vector>

#include "octet/support/api.h"
#include "octet/targets/engine/overrides.h"

namespace octet::targets {

struct Target;

/// What can be chosen of a target's quantizer.
struct QuantizerOptions {
  std::string target = {};  ///< by its name; empty: whichever it is given to
  QuantizationMode mode = QuantizationMode::kPtq;
  std::string scheme = {};                           ///< one of the target's; empty: its first for the mode
  std::map<std::string, std::string> settings = {};  ///< of the target's own (Target::settings), by name
  std::vector<std::string> without_passes = {};      ///< of the target's (Target::passes), by name: not run
  /// Later ones win over earlier ones, setting by setting.
  std::vector<Override> overrides = {};
  bool operator==(const QuantizerOptions&) const = default;
};

/// The options with every setting of the target in them, checked; a scheme that is made for one mode puts it in. Throws
/// octet::Error naming the setting
/// ("[config.json: mul_range] ..."): another target's options, a mode, scheme or setting that the target does not have,
/// a value that the setting does not have, a pass that it does not run, and all that check_overrides() refuses.
OCTET_API QuantizerOptions completed(QuantizerOptions options, const Target& target, const std::string& where);

}  // namespace octet::targets
